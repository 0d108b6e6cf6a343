"""Finds where text stands on a page, by differentiable binarization (arXiv:1911.08947)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.engines.pieces import BENDS, Floats, Pieces
from app.interfaces import Image

Detector = Callable[[Image], Floats]
"""From pixels whose sides are multiples of 32 to the logit of "text" at each of them."""

LARGEST_TILE = (768, 1088)
"""Height and width; no larger area is given to a detector, which needs 180 to 280 bytes a pixel."""


@dataclass(frozen=True, slots=True)
class Look:
    """How closely a page is looked at."""

    longest: int  # Pixels of the longer side of the page as it is shrunk.
    least: float  # Height of lines, as the network sees them; below it another look is taken.
    wanted: float  # Height of lines that the other look enlarges them to, at most twofold.


GLANCE = Look(960, 11.0, 16.0)
"""Enough for the lines of a page of a book or letter: they are 13 pixels high then."""

CLOSE = Look(1952, 11.0, 22.0)
"""For what a glance does not see well; the training pictures were of this order."""


def find_text(image: Image, detector: Detector, look: Look) -> Pieces:
    """Where text stands on ``image``."""
    height, width = image.shape[:2]
    if min(height, width) < _MIN_TEXT:
        return _NOTHING
    # A page twice as long as wide is the longest that is shrunk as a whole: text on a long strip
    # is as large as on the page it was cut from, or on the screen that was scrolled.
    scale = min(1.0, look.longest / min(max(height, width), 2 * min(height, width)))
    found = _find_at(image, scale, detector)
    finer = min(
        _finer(found.scaled(scale), max(height, width) * scale, look) * scale, _MAX_ENLARGED
    )
    if finer > scale:
        again = _find_at(image, finer, detector)
        # The second look only replaces the first where it does see more: of print that is too small
        # for it, the first one sees many pieces, but they are short.
        found = again if _length(again) >= _length(found) else found
    return found


_MIN_TEXT = 5  # Text below this height in pixels cannot be read by anybody.
_MAX_ENLARGED = 2.0
_WIDEST = 1024  # Of a tile, without its margin.
_MARGIN = 16  # Text that touches the edge of a picture is not found.
_OVERLAP = 128  # Between tiles; more than a line's height.
_PADDING = 2 * _MARGIN + 32
_TILE_AREA = LARGEST_TILE[0] * LARGEST_TILE[1]
_ROUND = 64  # Canvas sides; a new shape costs the runtime tens of milliseconds.

# The model's own post-processing values, from its inference.yml.
_THRESHOLD = 0.2
_BOX_THRESHOLD = 0.45
_UNCLIP = 1.4
_MAX_CANDIDATES = 3000


_NOTHING = Pieces.straight(np.empty((0, 4, 2), np.float32))


def _length(found: Pieces) -> float:
    """Pixels of text, measured along the pieces."""
    return float(np.maximum(found.widths, found.heights).sum())


def _finer(found: Pieces, longest: float, look: Look) -> float:
    """How much to enlarge the page for a second look; 1 where the first one will do."""
    if not len(found):
        return 2.0 if longest <= look.longest else 1.0
    # A fifth of the lines decides: the small print of a page, not a single speck.
    small = float(np.quantile(np.minimum(found.widths, found.heights), 0.2))
    return min(2.0, look.wanted / small) if small < look.least else 1.0


def _find_at(image: Image, scale: float, detector: Detector) -> Pieces:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    if scale != 1.0:
        way = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)
    paper = _paper(image)
    logits = np.empty((height, width), np.float32)
    tiles = 0
    widest = min(width, _WIDEST)
    highest = max(_TILE_AREA // (widest + _PADDING), 2 * _OVERLAP) - _PADDING
    for rows, inner_rows in _tiles(height, highest):
        for columns, inner_columns in _tiles(width, widest):
            seen = _look(image[rows, columns], paper, detector)
            top, left = inner_rows.start - rows.start, inner_columns.start - columns.start
            logits[inner_rows, inner_columns] = seen[
                top : top + inner_rows.stop - inner_rows.start,
                left : left + inner_columns.stop - inner_columns.start,
            ]
            tiles += 1
    return _pieces(logits, _MAX_CANDIDATES * tiles).scaled(1 / scale)


def _tiles(length: int, longest: int) -> Iterator[tuple[slice, slice]]:
    """Cuts a side into overlapping tiles: what is seen, and which part of that is kept."""
    count = 1 if length <= longest else math.ceil((length - _OVERLAP) / (longest - _OVERLAP))
    size = math.ceil((length + (count - 1) * _OVERLAP) / count)
    starts = np.linspace(0, length - size, count).round().astype(int).tolist()
    # Neighbours meet in the middle of what both see.
    seams = [0, *((starts[n] + size + starts[n + 1]) // 2 for n in range(count - 1)), length]
    for n in range(count):
        yield slice(starts[n], starts[n] + size), slice(seams[n], seams[n + 1])


def _paper(image: Image) -> NDArray[np.uint8]:
    edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.asarray(np.median(edges, axis=0), np.uint8)


def _look(tile: Image, paper: NDArray[np.uint8], detector: Detector) -> Floats:
    height, width = tile.shape[:2]
    sides = [math.ceil((side + 2 * _MARGIN) / _ROUND) * _ROUND for side in (height, width)]
    canvas = np.empty((*sides, 3), np.uint8)
    canvas[:] = paper
    canvas[_MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width] = tile
    return detector(canvas)[_MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width]


def _pieces(logits: Floats, limit: int) -> Pieces:
    mask = (logits > math.log(_THRESHOLD / (1 - _THRESHOLD))).view(np.uint8)
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return _NOTHING
    # Outer outlines only: the others are the holes in them.
    outlines = [c for c, outer in zip(contours, tree[0, :, 3] < 0, strict=True) if outer]
    outlines = sorted(outlines, key=len, reverse=True)[:limit]
    kept = [outline for outline in outlines if _score(logits, outline) >= _BOX_THRESHOLD]
    if not kept:
        return _NOTHING
    centres, sizes, angles = _rectangles(kept)
    bends = _bends(kept, centres, sizes, angles)
    ok = sizes.min(axis=1) >= 2
    centres, sizes, angles, bends = centres[ok], sizes[ok], angles[ok], bends[ok]
    # The network draws text thinner than it is; for a rectangle, moving the outline outwards by
    # area * ratio / perimeter (the inverse of its training target) just adds to both sides.
    sizes = sizes + (sizes.prod(axis=1) / sizes.sum(axis=1) * _UNCLIP)[:, None]
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1) * sizes[:, :1] / 2
    down = np.stack([-np.sin(angles), np.cos(angles)], axis=1) * sizes[:, 1:] / 2
    corners = [centres - along - down, centres + along - down]
    corners += [centres + along + down, centres - along + down]
    return Pieces(np.stack(corners, axis=1).astype(np.float32), bends)


def _score(logits: Floats, outline: NDArray[Any]) -> float:
    """The mean probability of text inside ``outline``."""
    left, top, width, height = cv2.boundingRect(outline)
    if min(width, height) < 2:
        return 0.0
    part = logits[top : top + height, left : left + width][_filled(outline)]
    return float((1 / (1 + np.exp(-part))).mean())


def _filled(outline: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pixels of its bounding rectangle are inside an outline."""
    left, top, width, height = cv2.boundingRect(outline)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [outline], -1, 1, cv2.FILLED, offset=(-left, -top))
    return inside.view(bool)


