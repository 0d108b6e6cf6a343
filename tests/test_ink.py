"""Boxes as high as the ink in them."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from app.document import Box, Cell, Line, Paragraph, Picture, Table, Word, with_lines
from app.interfaces import Image
from app.layout.ink import band_of, ink_in, tightened


def drawn(text: str, ground: str = "white", colour: str = "black") -> tuple[Line, Image, Box]:
    """A line in a box with room to spare, its page, and where its ink is."""
    image = PIL.Image.new("RGB", (900, 200), ground)
    draw = PIL.ImageDraw.Draw(image)
    font = PIL.ImageFont.load_default(40)
    draw.text((50, 80), text, colour, font)
    left, top, right, bottom = (float(side) for side in draw.textbbox((50, 80), text, font))
    box = Box(left - 5, top - 18, right + 5, bottom + 18)
    line = Line((Word(text, box),), box)
    return line, np.asarray(image), Box(left, top, right, bottom)


def test_boxes_end_where_ink_ends() -> None:
    for ground, colour in (("white", "black"), ("navy", "yellow")):
        line, image, ink = drawn("HELLO 2019", ground, colour)

        found = tightened(line, image)

        assert abs(found.box.top - ink.top) < 4
        assert abs(found.box.bottom - ink.bottom) < 4
        assert found.box.left == line.box.left
        assert found.words[0].box == found.box


def test_leaning_lines_have_leaning_words() -> None:
    first, second = Box(0, 40, 200, 90), Box(600, 70, 800, 120)
    image = np.full((200, 900, 3), 255, np.uint8)
    image[55:80, 10:190] = image[85:110, 610:790] = 0
    box = Box.around([first, second])
    line = Line((Word("one", first), Word("two", second)), box, slope=0.05)

    found = tightened(line, image)

    one, two = (word.box for word in found.words)
    assert abs(two.top - one.top - 30) < 6
    assert one.height < 40


def test_what_shows_no_ink_stays() -> None:
    line, image, _ = drawn("HELLO")
    blank = np.full_like(image, 255)

    assert tightened(line, blank) == line
    assert ink_in(Box(5, 5, 6, 6), image) is None
    assert band_of(np.zeros((20, 20), np.uint8), 0.0) is None


def test_strokes_apart_are_one_character_and_neighbouring_lines_are_none() -> None:
    """As in 三; what reaches into the box from above or below touches its edge."""
    image = np.full((60, 60, 3), 255, np.uint8)
    for stroke in (slice(16, 19), slice(27, 29), slice(38, 42)):
        image[stroke, 10:50] = 0
    image[:5, 20:40] = image[57:, 20:40] = 0
    box = Box(0, 0, 60, 60)

    found = tightened(Line((Word("三", box),), box), image)

    assert (found.box.top, found.box.bottom) == (16, 42)


def test_lines_are_changed_wherever_they_stand() -> None:
    box = Box(0, 0, 10, 10)
    line = Line((Word("a", box),), box)
    inside = Paragraph((line,), box)
    table = Table((Cell(0, 0, 1, 1, (inside,), box),), 1, 1, box)
    moved = Line((Word("b", box),), Box(5, 5, 20, 20))

    for block in (inside, table, Picture(box, b"", (inside,))):
        found = with_lines(block, lambda _: moved)
        if isinstance(found, Table):
            (found,) = found.cells[0].paragraphs
        elif isinstance(found, Picture):
            (found,) = found.paragraphs
        assert isinstance(found, Paragraph)
        assert found.lines == (moved,)
        assert found.box == moved.box
