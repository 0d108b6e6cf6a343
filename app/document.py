"""What was read: boxes, words, lines, paragraphs, pages, documents; all of it frozen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Box(NamedTuple):  # As of words, there are thousands on a page: they are made in no time.
    """A rectangle in pixels of its page; origin top left, y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    @staticmethod
    def around(boxes: Iterable[Box]) -> Box:
        """The smallest box that holds all ``boxes``, of which there is at least one."""
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return Box(min(lefts), min(tops), max(rights), max(bottoms))


class Word(NamedTuple):
    """Characters without white space that stand together; in Han text, a run of characters."""

    text: str
    box: Box
    confidence: float = 1.0
    spaced: bool = True  # A space stands between the word before and this one.


@dataclass(frozen=True, slots=True)
class Style:
    """How text looks, as far as that can be told."""

    size: float  # Of the font (an em), in pixels of the page.
    bold: bool = False
    italic: bool = False
    colour: int | None = None  # 0xRRGGBB; None for black and for what is no colour.
    family: str | None = None  # "serif", "sans" or "mono", if known.


@dataclass(frozen=True)
class Line:
    """Words in logical order (the order in which they are read aloud) on one base line."""

    words: tuple[Word, ...]
    box: Box
    vertical: bool = False  # Characters run from top to bottom.
    slope: float = 0.0  # Pixels that a horizontal line falls with each pixel to the right.
    style: Style | None = None  # That of most of its words.
    given: bool = False  # The source has it as text, in this place.

    @cached_property  # It is asked for often.
    def text(self) -> str:
        """The words with the spaces that stand between them."""
        return "".join(
            " " + word.text if word.spaced and n else word.text for n, word in enumerate(self.words)
        )

    @property
    def confidence(self) -> float:
        """The mean over the characters, 0 to 1."""
        characters = sum(len(word.text) for word in self.words)
        total = sum(word.confidence * len(word.text) for word in self.words)
        return total / characters if characters else 0.0


class Kind(StrEnum):
    """What a paragraph is on its page."""

    TEXT = "text"
    HEADING = "heading"
    ITEM = "item"  # Of a list, with its mark.
    CAPTION = "caption"
    HEADER = "header"  # At the head of the page, apart from its text.
    FOOTER = "footer"


class Align(StrEnum):
    """Where the lines of a paragraph stand in their column."""

    START = "start"
    CENTER = "center"
    END = "end"
    JUSTIFY = "justify"


@dataclass(frozen=True)
class Paragraph:
    """Lines that belong together, in reading order."""

    lines: tuple[Line, ...]
    box: Box
    kind: Kind = Kind.TEXT
    level: int = 1  # Of a heading, 1 to 3; of an item, by its indent.
    align: Align = Align.START
    column: Box | None = None  # Of text, in which it stands.

    @cached_property
    def text(self) -> str:
        """The lines as one flowing text: spaces where a space was, none between Han characters.

        A word that was divided at the end of a line is put together.
        """
        text = ""
        for line in self.lines:
            joined = line.text
            if is_divided(text, joined):
                text = text[:-1]
            elif text and joined and not (is_unspaced(text[-1]) or is_unspaced(joined[0])):
                text += "" if _HYPHENED.search(text) and joined[0].isalpha() else " "
            text += joined
        return text

    @cached_property
    def line_texts(self) -> tuple[str, ...]:
        """The lines one by one; a word that was divided stands where it begins."""
        texts = [line.text for line in self.lines]
        for n in range(len(texts) - 1):
            if is_divided(texts[n], texts[n + 1]):
                rest, _, texts[n + 1] = texts[n + 1].partition(" ")
                texts[n] = texts[n][:-1] + rest
                if not texts[n + 1]:  # It may be divided again.
                    texts[n], texts[n + 1] = "", texts[n]
        return tuple(texts)

    @cached_property
    def style(self) -> Style | None:
        """That of most of its characters."""
        counts: dict[Style, int] = {}
        for line in self.lines:
            if line.style is not None:
                counts[line.style] = counts.get(line.style, 0) + len(line.text)
        return max(counts, key=lambda style: counts[style]) if counts else None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table, which may span several rows and columns."""

    row: int  # Of its upper left corner, from 0.
    column: int
    row_span: int
    column_span: int
    paragraphs: tuple[Paragraph, ...]
    box: Box


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in rows and columns, row by row; each place of the grid belongs to one of them."""

    cells: tuple[Cell, ...]
    rows: int
    columns: int
    box: Box
    drawn: bool = True  # With rules around its cells; white space alone parts them if not.
    heads: int = 0  # Rows at the top that are headings, as far as they can be told.
    column: Box | None = None
    continues: bool = False  # The last table of the page before goes on in this one,
    repeats: int = 0  # whose first rows are so many of that one's headings again.


