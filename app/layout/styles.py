"""How recognized text looks: size, weight and colour, from the ink of its lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Line, Style, colour_of, is_unspaced
from app.layout.ink import band_of, ink_in

Image = NDArray[np.uint8]


def styled(lines: Sequence[Line], image: Image) -> tuple[Line, ...]:
    """The lines with their styles, as seen on ``image``, shape (height, width, 3).

    Sizes that hardly differ are made one; text is bold where its strokes are thicker, for its
    size, than those of most of the page.
    """
    texts = [line.text for line in lines]
    found = [_seen(line, text, image) for line, text in zip(lines, texts, strict=True)]
    lengths = list(map(len, texts))
    sizes = _alike([(size, length) for (size, _, _), length in zip(found, lengths, strict=True)])
    han = list(map(_is_han, texts))
    usual = [
        _usual(
            [
                (stroke, length)
                for (_, stroke, _), length, is_one in zip(found, lengths, han, strict=True)
                if stroke > 0 and is_one == kind
            ]
        )
        for kind in (False, True)
    ]
    return tuple(
        replace(
            line,
            style=Style(
                round(size, 1),
                bold=stroke > (_BOLD if length > _SHORT else _BOLD_SHORT) * usual[is_one] > 0,
                colour=colour,
            ),
        )
        for line, (_, stroke, colour), size, length, is_one in zip(
            lines, found, sizes, lengths, han, strict=True
        )
    )


_BOLD = 1.25  # Times the usual thickness of strokes, for their size; 1.4 is usual,
_BOLD_SHORT = 1.45  # but a few letters may happen to have thick strokes.
_SHORT = 4
_SMALLEST = 16.0  # Pixels of an em; smaller strokes are a pixel or two, whatever their weight.
_FAINTEST = 40  # The least difference of ink and paper, in levels of grey.
_BOX_TO_SIZE = 0.7  # Of the height of a box around a line, which has some room to spare.
_LEAST_OF_BOX, _MOST_OF_BOX = 0.6, 1.6  # Of what the box tells; else we saw something else.
_SAME = 1.12  # Sizes that differ less are one: how high a line is depends on its letters.


def _is_han(text: str) -> bool:
    return not text.isascii() and 2 * sum(map(is_unspaced, text)) > len(text)


def _seen(line: Line, text: str, image: Image) -> tuple[float, float, int | None]:
    """Size in pixels, thickness of strokes in parts of it (0 if not known), and colour."""
    box = line.box
    fall = 0.0 if line.vertical else line.slope * box.width
    size = max(1.0, (box.width if line.vertical else box.height - abs(fall)) * _BOX_TO_SIZE)
    found = ink_in(box, image)
    if found is None:
        return size, 0.0, None
    part, grey, ink, level, light = found
    full = cv2.countNonZero(ink)
    # What is at the edges of letters is half paper.
    core = np.asarray(grey > (level + 255) // 2 if light else grey <= (level + 1) // 2, np.uint8)
    of = core if cv2.countNonZero(core) > full / 4 else ink
    colour = colour_of(*(round(value) for value in cv2.mean(part, mask=of)[:3]))
    # The mean of the paper follows from those of the ink and of both.
    away = abs(cv2.mean(grey, mask=ink)[0] - cv2.mean(grey)[0]) * grey.size
    if away < _FAINTEST * (grey.size - full):
        return size, 0.0, None
    if not line.vertical:
        seen = _em(text, ink, fall)
        if seen is not None and _LEAST_OF_BOX * size < seen < _MOST_OF_BOX * size:
            size = seen
    size = min(size, _pitch(text, line))
    if size < _SMALLEST:
        return size, 0.0, colour
    # A stroke of length l and thickness t has an area of l t, and is crossed about l times.
    crossed = int(np.count_nonzero(ink[:, 1:] > ink[:, :-1]))
    crossed += int(np.count_nonzero(ink[1:] > ink[:-1]))
    return size, full / max(1, crossed) / size, colour


# How high ink stands, in parts of the font's size: measured on 1,199 lines of born-digital pages.
_HAN, _TALL, _LOW = 0.93, 0.72, 0.5
_ASCENDING = frozenset("bdfhklt0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ()[]{}/|!?\"'")
_BELOW = ((frozenset("gjpqy"), 0.18), (frozenset("()[]{}|"), 0.15), (frozenset(",;Q"), 0.1))


def _em(text: str, ink: Image, fall: float) -> float | None:
    """The size of the font from how high its ink stands, which depends on the letters."""
    if text.isascii():
        share = _LOW if _ASCENDING.isdisjoint(text) else _TALL
        share += next((depth for some, depth in _BELOW if not some.isdisjoint(text)), 0.0)
    elif any(map(is_unspaced, text)):
        share = _HAN
    else:
        return None
    band = band_of(ink, fall)
    return None if band is None else (band[1] - band[0]) / share


def _pitch(text: str, line: Line) -> float:
    """The size of the font from how long Han text is: no character is longer."""
    wide = 0 if text.isascii() else sum(map(is_unspaced, text))
    if wide < _FEWEST_HAN or wide < 0.7 * len(text):
        return float("inf")
    along, across = line.box.width, line.box.height
    if line.vertical:
        along, across = across, along
    room = 0.25 * across  # Of the box, at both ends.
    return (along - room) / (wide + 0.5 * (len(text) - wide))


_FEWEST_HAN = 8


def _usual(weighted: Sequence[tuple[float, int]]) -> float:
    """The median, each value as often as its weight says; 0 if there is none."""
    ordered = sorted(weighted)
    half = sum(weight for _, weight in ordered) / 2
    for value, weight in ordered:
        half -= weight
        if half <= 0:
            return value
    return 0.0


def _alike(weighted: Sequence[tuple[float, int]]) -> list[float]:
    """The values, those that hardly differ made one: the commonest first."""
    order = sorted(range(len(weighted)), key=lambda n: weighted[n][0])
    groups: list[list[int]] = []
    for n in order:
        middle = median(weighted[m][0] for m in groups[-1]) if groups else 0.0
        if groups and weighted[n][0] <= middle * _SAME:
            groups[-1].append(n)
        else:
            groups.append([n])
    values = [0.0] * len(weighted)
    for group in groups:
        usual = _usual([weighted[n] for n in group])
        for n in group:
            values[n] = usual
    return values
