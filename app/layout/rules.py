"""Rules: the straight lines that are drawn on a page, such as those of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Rule, Rules
from app.layout.reduced import reduced

SAME = 3.0  # Pixels; level rules that near in height are one.


def find_rules(image: NDArray[np.uint8]) -> Rules:
    """The rules on the page ``image``, shape (height, width, 3), red-green-blue."""
    grey, scale = reduced(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8), _LONGEST)
    dark = _below(_DARK, grey)
    if 2 * cv2.countNonZero(dark) > grey.size:
        grey = 255 - grey
        dark = _below(_DARK, grey)
    # This is what an adaptive threshold does, but quicker.
    around = cv2.blur(grey, (_AROUND, _AROUND), borderType=cv2.BORDER_REPLICATE)
    ink = 1 - _below(_FAINTEST, np.asarray(cv2.subtract(around, grey), np.uint8))
    # What is dark all over is no rule, nor are the gaps between light letters on it.
    full = cv2.erode(dark, np.ones((_BROAD, _BROAD), np.uint8))
    if full.any():  # What was eroded, and two pixels around it.
        full = cv2.dilate(full, np.ones((_BROAD + 4, _BROAD + 4), np.uint8))
        ink = np.asarray(cv2.subtract(ink, full), np.uint8)
    level, upright = (
        tuple(
            Rule(*(scale * place for place in rule))
            for rule in sorted(_runs(way), key=lambda r: r[1] - r[2])[:_MOST]
        )
        for way in (ink, np.asarray(cv2.transpose(ink), np.uint8))
    )
    return Rules(level, upright)


_LONGEST = 2000  # Pixels of a page as it is looked at; the thinnest rules are still seen.
_DARK = 110  # The grey of a page, or of a field on it, whose letters are light.
_BROAD = 13  # Pixels; no rule is as wide.
_AROUND, _FAINTEST = 31, 12  # Rules are so much darker than what is around them.
_SHORTEST = 24  # Pixels; the strokes of letters are shorter, those of headlines are no grid.
_MIDDLE = 16  # Of what is drawn around the middle of so short a run: four pixels more at each end.
_THICKEST = 9
_MOST = 400  # Each way, the longest: more are a hatching, or meant to keep us busy.


def _below(level: int, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where ``grey`` is darker than ``level``, else 0."""
    return np.asarray(cv2.threshold(grey, level - 1, 1, cv2.THRESH_BINARY_INV)[1], np.uint8)


def _runs(ink: NDArray[np.uint8]) -> Iterator[tuple[float, float, float]]:
    """Place, start and stop of the level lines in ``ink``."""
    lines = cv2.erode(ink, np.ones((1, _SHORTEST), np.uint8))
    # A line that leans a little is a stair of runs; dots and crossings leave gaps.
    lines = cv2.dilate(lines, np.ones((3, _SHORTEST + 8), np.uint8), anchor=(_MIDDLE, 1))
    # Outlines are found ten times as fast as statistics of all pixels.
    outlines, tree = cv2.findContours(lines, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for outline, (*_, within) in zip(outlines, tree[0] if outlines else (), strict=True):
        left, _, width, height = cv2.boundingRect(outline)
        if within >= 0 or width < _SHORTEST + 8 or height > 0.1 * width + 12:
            continue
        # An outline runs through the middles of its pixels, and has no area on a page of one row.
        moments = cv2.moments(outline)
        area = moments["m00"] + cv2.arcLength(outline, True) / 2 + 1
        if area <= (_THICKEST + 2) * width:
            yield moments["m01"] / max(1.0, moments["m00"]), left + 4.0, left + width - 4.0


def whole(rules: Sequence[Rule]) -> list[Rule]:
    """The rules, those joined that are parted by a little space alone."""
    found: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (round(rule.at / 3), rule.start)):
        last = found[-1] if found else None
        longest = 0.1 * (max(last.stop, rule.stop) - min(last.start, rule.start)) if last else 0.0
        if last and abs(rule.at - last.at) < SAME and rule.start - last.stop < longest:
            found[-1] = Rule(last.at, last.start, max(last.stop, rule.stop))
        else:
            found.append(rule)
    return found
