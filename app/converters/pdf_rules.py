"""The rules of a PDF page, from the lines and bars that it draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from app.converters import pdfium_calls as calls
from app.converters.pdf_sheet import Sheet
from app.document import Rule, Rules

Matrix = tuple[float, float, float, float, float, float]
"""As PDF has it: x' = a x + c y + e, y' = b x + d y + f."""

_Flat = tuple[float, float, float, float]
"""Left, top, right, bottom in PDF's axes."""

# In points.
_THICKEST = 4.0  # What is thicker is a bar or a ground.
_LEANING = 0.7  # How far a rule may fall from one end to the other.
_SAME = 1.0  # Rules that near are one.
_GAP = 3.0  # Between the pieces of one, such as dots.
_SHORTEST = 0.012  # Of the page's longer side.
_GROUND = 0.5  # Of the page's shorter side; bars of charts are not as long.

_MOST_SEGMENTS = 20_000
_MOST = 400  # Each way, the longest.
_PALEST = 243  # Levels of what is seen on white paper.


def rules_of(
    paths: Iterable[tuple[pdfium.FPDF_PAGEOBJECT, Matrix]], sheet: Sheet, scale: float
) -> Rules | None:
    """The level and upright rules that ``paths`` draw, ``scale`` pixels a point.

    They are alone if no path is bent, leans or fills an area, but for grounds under text. None
    where there are more than can be looked at one by one.
    """
    found: list[_Flat] = []
    budget, alone = _MOST_SEGMENTS, True
    ground = _GROUND * min(sheet.width, sheet.height)
    results = calls.Results()
    for path, matrix in paths:
        budget -= 1 + max(0, calls.count_segments(path))
        if budget < 0:
            return None
        straight, covers, plain = _drawn(path, matrix, ground, results)
        alone = alone and plain
        for cover in covers:
            budget -= len(found)
            found = [piece for flat in found for piece in _outside(flat, cover)]
        found += straight
    if not found:
        return Rules(alone=alone)
    boxes = sheet.turned(np.array(found))
    return Rules(
        tuple(_ways(boxes, sheet, scale)),
        tuple(_ways(boxes[:, [1, 0, 3, 2]], sheet, scale, upright=True)),
        alone,
    )


def _ways(
    boxes: NDArray[np.float64], sheet: Sheet, scale: float, upright: bool = False
) -> list[Rule]:
    """The level rules among flat ``boxes`` (start, upper side, stop, lower side), in pixels."""
    start, upper, stop, lower = boxes.T
    across, down = sheet.width, sheet.height
    if upright:
        across, down = down, across
    flat = (stop - start > lower - upper) & (lower - upper <= _THICKEST)
    inside = (upper < down) & (lower > 0) & (start < across) & (stop > 0)
    inside &= (start > _LEANING) | (stop < across - _LEANING)  # Else a band across the page.
    pieces = sorted(
        ((up + low) / 2, max(0.0, first), min(across, last))
        for first, up, last, low in boxes[flat & inside].tolist()
    )
    shortest = _SHORTEST * max(across, down)
    rules = [rule for rule in _joined(pieces) if rule[2] - rule[1] >= shortest]
    rules = sorted(rules, key=lambda rule: rule[1] - rule[2])[:_MOST]
    return [Rule(at * scale, first * scale, last * scale) for at, first, last in rules]


def _joined(
    pieces: list[tuple[float, float, float]],
) -> Iterator[tuple[float, float, float]]:
    """Pieces of lines, by their places, as the lines that they make up."""
    places = [place for place, _, _ in pieces]
    numbers = np.concatenate(([0], np.cumsum(np.diff(places) > _SAME))).tolist() if places else []
    for _, group in groupby(zip(numbers, pieces, strict=True), key=lambda pair: pair[0]):
        level = sorted((piece for _, piece in group), key=lambda piece: piece[1])
        at, first, last = level[0]
        for place, start, stop in level[1:]:
            if start <= last + _GAP:
                last = max(last, stop)
            else:
                yield at, first, last
                at, first, last = place, start, stop
        yield at, first, last


def _outside(flat: _Flat, cover: _Flat) -> Iterator[_Flat]:
    """What is still seen of a line or bar once a box is drawn over it."""
    left, top, right, bottom = flat
    first, upper, last, lower = cover
    if right - left > top - bottom:
        if not lower + _SAME < (top + bottom) / 2 < upper - _SAME or right < first or left > last:
            yield flat
            return
        if left < first:
            yield left, top, first, bottom
        if right > last:
            yield last, top, right, bottom
    else:
        if not first + _SAME < (left + right) / 2 < last - _SAME or top < lower or bottom > upper:
            yield flat
            return
        if top > upper:
            yield left, top, right, upper
        if bottom < lower:
            yield left, lower, right, bottom


