"""Documents that are given back as they are: how many pages they have, and their pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app import media
from app.converters import workbook
from app.converters.inlays import Inlays
from app.errors import InvalidFile
from app.interfaces import Inlay, SourcePage
from app.package import Package, open_package


def open_kept(path: Path, kind: str, inlays: Inlays) -> KeptDocument:
    """The package at ``path``, of the media type ``kind``. Raises InvalidFile, TooLarge."""
    with open_package(path) as package:
        package.check()
        count, places = _READERS[kind](package)
        pictures = inlays.extract(package, places)
    return KeptDocument(path, count, places, pictures)


class KeptDocument:
    """A Word document, presentation or workbook of today's format."""

    def __init__(
        self,
        package: Path,
        page_count: int,
        places: dict[str, frozenset[int]],
        pictures: dict[str, SourcePage],
    ) -> None:
        self.package = package
        self.page_count = page_count
        self._places = places
        self._pictures = pictures

    def inlays(self) -> Iterator[Inlay]:
        """Each distinct picture once."""
        parts: dict[int, list[str]] = {}
        for part, page in self._pictures.items():
            parts.setdefault(page.number, []).append(part)
        images = {page.number: page for page in self._pictures.values()}
        for number, names in parts.items():
            pages = frozenset().union(*(self._places[name] for name in names))
            yield Inlay(frozenset(names), pages or frozenset({number}), images[number])


def _document(package: Package) -> tuple[int, dict[str, frozenset[int]]]:
    """Pages as the program counted them that saved the document; it does not say where they end."""
    stories = {package.main}
    for each in package.relations(package.main).values():
        if each.kind in ("header", "footer", "footnotes", "endnotes") and each.target in package:
            stories.add(each.target)
    places = {
        part: frozenset[int]() for story in sorted(stories) for part in images(package, story)
    }
    return _pages_told(package), places


def _presentation(package: Package) -> tuple[int, dict[str, frozenset[int]]]:
    relations = package.relations(package.main)
    slides = [each.target for each in relations.values() if each.kind == "slide"]
    if not slides:
        raise InvalidFile("The presentation has no slides.")
    return len(slides), _places(
        (number, part)
        for number, slide in enumerate(slides, 1)
        for part in (images(package, slide) if slide in package else ())
    )


def _workbook(package: Package) -> tuple[int, dict[str, frozenset[int]]]:
    if any(each.kind == "xlMacrosheet" for each in package.relations(package.main).values()):
        raise InvalidFile("The workbook has macros of a kind that cannot be left out.")
    sheets = [part for _, part in workbook.sheet_parts(package)]
    return len(sheets), _places(
        (number, part)
        for number, sheet in enumerate(sheets, 1)
        for drawing in workbook.drawing_parts(package, sheet)
        for part in images(package, drawing)
    )


_READERS = {media.DOCX: _document, media.PPTX: _presentation, media.XLSX: _workbook}


def images(package: Package, part: str) -> Iterator[str]:
    """The images that ``part`` refers to."""
    for each in package.relations(part).values():
        if each.kind == "image" and each.target in package:
            yield each.target


def _places(found: Iterator[tuple[int, str]]) -> dict[str, frozenset[int]]:
    places: dict[str, frozenset[int]] = {}
    for number, part in found:
        places[part] = places.get(part, frozenset()) | {number}
    return places


def _pages_told(package: Package) -> int:
    for each in package.relations("").values():
        if each.kind == "extended-properties" and each.target in package:
            told = package.tree(each.target).findtext("{*}Pages") or ""
            if told.strip().isdecimal():
                return max(1, int(told[:9]))
    return 1