@dataclass(frozen=True, slots=True)
class Picture:
    """What is neither text nor table: a photo, a drawing, a chart."""

    box: Box
    data: bytes  # A PNG or JPEG file.
    paragraphs: tuple[Paragraph, ...] = ()  # The text in it.
    column: Box | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line, level or upright, in pixels of its page."""

    at: float  # The y of a level one, the x of an upright one.
    start: float  # Its left or upper end,
    stop: float  # and the other one.


@dataclass(frozen=True, slots=True)
class Rules:
    """What is drawn on a page."""

    level: tuple[Rule, ...] = ()
    upright: tuple[Rule, ...] = ()
    alone: bool = False  # Nothing else is drawn than text and its grounds: there is no picture.


Block = Paragraph | Table | Picture


def with_lines(block: Block, change: Callable[[Line], Line]) -> Block:
    """The block, each of its lines changed."""

    def changed(paragraph: Paragraph) -> Paragraph:
        lines = tuple(map(change, paragraph.lines))
        return replace(paragraph, lines=lines, box=Box.around(line.box for line in lines))

    if isinstance(block, Paragraph):
        return changed(block)
    if isinstance(block, Picture):
        return replace(block, paragraphs=tuple(map(changed, block.paragraphs)))
    cells = tuple(
        replace(cell, paragraphs=tuple(map(changed, cell.paragraphs))) for cell in block.cells
    )
    return replace(block, cells=cells)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a document."""

    number: int  # From 1.
    width: float  # Pixels at ``dpi``, of the page as it is read: set upright.
    height: float
    dpi: float
    blocks: tuple[Block, ...]  # In reading order.
    recognized: bool  # Whether recognition ran; a text layer that was used counts as not.
    picture: Path | None = None  # The page as an image file, where the source was an image.
    turns: int = 0  # Quarter turns to the left that set it upright; the picture is not turned.
    load: Callable[[], NDArray[np.uint8]] | None = None  # Renders it, not turned; may be slow.
    endless: bool = False  # A sheet, not of paper: as large as what stands on it.

    @property
    def paragraphs(self) -> tuple[Paragraph, ...]:
        """All paragraphs in reading order, those in tables cell by cell, those in pictures too."""
        found: list[Paragraph] = []
        for block in self.blocks:
            if isinstance(block, Paragraph):
                found.append(block)
            elif isinstance(block, Picture):
                found += block.paragraphs
            else:
                found += [paragraph for cell in block.cells for paragraph in cell.paragraphs]
        return tuple(found)

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines in reading order."""
        return tuple(line for paragraph in self.paragraphs for line in paragraph.lines)

    @property
    def new_lines(self) -> tuple[Line, ...]:
        """Those that recognition found, and that the source does not have as text."""
        return tuple(line for line in self.lines if self.recognized and not line.given)


@dataclass(frozen=True, slots=True)
class Document:
    """The pages on their way to a writer.

    ``pages`` can be walked through once, in order, and may recognize each page only when it is
    asked for: a writer that keeps no page keeps the memory constant.
    """

    pages: Iterable[Page]
    original: Path | None = None  # The unlocked PDF whose pages these are, if they come from one.
    languages: tuple[str, ...] = ()  # Tags (BCP 47) of those that it was read in.


def colour_of(red: int, green: int, blue: int) -> int | None:
    """The colour as 0xRRGGBB; None for greys, and for what could not be read on white paper."""
    light = 0.3 * red + 0.59 * green + 0.11 * blue
    if max(red, green, blue) - min(red, green, blue) < _GREY or light > _LIGHT:
        return None
    return red << 16 | green << 8 | blue


_GREY, _LIGHT = 40, 185  # Levels: how far a colour is from grey, and from white.


# Ranges of scripts that are written without spaces between words.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3000, 0x312F),  # CJK marks, kana, Bopomofo
    (0x3190, 0x4DBF),  # kanbun, enclosed CJK, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # compatibility Han
    (0xFE30, 0xFE4F),  # vertical forms
    (0xFF00, 0xFFEF),  # full-width forms
    (0x20000, 0x3FFFF),  # Han extensions
)


def is_divided(line: str, following: str) -> bool:
    """Whether ``line`` ends with a hyphen that only stands there because the line ends."""
    return line.endswith("-") and following[:1].islower() and _DIVIDED.search(line) is not None


_HYPHENED = re.compile(r"[^\W\d_]-$")
# Not after prefixes that are written with a hyphen.
_DIVIDED = re.compile(r"(?<!\bnon)(?<!\bself)(?<!\bwell)(?<!-)(?<=[^\W\d_]{2})-$")


@lru_cache(2**14)
def is_unspaced(character: str) -> bool:
    """Whether ``character`` belongs to a script that puts no spaces between words."""
    code = ord(character)
    return code >= 0x0E00 and any(first <= code <= last for first, last in _UNSPACED)
