"""What stands on a page: paragraphs and tables, in reading order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, Paragraph, Table, Word
from app.layout.aligned import aligned_tables, ruled_tables
from app.layout.drawn import drawn_tables, may_hold_tables
from app.layout.frame import Frame, Item, rows
from app.layout.order import flowing, paragraphs, regions
from app.layout.rules import Rule, Rules, find_rules


def blocks(
    lines: Sequence[Line],
    load: Callable[[], NDArray[np.uint8]] | None,
    width: float,
    height: float,
) -> tuple[Paragraph | Table, ...]:
    """The lines of a page of ``width`` × ``height`` pixels as blocks.

    No word is lost or invented; one that runs over the rule between two cells is parted there.
    ``load`` gives the page's picture, and is called only where there may be a table; without it
    no rules are seen.
    """
    lines = [line for line in lines if line.words]
    if not may_hold_tables(lines):
        return paragraphs(lines, width)
    rules = Rules() if load is None else find_rules(load())
    tables, others = drawn_tables(lines, rules, width, height)
    frame = Frame.of(others, width)
    items = [Item(line, frame(line.box)) for line in others]
    if not frame.vertical:
        more, items = ruled_tables(items, _level(rules, frame), frame)
        tables += more
    # In the reading order a table counts as a line that stands where its first row begins.
    places = {
        replace(table.box, bottom=min(table.box.bottom, table.box.top + _size(lines))): table
        for table in tables
    }
    left = [item.line for item in items]
    left += [Line((Word(_STAND_IN, box),), box) for box in places]
    frame = Frame.of(left, width)
    items = [Item(line, frame(line.box)) for line in left]
    found: list[Paragraph | Table] = []
    for region in regions(items):
        # No table has another one in it.
        for placed, stretch in groupby(rows(region), key=_holds_table):
            found_rows = list(stretch)
            plain = placed or frame.vertical
            for part in [found_rows] if plain else aligned_tables(found_rows, frame):
                if isinstance(part, Table):
                    found.append(part)
                else:
                    for paragraph in flowing(part):
                        found += _restored(paragraph, places)
    return tuple(found)


def _holds_table(row: Sequence[Item]) -> bool:
    return any(item.line.text == _STAND_IN for item in row)


_STAND_IN = "\ufffc"


def _size(lines: Sequence[Line]) -> float:
    return float(np.median([line.box.height for line in lines]))


def _level(rules: Rules, frame: Frame) -> list[Rule]:
    """The level rules, in the frame."""
    boxes = [frame(Box(rule.start, rule.at, rule.stop, rule.at)) for rule in rules.level]
    return [Rule(box.top, box.left, box.right) for box in boxes]


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
