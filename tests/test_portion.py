"""Pages in a file: what is read from it is what was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.document import (
    Align,
    Box,
    Cell,
    Kind,
    Line,
    Page,
    Paragraph,
    Picture,
    Style,
    Table,
    Word,
)
from app.errors import AppError, InternalError, InvalidFile, TimedOut
from app.portion import Portion, slim

BOX = Box(1, 2.5, 30, 40)


def _page(number: int = 1) -> Page:
    words = (Word("深度", BOX, 0.5), Word("學習", BOX, 1.0, spaced=False), Word("ab", BOX))
    line = Line(words, BOX, slope=0.25, style=Style(12, bold=True, colour=0xFF0000), given=True)
    text = Paragraph((line, Line((), BOX)), BOX, Kind.ITEM, 2, Align.CENTER, column=BOX)
    table = Table((Cell(0, 0, 1, 2, (text,), BOX),), 1, 2, BOX, heads=1, continues=True)
    picture = Picture(BOX, b"\x89PNG\xff\x00", (text,))
    return Page(number, 100, 200, 72, (text, table, picture), True, turns=3)


@pytest.mark.parametrize(
    "fault", [None, InvalidFile("bad"), TimedOut("slow"), InternalError("")], ids=repr
)
def test_there_and_back(tmp_path: Path, fault: AppError | None) -> None:
    """Every kind of block, and why pages failed."""
    portion = Portion((_page(1), _page(2)), 2, (1,), fault, ("hidden sheets: a",))

    portion.save(tmp_path / "saved")
    read = Portion.saved(tmp_path / "saved")

    assert (read.pages, read.recognized, read.failed) == (portion.pages, 2, (1,))
    assert read.left_out == portion.left_out
    assert type(read.fault) is type(fault)
    assert str(read.fault) == str(fault)


def test_numbers_of_numpy(tmp_path: Path) -> None:
    """Engines measure with them; nothing else tells them from others."""
    numbers: list[Any] = [np.float64(1.5), np.float32(2), np.int64(3), np.int32(4)]
    box = Box(*numbers)
    line = Line((Word("a", box, numbers[1]),), box)
    page = Page(1, numbers[2], 10, 72, (Paragraph((line,), box),), recognized=True)

    Portion((page,)).save(tmp_path / "saved")

    assert Portion.saved(tmp_path / "saved").pages == (page,)


def test_slim() -> None:
    """Where no word has to be found again, lines are whole; their text and looks stay."""
    page = _page()
    assert slim(page, exact=True) == page

    found = slim(page, exact=False)

    assert [line.text for line in found.lines] == [line.text for line in page.lines]
    assert [line.style for line in found.lines] == [line.style for line in page.lines]
    assert {len(line.words) for line in found.lines} == {0, 1}
    assert found.lines[0].confidence == pytest.approx(page.lines[0].confidence)
