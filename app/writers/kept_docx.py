"""Word documents that are given back: text in pictures as their description and as hidden text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.package import attribute
from app.writers import kept
from app.writers.docx import DocxWriter
from app.writers.kept import Edit, above, child, described, local


class DocxKeeper:
    """Gives Word documents back."""

    media_type = DocxWriter.media_type

    def write(self, package: Path, texts: Mapping[str, str], target: Path) -> None:
        """Create ``target``."""
        kept.write(package, texts, target, _add)


_STORIES = ("header", "footer", "footnotes", "endnotes")


def _add(edit: Edit, texts: Mapping[str, str]) -> None:
    package = edit.package
    related = package.relations(package.main).values()
    stories = {each.target for each in related if each.kind in _STORIES} | {package.main}
    for story in sorted(stories):
        if story not in package:
            continue
        words = {
            number: texts[each.target]
            for number, each in package.relations(story).items()
            if each.target in texts
        }
        if words:
            root = edit.tree(story)
            _describe(root, words)
            edit.put(story, root)


def _describe(root: Any, words: Mapping[str, str]) -> None:
    """Add the ``words`` of pictures, by the ids of their relations."""
    done: set[tuple[Any, str]] = set()
    for element, number in list(_shown(root)):
        # What old programs read instead says the same once more.
        if number not in words or above(element, "Fallback") is not None:
            continue
        text = words[number]
        for place, name in _descriptions(element):
            place.set(name, described(place.get(name, ""), text))
        run = above(element, "r")
        if run is not None and (run, number) not in done:
            done.add((run, number))
            _hide(run, text)


def _shown(root: Any) -> Iterator[tuple[Any, str]]:
    for element in root.iter("{*}blip", "{*}imagedata"):
        yield element, attribute(element, "embed") or attribute(element, "id")


def _descriptions(element: Any) -> Iterator[tuple[Any, str]]:
    """Where the description of a picture stands: elements and names of their attributes."""
    if local(element) == "imagedata":
        yield element.getparent(), "alt"
        return
    picture = above(element, "pic")
    if picture is not None:
        yield from ((each, "descr") for each in picture.iterfind("{*}nvPicPr/{*}cNvPr"))
    drawing = above(element, "inline", "anchor")
    # A group of pictures has one description for all of them.
    if drawing is not None and sum(1 for _ in drawing.iter("{*}blip")) == 1:
        yield from ((each, "descr") for each in drawing.iterfind("{*}docPr"))


def _hide(run: Any, text: str) -> None:
    """Put the text after the run of its picture, as a run that is not shown."""
    namespace = run.tag.rpartition("}")[0] + "}"
    hidden = run.makeelement(f"{namespace}r")
    child(child(hidden, f"{namespace}rPr"), f"{namespace}vanish")
    for n, line in enumerate(text.splitlines()):
        if n:
            child(hidden, f"{namespace}br")
        content = child(hidden, f"{namespace}t")
        content.text = f" {line}" if not n else line
        content.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    # A control for a picture holds nothing else.
    control = run.getparent()
    after = control.getparent() if local(control) == "sdtContent" else run
    after.addnext(hidden)