def _rectangles(outlines: Sequence[NDArray[Any]]) -> tuple[Floats, Floats, Floats]:
    """Centres (n, 2), sizes (n, 2: along and across) and angles (n, within 45 degrees)."""
    tight = np.array([cv2.boxPoints(cv2.minAreaRect(outline)) for outline in outlines])
    centres = tight.mean(axis=1)
    first, second = tight[:, 1] - tight[:, 0], tight[:, 2] - tight[:, 1]
    # Contours run through pixel centres, so a rectangle is one pixel short each way.
    lengths = np.stack([np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)], axis=1) + 1
    flat = np.abs(first[:, 0]) >= np.abs(first[:, 1])
    edges = np.where(flat[:, None], first, second)
    edges = edges * np.where(edges[:, :1] < 0, -1, 1)
    angles = np.arctan2(edges[:, 1], np.maximum(edges[:, 0], 1e-6))
    sizes = np.where(flat[:, None], lengths, lengths[:, ::-1])
    # The tightest rectangle around two or three characters leans at random; they take the angle
    # of the page's long lines where that fits them about as well.
    long = sizes[:, 0] >= 5 * sizes[:, 1]
    skew = float(np.median(angles[long])) if long.any() else 0.0
    turn = np.array([[math.cos(skew), -math.sin(skew)], [math.sin(skew), math.cos(skew)]])
    for n in np.flatnonzero((sizes[:, 0] < 4 * sizes[:, 1]) & (angles != skew)).tolist():
        points = outlines[n].reshape(-1, 2) @ turn
        low, high = points.min(axis=0), points.max(axis=0)
        size = high - low + 1
        if size.prod() <= 1.3 * sizes[n].prod():
            centres[n], sizes[n], angles[n] = (low + high) / 2 @ turn.T, size, skew
    return centres, sizes, angles


