"""A small, fixed share of what ``make fuzz`` does; and that it would notice."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest

from fuzz import bodies, seeds
from fuzz.files import cases
from fuzz.pool import Case, Reader
from tests.server import TOKEN, Server


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with closing(Reader()) as reader:
        yield reader


def test_damaged_files(reader: Reader, tmp_path: Path) -> None:
    """Each becomes a result that can be opened, or an error that its sender understands."""
    path = tmp_path / "file"
    chosen = [seed for seed in seeds.simple() if seed.kind not in ("docx", "pptx")]

    found = []
    for made in islice(cases(chosen, seed=1), 150):
        path.write_bytes(made.data)
        _, finding, _ = reader.read(replace(made.case, path=str(path)))
        if finding is not None:
            found.append(finding)

    assert found == []


def test_each_sound_file_is_read(reader: Reader, tmp_path: Path) -> None:
    """What is damaged was worth reading."""
    path = tmp_path / "file"

    ends = {}
    for number, seed in enumerate(seeds.simple()):
        path.write_bytes(seed.data)
        password = seeds.PASSWORD if seed.locked else None
        ends[f"{seed.kind} {number}"], _, _ = reader.read(Case(str(path), "txt", password=password))

    assert set(ends.values()) == {"complete"}


def test_the_same_number_makes_the_same_files() -> None:
    """So that what is found can be found again; but for keys of protected files, by chance."""
    kinds = ("png", "tiff", "pdf", "xlsx")
    chosen = [seed for seed in seeds.simple() if seed.kind in kinds and not seed.locked]

    first, again = (list(islice(cases(chosen, seed=7), 30)) for _ in range(2))

    assert first == again
    assert len({made.data for made in first}) > 25


def test_a_reader_that_dies_is_a_finding(tmp_path: Path) -> None:
    """And the next file is read by another one."""
    path = tmp_path / "file"
    path.write_bytes(seeds.simple()[0].data)
    with closing(Reader()) as reader:
        reader.read(Case(str(path), "txt"))
        os.kill(reader.pid, signal.SIGSEGV)

        end, finding, _ = reader.read(Case(str(path), "txt"))
        after, _, _ = reader.read(Case(str(path), "txt"))

    assert (end, after) == ("SIGSEGV", "complete")
    assert finding is not None


def test_odd_requests(tmp_path: Path) -> None:
    """Each is answered, and none with a fault of the server."""
    folder = tmp_path / "data"
    folder.mkdir()
    server = Server(folder, {"OCR_ENGINE": "stub", "OCR_WORKERS": "1"})
    server.start()
    numbers = count()
    try:
        found = bodies.fuzz(server.port, TOKEN, 1, lambda: next(numbers) < 150, tmp_path)
    finally:
        server.stop()

    assert found == []
