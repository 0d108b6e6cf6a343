"""Compiled models kept on disk for the next start, whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

_Made = TypeVar("_Made")

log = logging.getLogger(__name__)


def with_cache(folder: Path | None, compiled: Callable[[dict[str, str]], _Made]) -> _Made:
    """What ``compiled`` makes, given the settings that make OpenVINO use the cache in ``folder``.

    OpenVINO writes its files in place: a process that is killed then would leave half a model to
    all later ones, and one that starts meanwhile would read it. So each call works in a folder of
    its own, and what is new there gets its place in ``folder`` when it is complete. A model that
    cannot be loaded, and a disk that is full, cost time but do no harm.
    """
    if folder is None:
        return compiled({})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with TemporaryDirectory(prefix=_PRIVATE, dir=folder) as private:
            return _compiled_in(Path(private), folder, compiled)
    except OSError as error:
        log.warning("compiled models cannot be kept: %s", error)
        return compiled({})


_PRIVATE = "compiling-"
_LONGEST_S = 600.0  # Compiling takes seconds.


def _compiled_in(private: Path, folder: Path, compiled: Callable[[dict[str, str]], _Made]) -> _Made:
    for kept in folder.glob("*.blob"):
        os.link(kept, private / kept.name)
    known = {file.name: file.stat().st_ino for file in private.iterdir()}
    try:
        made = compiled({"CACHE_DIR": str(private)})
    except RuntimeError:
        log.warning("a compiled model in %s could not be used; all are made anew", folder)
        for name in known:
            (folder / name).unlink(missing_ok=True)
        return compiled({})
    for file in private.iterdir():
        if known.get(file.name) != file.stat().st_ino:  # New, or made anew: it was broken.
            _flush(file)
            file.replace(folder / file.name)
    return made


def _sweep(folder: Path) -> None:
    """Remove what killed processes left."""
    for private in folder.glob(f"{_PRIVATE}*"):
        with suppress(OSError):
            if time.time() - private.stat().st_mtime > _LONGEST_S:
                shutil.rmtree(private)


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
