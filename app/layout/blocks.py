"""What stands on a page: paragraphs and tables, in reading order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, Paragraph, Table, Word
from app.layout.order import paragraphs
from app.layout.rules import find_rules
from app.layout.tables import drawn_tables, may_hold_tables


def blocks(
    lines: Sequence[Line], load: Callable[[], NDArray[np.uint8]], width: float, height: float
) -> tuple[Paragraph | Table, ...]:
    """The lines of a page of ``width`` × ``height`` pixels as blocks.

    No word is lost or invented; one that runs over the rule between two cells is parted there.
    ``load`` gives the page's picture, and is called only where there may be a table.
    """
    if not may_hold_tables(lines):
        return paragraphs(lines, width, height)
    tables, others = drawn_tables(lines, find_rules(load()), width, height)
    if not tables:
        return paragraphs(lines, width, height)
    # In the reading order a table counts as a line that stands where its first row begins.
    size = median(line.box.height for line in lines)
    places = {
        replace(box, bottom=min(box.bottom, box.top + size)): table
        for table in tables
        for box in (table.box,)
    }
    stand_ins = [Line((Word(_STAND_IN, place),), place) for place in places]
    ordered = paragraphs([*others, *stand_ins], width, height)
    return tuple(block for paragraph in ordered for block in _restored(paragraph, places))


_STAND_IN = "\ufffc"


def _restored(paragraph: Paragraph, places: Mapping[Box, Table]) -> Iterator[Paragraph | Table]:
    """The paragraph, and the tables whose stand-ins it took in."""
    lines: list[Line] = []
    for line in paragraph.lines:
        words: list[Word] = []
        for word in line.words:
            table = places.get(word.box) if word.text == _STAND_IN else None
            if table is None:
                words.append(word)
                continue
            lines += _line(line, words)
            yield from _paragraph(lines)
            yield table
            lines, words = [], []
        lines += _line(line, words)
    yield from _paragraph(lines)


def _line(line: Line, words: Sequence[Word]) -> list[Line]:
    if len(words) == len(line.words):
        return [line]
    box = Box.around(word.box for word in words) if words else line.box
    return [replace(line, words=tuple(words), box=box)] if words else []


def _paragraph(lines: Sequence[Line]) -> list[Paragraph]:
    return [Paragraph(tuple(lines), Box.around(line.box for line in lines))] if lines else []