def _drawn(
    path: pdfium.FPDF_PAGEOBJECT, matrix: Matrix, ground: float, results: calls.Results
) -> tuple[list[_Flat], list[_Flat], bool]:
    """The straight lines and thin bars of a path, the boxes that it fills, and if that is all.

    Filled boxes that are as long as a ``ground`` lie under text, and are nothing else.
    """
    if not calls.get_draw_mode(path, *results.to_ints[:2]):
        return [], [], True
    fills, strokes = results.ints[:2]
    ink = _colour(calls.get_fill_colour, path, results) if fills else None
    pen = _colour(calls.get_stroke_colour, path, results) if strokes else None
    stroked = pen is not None and _is_seen(pen)
    filled = ink is not None and _is_seen(ink)
    opaque = ink is not None and ink[3] == 255
    if not (stroked or filled or opaque):
        return [], [], True
    calls.get_object_matrix(path, results.to_matrix)
    own = results.matrix
    matrix = times((own.a, own.b, own.c, own.d, own.e, own.f), matrix)
    calls.get_stroke_width(path, results.to_floats[0])
    width = results.floats[0] * abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) ** 0.5
    half = min(_THICKEST, width) / 2
    edged = stroked and not (filled and ink == pen)
    found: list[_Flat] = []
    covers: list[_Flat] = []
    plain = True
    for figure in _figures(path, matrix, results):
        if figure is None:
            plain = False
            continue
        xs, ys = [x for x, _ in figure], [y for _, y in figure]
        left, right, bottom, top = min(xs), max(xs), min(ys), max(ys)
        is_box = len(set(figure)) == 4 == len({*xs}) + len({*ys})
        if opaque and is_box:
            covers.append((left, top, right, bottom))
        if filled and min(right - left, top - bottom) <= _THICKEST:
            found.append((left, top, right, bottom))
            continue
        is_ground = is_box and max(right - left, top - bottom) > ground
        plain = plain and (is_ground or not filled)
        for (x0, y0), (x1, y1) in pairwise(figure) if edged else ():
            across, along = abs(x1 - x0), abs(y1 - y0)
            if across > along and along <= _LEANING:
                found.append((min(x0, x1), max(y0, y1) + half, max(x0, x1), min(y0, y1) - half))
            elif along > across and across <= _LEANING:
                found.append((min(x0, x1) - half, max(y0, y1), max(x0, x1) + half, min(y0, y1)))
            else:
                plain = plain and max(across, along) <= _LEANING
    return found, covers, plain


def _figures(
    path: pdfium.FPDF_PAGEOBJECT, matrix: Matrix, results: calls.Results
) -> Iterator[list[tuple[float, float]] | None]:
    """The corners of each figure of a path, on the page; None for those with curves."""
    a, b, c, d, e, f = matrix
    to_x, to_y = results.to_floats[:2]
    figure: list[tuple[float, float]] = []
    curved = False
    for number in range(calls.count_segments(path)):
        segment = calls.get_segment(path, number)
        kind = calls.get_segment_type(segment)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            if len(figure) > 1:
                yield None if curved else figure
            figure, curved = [], False
        curved = curved or kind == pdfium.FPDF_SEGMENT_BEZIERTO
        calls.get_point(segment, to_x, to_y)
        x, y = results.floats[:2]
        figure.append((a * x + c * y + e, b * x + d * y + f))
        if calls.get_close(segment):
            figure.append(figure[0])
    if len(figure) > 1:
        yield None if curved else figure


def _colour(
    get: Callable[..., int], path: pdfium.FPDF_PAGEOBJECT, results: calls.Results
) -> tuple[int, int, int, int]:
    """Red, green, blue and how opaque it is; black if it is not known."""
    if not get(path, *results.to_ints):
        return 0, 0, 0, 255
    red, green, blue, opaque = results.ints
    return red, green, blue, opaque


def _is_seen(colour: tuple[int, int, int, int]) -> bool:
    """Whether it can be told from white paper."""
    return colour[3] > 255 - _PALEST and min(colour[:3]) <= _PALEST


def times(m: Matrix, n: Matrix) -> Matrix:
    """First ``m``, then ``n``."""
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )
