"""Where a page has pictures: photos, drawings and charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Box
from app.layout.reduced import reduced

Image = NDArray[np.uint8]


def find_pictures(image: Image, texts: Sequence[Box], tables: Sequence[Box]) -> list[Box]:
    """The pictures on ``image``, shape (height, width, 3), beside its ``texts`` and ``tables``.

    All in pixels of the image. A coloured ground under text is no picture, nor is a frame.
    """
    small, half = reduced(image, 2 * _LONGEST)
    small, rest = reduced(small, _LONGEST, cv2.INTER_AREA)  # Soft edges keep grounds apart.
    scale, size = 1 / (half * rest), small.shape[:2]
    paper = np.trunc(np.median(small[::4, ::4].reshape(-1, 3), axis=0))
    is_paper = np.asarray(cv2.inRange(small, paper - _FAINTEST, paper + _FAINTEST), np.bool_)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    painted = np.asarray(~(is_paper | _grounds(grey)), np.uint8)
    written = np.zeros_like(painted)
    for box in texts:
        _fill(written, box, scale, 1)
    for box in tables:
        _fill(painted, box, scale, 0, 2)
    bare = np.asarray(painted & (1 - written), np.uint8)
    strokes = _without_rules(bare)
    found: list[Box] = []
    for share in _REACHES:
        for box in _joined(bare, strokes, max(3, round(share * max(size)))):
            part = (slice(int(box.top), int(box.bottom)), slice(int(box.left), int(box.right)))
            area = box.width * box.height / painted.size
            if _is_picture(painted[part], written[part], grey[part], area):
                found.append(box)
                bare[part] = 0
    return [
        Box(box.left / scale, box.top / scale, box.right / scale, box.bottom / scale)
        for box in _apart(found)
        if box.width * box.height <= _WHOLE * painted.size
    ]


def _joined(bare: Image, strokes: Image, reach: int) -> Iterator[Box]:
    """The boxes around what is painted, near strokes joined."""
    if not bare.any():
        return
    least = _LEAST_SIDE * max(bare.shape)
    joined = cv2.morphologyEx(bare, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    if not joined.any():  # An even reach pushes what is at the edge out of the image.
        return
    _, labels = cv2.connectedComponents(joined, connectivity=8)
    # Their outlines tell where they stand four times as fast as statistics of all pixels.
    outlines, tree = cv2.findContours(joined, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for outline, (*_, within) in reversed(list(zip(outlines, tree[0], strict=True))):
        left, top, width, height = cv2.boundingRect(outline)
        if within >= 0 or min(width, height) < least:
            continue
        x, y = outline[0, 0]
        number = labels[y, x]
        # A rule that runs into a picture is none of it; axes with nothing between are none.
        part = (slice(top, top + height), slice(left, left + width))
        x, y, across, down = cv2.boundingRect(
            np.asarray(strokes[part] * (labels[part] == number), np.uint8)
        )
        if min(across, down) >= least:
            yield Box(left + x, top + y, left + x + across, top + y + down)


def _grounds(grey: Image) -> NDArray[np.bool_]:
    """Large areas of one even colour, such as lie under text."""
    mean = np.asarray(cv2.boxFilter(grey, cv2.CV_32F, (5, 5)), np.float32)
    square = np.asarray(cv2.sqrBoxFilter(grey, cv2.CV_32F, (5, 5)), np.float32)
    even = np.asarray(square - mean**2 < _EVEN_AREA**2, np.uint8)
    even = np.asarray(cv2.dilate(even, np.ones((5, 5), np.uint8)), np.uint8)
    _, labels = cv2.connectedComponents(even, connectivity=4)
    large = np.bincount(labels.ravel()) > _LARGE * grey.size
    large[0] = False
    return np.asarray(large[labels])


_EVEN_AREA = 2.5  # Levels; the standard deviation around each place of an even ground is less.
_LARGE = 0.004  # Of the page.
_LONGEST = 800  # Pixels of a page as it is looked at.
_FAINTEST = 24  # Levels that paint differs from the paper.
_REACHES = (0.012, 0.004)  # Of the longer side; strokes as near are one drawing.
_LEAST_SIDE = 0.04
_LONG_RULE = 0.1  # Of the longer side; a line as long, and thin, is a rule and no drawing.
_MOST_WRITTEN = 0.3  # Of its area; a ground under text has more text on it,
_WHOLE = 0.85  # and that of a whole page is its paper.


def _without_rules(bare: Image) -> Image:
    """What is painted, without long thin lines, level or upright."""
    long = max(8, round(_LONG_RULE * max(bare.shape)))
    left = bare
    for kernel, thick in (((1, long), (5, 1)), ((long, 1), (1, 5))):
        lines = cv2.morphologyEx(bare, cv2.MORPH_OPEN, np.ones(kernel, np.uint8))
        broad = cv2.morphologyEx(lines, cv2.MORPH_OPEN, np.ones(thick, np.uint8))
        left = np.asarray(cv2.subtract(left, cv2.subtract(lines, broad)), np.uint8)
    return left


def _is_picture(painted: Image, written: Image, grey: Image, share: float) -> bool:
    """Whether part of a page is a photo or a drawing; ``share`` is of the page's area."""
    if share > _WHOLE or float(written.mean()) > _MOST_WRITTEN:
        return False
    bare = (painted > 0) & (written == 0)
    fill = float(bare.mean())
    if fill < 0.02:
        return False
    if fill < 0.4:  # A drawing; a frame's strokes are all at its edges.
        high, wide = (max(2, round(0.06 * side)) for side in bare.shape)
        inner = bare[high:-high, wide:-wide]
        return inner.size > 0 and float(inner.mean()) > 0.01
    return float(grey[bare].std()) > _EVEN


