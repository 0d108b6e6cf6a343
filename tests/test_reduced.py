"""Pages made smaller."""

import numpy as np
import pytest

from app.layout.reduced import reduced
from app.layout.rules import find_rules


@pytest.mark.parametrize("height", [1200, 2339, 3508, 3599, 3840, 3999, 5500, 9000])
def test_thin_rules_are_seen_at_any_size(height: int) -> None:
    """However often a page is reduced, whatever rows are left: a line of a few pixels is there."""
    page = np.full((height, 600, 3), 255, np.uint8)
    thick = 1 + height // 4000
    places = range(100, height - 100, 101)
    for place in places:
        page[place : place + thick, 50:550] = 0

    found = sorted(rule.at for rule in find_rules(page).level)

    assert found == pytest.approx(list(places), abs=1 + height / 1000)


def test_pages_are_no_longer_than_asked() -> None:
    """The longer side fits, the other goes with it, and small pages stay as they are."""
    small, scale = reduced(np.zeros((3001, 1501, 3), np.uint8), 800)
    same, one = reduced(np.zeros((700, 800), np.uint8), 800)

    assert small.shape == (800, 400, 3)
    assert scale == pytest.approx(3001 / 800, rel=0.001)
    assert (same.shape, one) == ((700, 800), 1.0)
