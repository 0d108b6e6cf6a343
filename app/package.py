"""Office Open XML packages: their parts, and how these refer to each other."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lxml import etree

from app.errors import InvalidFile, TooLarge
from app.media import open_archive

MAX_PART_BYTES = 256 * 2**20
"""Of a part that is read as a whole."""


@dataclass(frozen=True, slots=True)
class Relation:
    """That one part refers to another."""

    kind: str  # The last word of its type, such as "image".
    target: str  # A part's name; empty if it is outside the package.


class Package:
    """A package, opened for reading; whatever is wrong with its XML is InvalidFile."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self._parts = {part.filename.lower(): part for part in archive.infolist()}
        mains = [each for each in self.relations("").values() if each.kind == "officeDocument"]
        if not mains:
            raise InvalidFile("The document is damaged.")
        self.main = mains[0].target

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._parts

    def size(self, name: str) -> int:
        """How many bytes the part has."""
        return self._part(name).file_size

    def read(self, name: str) -> bytes:
        """The bytes of a part."""
        with self.stream(name) as file:
            data = file.read(MAX_PART_BYTES + 1)
        if len(data) > MAX_PART_BYTES:
            raise TooLarge("A part of the document is too large.")
        return data

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """A part as a file."""
        with self.archive.open(self._part(name)) as file:
            yield file

    def tree(self, name: str) -> Any:
        """The root element of a part."""
        return parse(self.read(name))

    def elements(self, name: str, tags: Sequence[str]) -> Iterator[Any]:
        """Each element with one of the local names ``tags``, once it is complete.

        It is emptied afterwards, so that memory does not grow with the part.
        """
        with self.stream(name) as file:
            try:
                for _, element in etree.iterparse(
                    file,
                    events=("end",),
                    tag=[f"{{*}}{tag}" for tag in tags],
                    resolve_entities=False,
                    no_network=True,
                    huge_tree=False,
                ):
                    yield element
                    element.clear()
                    while (before := element.getprevious()) is not None:
                        del before.getparent()[0]
            except etree.LxmlError as error:
                raise InvalidFile("The document is damaged.") from error

    def check(self) -> None:
        """Read all parts: what would harm other readers, or be refused by them, is InvalidFile."""
        for part in self.archive.infolist():
            with self.archive.open(part) as file:
                if part.filename.lower().endswith((".xml", ".rels", ".vml")):
                    _check(file)
                else:
                    while file.read(2**20):
                        pass

    def relations(self, name: str) -> dict[str, Relation]:
        """What the part refers to, by id."""
        folder, base = posixpath.split(name)
        listed = posixpath.join(folder, "_rels", f"{base}.rels")
        if listed not in self:
            return {}
        found = {}
        for each in self.tree(listed).iter("{*}Relationship"):
            outside = each.get("TargetMode", "").lower() == "external"
            target = posixpath.normpath(posixpath.join("/", folder, each.get("Target", "")))
            kind = each.get("Type", "").rpartition("/")[2]
            found[each.get("Id", "")] = Relation(kind, "" if outside else target.lstrip("/"))
        return found

    def _part(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._parts[name.lower()]
        except KeyError as error:
            raise InvalidFile("The document is damaged.") from error


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """The package at ``path``."""
    with open_archive(path) as archive:
        yield Package(archive)


def _check(file: IO[bytes]) -> None:
    """Raise InvalidFile for XML that is not well-formed, or has a DTD."""
    target: Any = _Checker()
    parser: Any = etree.XMLParser(
        target=target, resolve_entities=False, no_network=True, huge_tree=False
    )
    try:
        while chunk := file.read(2**18):
            parser.feed(chunk)
        parser.close()
    except (etree.LxmlError, ValueError) as error:
        raise InvalidFile("The document is damaged.") from error


class _Checker:
    """Takes what is parsed, and keeps nothing of it."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Refuse it: no program for documents writes one."""
        raise ValueError("A part has a DTD.")

    def close(self) -> None:
        """Nothing is made of it."""


def parse(data: bytes) -> Any:
    """The root element of ``data``; entities are not expanded, and a DTD is refused."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError) as error:
        raise InvalidFile("The document is damaged.") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise InvalidFile("The document is damaged.")
    return root


def attribute(element: Any, name: str) -> str:
    """An attribute by its local name, whatever its namespace."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return ""
