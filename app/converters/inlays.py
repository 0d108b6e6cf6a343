"""Pictures inside Office documents: which are worth reading, and their images."""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.converters.drawings import Drawings, size_of
from app.errors import InvalidFile, TimedOut, TooLarge, ToolFailed
from app.interfaces import Converter, Image, Keepsake, SourcePage
from app.media import drawing_kind
from app.package import Package

log = logging.getLogger(__name__)

MAX_PICTURES = 500
MAX_PICTURES_PIXELS = 1_000_000_000
"""Of all pictures of a document together."""

_MAX_BYTES = 64 * 2**20
_SHORTEST, _SMALLEST = 16, 3000  # Pixels of a side, and in all, of what may hold words.


class Inlays:
    """Takes pictures out of packages, into the folder ``work``."""

    def __init__(self, images: Converter, work: Path, drawings: Drawings | None = None) -> None:
        self._images = images
        self._work = work
        self._drawings = drawings

    def extract(self, package: Package, parts: Iterable[str]) -> dict[str, SourcePage]:
        """The pictures by part; the same one is the same page, small and odd ones are left out."""
        found: dict[str, SourcePage] = {}
        known: dict[bytes, SourcePage | None] = {}
        pixels = 0.0
        for part in parts:
            if part not in package or not 0 < package.size(part) <= _MAX_BYTES:
                continue
            data = package.read(part)
            digest = hashlib.sha256(data).digest()
            if digest not in known:
                # Never called as in the package, whose names are strangers'.
                path = self._work / f"inlay-{len(known) + 1}"
                path.write_bytes(data)
                page = self._page(path, len(known) + 1)
                if page is not None:
                    pixels += page.width * page.height
                    if len(set(map(id, found.values()))) >= MAX_PICTURES or (
                        pixels > MAX_PICTURES_PIXELS
                    ):
                        log.warning("The document has too many pictures: some are not read.")
                        break
                known[digest] = page
            if (page := known[digest]) is not None:
                found[part] = page
        return found

    def _page(self, path: Path, number: int) -> SourcePage | None:
        """The picture at ``path``, which may be moved, if it may hold words."""
        try:
            drawing = None
            if self._drawings is not None and (kind := drawing_kind(path)):
                if not _may_hold_words(*(size_of(path, kind) or (math.inf, math.inf))):
                    return None
                drawing = self._drawings.draw(path, kind)
                path = drawing.picture
            with closing(self._opened(path)) as pages:
                page = next(pages)
                shown = path
                if page.picture is not None and page.picture != path:
                    shown = path.with_suffix(".png")
                    shutil.copyfile(page.picture, shown)
            if not _may_hold_words(page.width, page.height):
                return None
            if drawing is not None:
                page = replace(page, lines=drawing.lines, pictures=drawing.pictures)
            return replace(page, number=number, load=partial(self._load, path), picture=shown)
        except (InvalidFile, TooLarge, TimedOut, ToolFailed) as error:  # Or not a picture at all.
            log.info("A picture in the document is left out: %s", error)
            return None

    def _load(self, path: Path) -> Image:
        with closing(self._opened(path)) as pages:
            return next(pages).load()

    def _opened(self, path: Path) -> Generator[SourcePage, None, None]:
        with self._images.open(path, self._work, None) as opened:
            if not isinstance(opened, Keepsake):
                yield from opened.pages()


def _may_hold_words(width: float, height: float) -> bool:
    return min(width, height) >= _SHORTEST and width * height >= _SMALLEST
