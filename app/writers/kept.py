"""Packages that are given back as they are, but for a few changed parts."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lxml import etree

from app.errors import InvalidFile
from app.package import Package, open_package, parse
from app.writers.text_limits import storable

LONGEST_DESCRIPTION = 2000

Add = Callable[["Edit", Mapping[str, str]], None]
"""Puts the texts of pictures, by part, into a package."""


class Edit:
    """Changes to a package."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self._changed: dict[str, bytes] = {}  # By the name in small letters.
        self._added: dict[str, bytes] = {}
        self._dropped: set[str] = set()

    def tree(self, name: str) -> Any:
        """The root element of a part, with the changes so far."""
        data = self._changed.get(name.lower())
        return self.package.tree(name) if data is None else parse(data)

    def put(self, name: str, root: Any) -> None:
        """Let the part have the root element ``root``."""
        data = etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)
        if name in self.package:
            self._changed[name.lower()] = data
        else:
            self._added[name] = data

    def drop(self, name: str) -> None:
        """Leave the part out."""
        self._dropped.add(name.lower())

    def save(self, target: Path) -> None:
        """Write the package to ``target``, what is not changed as it was."""
        archive = self.package.archive
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
            for part in {part.filename.lower(): part for part in archive.infolist()}.values():
                name = part.filename.lower()
                if name in self._dropped or part.is_dir():
                    continue
                if name in self._changed:
                    copy.writestr(part.filename, self._changed[name])
                    continue
                left = part.file_size
                with archive.open(part) as file, copy.open(_plain(part), "w") as written:
                    while chunk := file.read(2**20):
                        left -= len(chunk)
                        if left < 0:  # More than its head says, which was checked.
                            raise InvalidFile("The document is damaged.")
                        written.write(chunk)
            for name, data in self._added.items():
                copy.writestr(name, data)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was changed."""
        return not (self._changed or self._added or self._dropped)


def write(package: Path, texts: Mapping[str, str], target: Path, add: Add) -> None:
    """Copy ``package`` to ``target`` with ``texts`` added, and without macros.

    A signed document gets nothing added, for that would break its signature.
    """
    with open_package(package) as opened:
        edit = Edit(opened)
        _drop_macros(edit)
        signed = any(each.kind == "origin" for each in opened.relations("").values())
        stored = {part: stored for part, text in texts.items() if (stored := _stored(text))}
        if stored and not signed:
            add(edit, stored)
        if edit.is_empty:
            shutil.copyfile(package, target)
        else:
            edit.save(target)


def described(old: str, text: str) -> str:
    """A picture's description with the ``text`` in it."""
    parts = [part for part in (old.strip(), " ".join(text.split())) if part]
    return "\n".join(parts)[:LONGEST_DESCRIPTION]


def above(element: Any, *names: str) -> Any:
    """The nearest element around ``element`` with one of the local names, or None."""
    return next((each for each in element.iterancestors() if local(each) in names), None)


def local(element: Any) -> str:
    """The name of an element without its namespace; empty for comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def child(parent: Any, tag: str, **attributes: str) -> Any:
    """A new last element of ``parent``, of the name ``{namespace}name``."""
    return etree.SubElement(parent, tag, attributes)


def _stored(text: str) -> str:
    lines = (storable(line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _plain(part: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """A head for a part, with its name and nothing odd."""
    made = zipfile.ZipInfo(part.filename, part.date_time)
    made.compress_type = (
        zipfile.ZIP_STORED if part.compress_type == zipfile.ZIP_STORED else zipfile.ZIP_DEFLATED
    )
    made.file_size = part.file_size
    return made


# Macros. Office opens no file of the plain kinds that has some, nor one that says it is a template.

_TYPES = "[Content_Types].xml"
_MAIN = {
    "word": "wordprocessingml.document",
    "xl": "spreadsheetml.sheet",
    "ppt": "presentationml.presentation",
}
_SPECIAL = ("macroenabled", "template.main", "slideshow.main")


def _drop_macros(edit: Edit) -> None:
    package = edit.package
    gone: set[str] = set()
    for each in package.relations(package.main).values():
        if each.kind == "vbaProject" and each.target in package:
            beside = [other.target for other in package.relations(each.target).values()]
            gone.update((each.target, relations_of(each.target), *beside))
    for part in gone:
        edit.drop(part)
    if gone:
        name = relations_of(package.main)
        root = edit.tree(name)
        for each in list(root):
            if local(each) and each.get("Type", "").endswith("/vbaProject"):
                root.remove(each)
        edit.put(name, root)
    types = edit.tree(_TYPES)
    main = _MAIN.get(package.main.partition("/")[0].lower())
    changed = False
    for each in list(types):
        part = each.get("PartName", "").lstrip("/") if local(each) else ""
        special = any(word in each.get("ContentType", "").lower() for word in _SPECIAL)
        if part.lower() in {name.lower() for name in gone}:
            types.remove(each)
            changed = True
        elif part.lower() == package.main.lower() and main is not None and special:
            each.set(
                "ContentType", f"application/vnd.openxmlformats-officedocument.{main}.main+xml"
            )
            changed = True
    if changed:
        edit.put(_TYPES, types)


def relations_of(part: str) -> str:
    """The part in which the relations of ``part`` stand."""
    folder, _, base = part.rpartition("/")
    return f"{folder}/_rels/{base}.rels" if folder else f"_rels/{base}.rels"