_BENT = 0.65  # Where less than this share of a rectangle is text, it may be bent;
_GAIN = 0.8  # that is believed where its own outline is at most this share of the rectangle.
_DEGREE = 4  # Of the curve: half a wave of paper, or a page that rises to the fold of a book.


def _bends(
    outlines: Sequence[NDArray[Any]], centres: Floats, sizes: Floats, angles: Floats
) -> Floats:
    """How the text runs within rectangles, ``Pieces.bends``; fits those to text that is bent."""
    bends = np.zeros((len(outlines), BENDS), np.float32)
    areas = np.array([cv2.contourArea(outline) for outline in outlines])
    loose = (sizes[:, 0] > 3 * sizes[:, 1]) & (areas < _BENT * sizes.prod(axis=1))
    for n in np.flatnonzero(loose).tolist():
        centre, size, angle, bend = _bent(outlines[n])
        if size.prod() < _GAIN * sizes[n].prod():
            centres[n], sizes[n], angles[n], bends[n] = centre, size, angle, bend
    return bends


def _bent(outline: NDArray[Any]) -> tuple[Floats, Floats, float, Floats]:
    """Centre, size and angle of the straight line that a piece of text bends around; the bend."""
    inside = _filled(outline)
    left, top, width, height = cv2.boundingRect(outline)
    counts = inside.sum(axis=0)
    middles = np.arange(height) @ inside / counts
    places = np.linspace(-1, 1, width)
    curve = np.polynomial.Polynomial.fit(places, middles, _DEGREE, w=np.sqrt(counts))
    line = np.polynomial.Polynomial.fit(places, curve(places), 1)
    rows, columns = np.nonzero(inside)
    above, below = np.quantile(rows - curve(places)[columns], (0.02, 0.98))
    rise = float(line(1.0) - line(-1.0)) / max(1, width - 1)
    lean = math.cos(math.atan(rise))
    centre = np.array([left + (width - 1) / 2, top + line(0.0) + (above + below) / 2], np.float32)
    size = np.array([width / lean, (below - above + 1) * lean], np.float32)
    steps = np.linspace(-1, 1, BENDS)
    bend = np.asarray((curve(steps) - line(steps)) * lean, np.float32)
    return centre, size, math.atan(rise), bend
