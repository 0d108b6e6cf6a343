"""Pieces of text, and the strips that are cut out of a page for them."""

import cv2
import numpy as np
import pytest

from app.engines.pieces import BENDS, Pieces, cut_out

ALONG, DOWN = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
ORIGIN = np.array([10, 20], np.float32)


def test_a_part_keeps_its_share_of_the_bend() -> None:
    quad = np.array([[[0, 0], [80, 0], [80, 10], [0, 10]]], np.float32)
    whole = Pieces(quad, np.arange(BENDS, dtype=np.float32)[None])

    part = whole.part(0, 0.25, 0.5)

    assert part.corners[0].tolist() == [[20, 0], [40, 0], [40, 10], [20, 10]]
    assert part.bends[0] == pytest.approx(np.linspace(2, 4, BENDS))
    assert part.widths.tolist() == [20]
    assert part.heights.tolist() == [10]


def test_a_strip_is_what_stands_there() -> None:
    page = np.random.default_rng(1).integers(0, 256, (100, 120, 3), np.uint8)

    strip = cut_out(page, ORIGIN, ALONG, DOWN, (50, 30))

    assert (strip == page[20:50, 10:60]).all()


def test_a_strip_follows_the_bend() -> None:
    page = np.full((100, 120, 3), 255, np.uint8)
    bend = np.linspace(-8, 8, BENDS, dtype=np.float32)
    for x in range(10, 60):
        middle = round(35 + 16 * (x + 0.5 - 10) / 50 - 8)
        page[middle - 3 : middle + 3, x] = 0

    strip = cut_out(page, ORIGIN, ALONG, DOWN, (50, 30), bend)

    assert (strip[13:17] < 100).all()
    assert (strip[:10] > 200).all()
    assert (strip[20:] > 200).all()


def test_finer_pages_are_averaged() -> None:
    page = np.zeros((400, 480, 3), np.uint8)
    page[:, ::2] = 200

    strip = cut_out(page, 4 * ORIGIN, 4 * ALONG, 4 * DOWN, (50, 30))

    assert strip.min() > 80
    assert strip.max() < 120


def test_pages_beyond_the_limits_of_the_library() -> None:
    page = np.full((40, 40_000, 3), 255, np.uint8)
    cv2.rectangle(page, (39_000, 10), (39_099, 29), (0, 0, 0), -1)

    strip = cut_out(page, np.array([39_000, 10], np.float32), ALONG, DOWN, (100, 20))

    assert (strip == 0).all()


def test_beyond_the_edge_there_is_more_of_it() -> None:
    page = np.full((40, 50, 3), 90, np.uint8)

    strip = cut_out(page, np.array([45, 35], np.float32), ALONG, DOWN, (100, 20))

    assert (strip == 90).all()
