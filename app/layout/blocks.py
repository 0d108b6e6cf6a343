"""What stands on a page: paragraphs, tables and pictures, in reading order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.document import Block, Box, Line, Paragraph, Picture, Rule, Rules, Table, Word
from app.layout.aligned import aligned_tables, ruled_tables
from app.layout.drawn import drawn_tables, may_hold_tables
from app.layout.formulas import has_formulas, with_formulas
from app.layout.frame import Frame, Item, rows
from app.layout.grid import is_inside
from app.layout.kinds import aligned, aligned_cells, classified
from app.layout.order import flowing, paragraphs, regions
from app.layout.pictures import cut_out, find_pictures
from app.layout.rules import find_rules

Image = NDArray[np.uint8]


def blocks(
    lines: Sequence[Line],
    load: Callable[[], Image] | None,
    width: float,
    height: float,
    looks: bool = False,
    drawn: Callable[[], Rules | None] | None = None,
) -> tuple[Block, ...]:
    """The lines of a page of ``width`` × ``height`` pixels as blocks.

    No word is lost or invented; one that runs over the rule between two cells is parted there.
    ``load`` gives the page's picture, and is called only where there may be a table whose rules
    ``drawn`` does not tell, or if it matters how the page ``looks``: then pictures are found.
    """
    lines = [line for line in lines if line.words]
    rules: Rules | None = Rules()
    if looks or may_hold_tables(lines):
        rules = drawn() if drawn is not None else None
    plain = rules is not None and (not looks or (rules.alone and not has_formulas(lines)))
    image = load() if load is not None and not plain else None
    if rules is None:
        rules = Rules() if image is None else find_rules(image)
    tables, others = drawn_tables(lines, rules, width, height)
    frame = Frame.of(others, width)
    items = [Item(line, frame(line.box)) for line in others]
    if not frame.vertical:
        more, items = ruled_tables(items, _level(rules, frame), frame)
        tables += more
    tables = [aligned_cells(table) for table in tables]
    others = [item.line for item in items]
    pictures: list[Picture] = []
    if looks and image is not None:
        pictures, others = _pictures(image, others, tables, width)
    found = classified(_ordered(others, [*tables, *pictures], width), height)
    if looks and image is not None:
        found = tuple(with_formulas(found, image, width / image.shape[1]))
    return found


def _pictures(
    image: Image, lines: Sequence[Line], tables: Sequence[Table], width: float
) -> tuple[list[Picture], list[Line]]:
    """The pictures on a page with the text in them, and the lines that stand in none."""
    scale = width / image.shape[1]
    # What was read in pictures of a page with a text of its own does not hide them.
    own = [line for line in lines if line.given] or lines
    pixels = [_scaled(line.box, 1 / scale) for line in own]
    places = find_pictures(image, pixels, [_scaled(table.box, 1 / scale) for table in tables])
    left = list(lines)
    pictures: list[Picture] = []
    for place in places:
        box = _scaled(place, scale)
        inside = [line for line in left if is_inside(line.box, box)]
        if _is_ground(inside, lines) or any(is_inside(table.box, box) for table in tables):
            continue
        taken = set(map(id, inside))
        left = [line for line in left if id(line) not in taken]
        pictures.append(Picture(box, cut_out(image, place), paragraphs(inside, width)))
    return pictures, left


def _is_ground(inside: Sequence[Line], lines: Sequence[Line]) -> bool:
    """Whether the text in a picture is that of the page: it shows paper on a desk, or a slide."""
    written, all_of_it = (sum(len(line.text) for line in part) for part in (inside, lines))
    return len(inside) >= _MANY_LINES and written > _MUCH_TEXT * all_of_it


_MANY_LINES = 6
_MUCH_TEXT = 0.3  # Of the page's.


def _scaled(box: Box, by: float) -> Box:
    return Box(box.left * by, box.top * by, box.right * by, box.bottom * by)


def _ordered(lines: Sequence[Line], placed: Sequence[Table | Picture], width: float) -> list[Block]:
    """The lines as paragraphs and tables, with what is ``placed``, in reading order."""
    # In the reading order that counts as a line that stands where it begins.
    size = _size(lines) if lines else 1.0
    places: dict[Box, Table | Picture] = {}
    for each in placed:
        place = each.box._replace(bottom=min(each.box.bottom, each.box.top + size))
        while place in places:
            place = place._replace(bottom=place.bottom + 1)
        places[place] = each
    stand_ins = [Line((Word(_STAND_IN, box),), box) for box in places]
    frame = Frame.of([*lines, *stand_ins], width)
    items = [Item(line, frame(line.box)) for line in lines]
    items += _level_with_each_other([Item(line, frame(line.box)) for line in stand_ins], size)
    found: list[Block] = []
    for region in regions(items, frame.vertical) if items else []:
        column = Box.around(item.line.box for item in region)
        # No table has another one in it.
        for holds, stretch in groupby(rows(region), key=_holds_placed):
            found_rows = list(stretch)
            plain = holds or frame.vertical
            for part in [found_rows] if plain else aligned_tables(found_rows, frame):
                if isinstance(part, Table):
                    found.append(replace(aligned_cells(part), column=column))
                    continue
                for paragraph in flowing(part):
                    found += (
                        aligned(block, column)
                        if isinstance(block, Paragraph)
                        else replace(block, column=column)
                        for block in _restored(paragraph, places)
                    )
    return found


def _level_with_each_other(items: Sequence[Item], size: float) -> list[Item]:
    """The items, those that begin nearly at one height beside each other at the same one."""
    found: list[Item] = []
    for item in sorted(items, key=lambda item: item.box.top):
        box = item.box
        beside = (
            each.box.top
            for each in found
            if box.top - each.box.top < _NEAR * size
            and (box.left >= each.box.right or box.right <= each.box.left)
        )
        top = next(beside, box.top)
        found.append(Item(item.line, box._replace(top=top, bottom=top + size)))
    return found


_NEAR = 3.0  # Line heights.


def _holds_placed(row: Sequence[Item]) -> bool:
    return any(item.line.text == _STAND_IN for item in row)


_STAND_IN = "\ufffc"


def _size(lines: Sequence[Line]) -> float:
    return median(line.box.height for line in lines)


def _level(rules: Rules, frame: Frame) -> list[Rule]:
    """The level rules, in the frame."""
    boxes = [frame(Box(rule.start, rule.at, rule.stop, rule.at)) for rule in rules.level]
    return [Rule(box.top, box.left, box.right) for box in boxes]


def _restored(paragraph: Paragraph, places: Mapping[Box, Table | Picture]) -> Iterator[Block]:
    """The paragraph, and what is placed whose stand-ins it took in."""
    lines: list[Line] = []
    for line in paragraph.lines:
        words: list[Word] = []
        for word in line.words:
            placed = places.get(word.box) if word.text == _STAND_IN else None
            if placed is None:
                words.append(word)
                continue
            lines += _line(line, words)
            yield from _paragraph(lines)
            yield placed
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
