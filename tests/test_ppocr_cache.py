"""The cache of compiled models: whole blobs or none, whoever is killed or writes at once."""

import os
import time
from pathlib import Path

import openvino
import pytest

from app.engines.ppocr_cache import with_cache


def _compile(folder: Path | None) -> object:
    given = openvino.opset13.parameter([1, 4], openvino.Type.f32, name="given")
    positive = openvino.opset13.relu(given, name="positive")
    result = openvino.opset13.result(positive, name="result")
    model = openvino.Model([result], [given], "small")
    core = openvino.Core()
    return with_cache(folder, lambda cached: core.compile_model(model, "CPU", cached))


def _blobs(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_was_compiled_is_kept_and_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    _compile(folder)
    (file,) = folder.iterdir()
    written = file.stat()
    assert written.st_size
    _compile(folder)
    (file,) = folder.iterdir()
    assert file.stat().st_ino == written.st_ino


def test_a_broken_blob_is_made_anew(tmp_path: Path) -> None:
    _compile(tmp_path)
    ((name, whole),) = _blobs(tmp_path).items()
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    assert _compile(tmp_path)
    _compile(tmp_path)
    assert {file: len(blob) for file, blob in _blobs(tmp_path).items()} == {name: len(whole)}


def test_a_process_killed_while_it_writes_leaves_nothing_to_others(tmp_path: Path) -> None:
    def die(cached: dict[str, str]) -> None:
        (Path(cached["CACHE_DIR"]) / "half.blob").write_bytes(b"half")
        os._exit(9)

    child = os.fork()
    if not child:
        try:
            with_cache(tmp_path, die)
        finally:
            os._exit(1)  # Whatever goes wrong, the child must not run the other tests.
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    _compile(tmp_path)
    assert "half.blob" not in _blobs_in(tmp_path)
    (left,) = tmp_path.glob("compiling-*")
    long_ago = time.time() - 3600
    os.utime(left, (long_ago, long_ago))
    _compile(tmp_path)
    assert not list(tmp_path.glob("compiling-*"))


def _blobs_in(folder: Path) -> list[str]:
    return [file.name for file in folder.glob("*.blob")]


def test_without_a_place_to_keep_it_the_model_is_made_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert _compile(None)
    file = tmp_path / "file"
    file.touch()
    assert _compile(file / "models")
    assert "cannot be kept" in caplog.text
