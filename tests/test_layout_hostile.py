"""Any lines on any page: the layout loses no word, and stumbles over nothing."""

from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.document import Box, Line, Page, Rule, Rules, Style, Word
from app.interfaces import Image
from app.layout.blocks import blocks
from app.layout.breaks import continued

sides = st.sampled_from([1, 2, 3, 7, 50, 565, 800])
places = st.sampled_from([-1e5, -3.0, 0.0, 1.0, 40.0, 41.0, 42.5, 300.0, 790.0]) | st.floats(
    -50, 900
)
extents = st.sampled_from([0.0, 0.01, 1.0, 12.0, 12.0, 12.0, 100.0, 1e5])
texts = st.sampled_from(
    ["a", "word", "-", "·", "1.", "12,345.6", "(1)", "图1", "今天", "שלום", "=", "∑x²", "x-", "···"]
) | st.text(min_size=1, max_size=6)  # fmt: skip


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(places), draw(places)
    return Box(left, top, left + draw(extents), top + draw(extents))


@st.composite
def lines(draw: st.DrawFn) -> Line:
    words = draw(
        st.lists(st.builds(Word, texts, boxes(), st.floats(0, 1), st.booleans()), min_size=1,
                 max_size=4)
    )  # fmt: skip
    around = Box.around(word.box for word in words)
    style = st.builds(
        Style, st.sampled_from([0.1, 12.0, 12.0, 500.0]), st.booleans(), st.booleans(),
        st.none() | st.just(0xC00000), st.sampled_from([None, "serif", "mono"]),
    )  # fmt: skip
    return Line(
        tuple(words), draw(st.just(around) | boxes()), draw(st.booleans()),
        draw(st.sampled_from([0.0, 0.0, 0.02, -9.0])), draw(st.none() | style), draw(st.booleans()),
    )  # fmt: skip


@st.composite
def images(draw: st.DrawFn) -> Image:
    """White, with rectangles: specks, rules, frames, grounds, noise."""
    height, width = draw(sides), draw(sides)
    image = np.full((height, width, 3), draw(st.sampled_from([255, 250, 0, 128])), np.uint8)
    for _ in range(draw(st.integers(0, 8))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        down = draw(st.sampled_from([1, 2, 30, 400]))
        across = draw(st.sampled_from([1, 2, 30, 400]))
        part = image[top : top + down, left : left + across]
        colour = draw(
            st.sampled_from([(0, 0, 0), (255, 255, 255), (200, 30, 30), (90, 90, 91), None])
        )
        part[:] = (
            np.random.default_rng(1).integers(0, 255, part.shape) if colour is None else colour
        )
    return image


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    found = st.lists(
        st.builds(lambda at, start, long: Rule(at, start, start + long), places, places, extents),
        max_size=5,
    ).map(tuple)
    return Rules(draw(found), draw(found), draw(st.booleans()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow],
          derandomize=True)  # fmt: skip
@given(
    found=st.lists(lines(), max_size=8),
    image=images(),
    looks=st.booleans(),
    drawn=st.none() | rules(),
)
def test_no_word_is_lost(found: list[Line], image: Image, looks: bool, drawn: Rules | None) -> None:
    """Each is in one of the blocks, and none is there twice."""
    height, width = image.shape[:2]

    made = blocks(found, lambda: image, width, height, looks, lambda: drawn)

    page = Page(2, width, height, 72, made, recognized=True)
    continued(page, Page(1, width, height, 72, made, recognized=True))
    assert counted(page.lines) == counted(found)


def counted(found: list[Line] | tuple[Line, ...]) -> Counter[str]:
    return Counter(sign for line in found for sign in "".join(line.text.split()))