_EVEN = 14.0  # Levels; the standard deviation of a ground in one colour is less.


def _fill(mask: Image, box: Box, scale: float, value: int, room: int = 1) -> None:
    mask[
        max(0, int(box.top * scale) - room) : max(0, int(box.bottom * scale) + 1 + room),
        max(0, int(box.left * scale) - room) : max(0, int(box.right * scale) + 1 + room),
    ] = value


def _apart(boxes: Sequence[Box]) -> list[Box]:
    """The boxes, those that overlap made one."""
    left = list(boxes)
    found: list[Box] = []
    while left:
        box = left.pop()
        touching = [
            other
            for other in left + found
            if min(box.right, other.right) > max(box.left, other.left)
            and min(box.bottom, other.bottom) > max(box.top, other.top)
        ]
        if touching:
            left = [other for other in left if other not in touching]
            found = [other for other in found if other not in touching]
            left.append(Box.around([box, *touching]))
        else:
            found.append(box)
    return found


def cut_out(image: Image, box: Box) -> bytes:
    """The part of ``image`` in ``box`` as a PNG, or as a JPEG where it has many colours."""
    left, top = max(0, int(box.left)), max(0, int(box.top))
    right = min(image.shape[1], max(left + 1, round(box.right)))
    bottom = min(image.shape[0], max(top + 1, round(box.bottom)))
    part = image[top:bottom, left:right]
    part, _ = reduced(part, _LARGEST)
    part = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2BGR), np.uint8)
    if _colours(part[::3, ::3]) < _FEW_COLOURS:
        # More effort takes three times as long, for a few percent.
        _, data = cv2.imencode(".png", part, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    else:
        _, data = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()


_LARGEST = 2000  # Pixels of a picture's longer side.
_FEW_COLOURS = 64


def _colours(image: Image) -> int:
    """How many colours there are, those that hardly differ taken as one."""
    red, green, blue = (image[..., n].astype(np.uint16) >> 4 for n in range(3))
    return int(np.count_nonzero(np.bincount((red << 8 | green << 4 | blue).ravel())))
