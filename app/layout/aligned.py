"""Tables whose columns are parted by white space alone, between level rules or without any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np

from app.document import Rule, Table
from app.layout.cells import table_of
from app.layout.columns import has_cells
from app.layout.frame import Frame, Item, Row, rows
from app.layout.order import has_columns
from app.layout.rules import whole


def ruled_tables(
    items: Sequence[Item], rules: Sequence[Rule], frame: Frame
) -> tuple[list[Table], list[Item]]:
    """The tables between level ``rules``, and the items that stand in none.

    All in the ``frame``, but the tables, which are on the page.
    """
    left = list(items)
    tables: list[Table] = []
    for stack in _stacks(whole(rules)):
        for first, last in _zones(stack, left):
            zone = stack[first : last + 1]
            inside = _between(left, zone[0], zone[-1])
            inside += _continuing(left, inside, zone[-1])
            inside += _adjoining(left, inside, zone[0])
            table = table_of(rows(inside), zone, rules, frame)
            if table is not None and not _is_page(table):
                tables.append(table)
                taken = set(map(id, inside))
                left = [item for item in left if id(item) not in taken]
    return tables, left


def _is_page(table: Table) -> bool:
    """Whether most of the text runs across: rules part what stands below each other on a page."""
    lengths = [(cell, sum(len(each.text) for each in cell.paragraphs)) for cell in table.cells]
    across = sum(length for cell, length in lengths if cell.column_span == table.columns)
    return 2 * across > sum(length for _, length in lengths)


def aligned_tables(found: Sequence[Row], frame: Frame) -> Iterator[Table | list[Row]]:
    """The rows of one region: tables among them, and the rows above, between and below."""
    start = 0
    for first, last in _runs(found):
        run = found[first:last]
        if _has_prose(run):
            continue
        table = table_of(run, (), (), frame)
        if table is None:
            continue
        if first > start:
            yield list(found[start:first])
        yield table
        start = last
    if start < len(found):
        yield list(found[start:])


# In heights of a line.
_FAR = 3.0  # Rows of one table are nearer,
_FARTHEST = 6.0  # or this near if their cells begin at the same places.
_MOST_HEAD = 6  # Rows of headings.
_FEWEST = 3  # Rows with several cells, of a table without rules.


def _continuing(items: Sequence[Item], inside: Sequence[Item], bottom: Rule) -> list[Item]:
    """The rows below the last of the rules, if those part but the headings from them."""
    head = rows(inside)
    if len(head) > _MOST_HEAD:
        return []
    slack = 0.02 * (bottom.stop - bottom.start)
    found = rows(
        item
        for item in items
        if item.box.top > bottom.at - 1
        and item.box.left >= bottom.start - slack
        and item.box.right <= bottom.stop + slack
    )
    size = median(item.box.height for item in inside)
    first, last = next(_runs(found), (0, 0))
    near = first == 0 and last > 0 and found[0][0].box.top - bottom.at < _FAR * size
    return [item for row in found[:last] for item in row] if near and last >= _FEWEST else []


def _adjoining(items: Sequence[Item], inside: Sequence[Item], rule: Rule) -> list[Item]:
    """Rows of cells right above and below, where only inner rules are drawn."""
    slack = 0.02 * (rule.stop - rule.start)
    taken = set(map(id, inside))
    size = median(item.box.height for item in inside)
    others = rows(
        item
        for item in items
        if id(item) not in taken
        and item.box.left >= rule.start - slack
        and item.box.right <= rule.stop + slack
    )
    found: list[Item] = []
    top = min(item.box.top for item in inside)
    for row in reversed([row for row in others if row[0].box.bottom < top + size / 2]):
        if not has_cells(row) or top - max(item.box.bottom for item in row) > _ADJOINING * size:
            break
        found += row
        top = min(item.box.top for item in row)
    bottom = max(item.box.bottom for item in inside)
    for row in (row for row in others if row[0].box.top > bottom - size / 2):
        if not has_cells(row) or min(item.box.top for item in row) - bottom > _ADJOINING * size:
            break
        found += row
        bottom = max(item.box.bottom for item in row)
    return found


_ADJOINING = 1.0  # Heights of a line.


def _stacks(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    """Level rules that begin and end at the same places, from the top; two or more."""
    free = sorted(rules, key=lambda rule: rule.at)
    while free:
        first, *others = free
        slack = 0.03 * (first.stop - first.start) + 2
        alike = [first]
        free = []
        for rule in others:
            same = abs(rule.start - first.start) <= slack and abs(rule.stop - first.stop) <= slack
            (alike if same else free).append(rule)
        if len(alike) > 1:
            yield alike


def _between(items: Sequence[Item], top: Rule, bottom: Rule) -> list[Item]:
    """What stands between two rules."""
    slack = 0.02 * (top.stop - top.start)
    return [
        item
        for item in items
        if top.at < (item.box.top + item.box.bottom) / 2 < bottom.at
        and top.start - slack <= (item.box.left + item.box.right) / 2 <= top.stop + slack
    ]


def _zones(stack: Sequence[Rule], items: Sequence[Item]) -> Iterator[tuple[int, int]]:
    """First and last of those rules of a stack between which there are rows of cells."""
    size = median([item.box.height for item in items] or [1.0])
    first = 0
    several = 0  # Rows of several cells since the first.
    for n in range(1, len(stack) + 1):
        good = False
        if n < len(stack):
            inside = _between(items, stack[n - 1], stack[n])
            found = rows(inside)
            many = sum(len(row) > 1 for row in found)
            # Rules above and below a page of text are no table.
            prose = many > 2 and (has_columns(inside) or many < 0.4 * len(found))
            empty = not found and stack[n].at - stack[n - 1].at > _FAR * size
            good = not prose and not empty and len(found) - many <= max(4, many)
            if good:
                several += many or _are_beside(inside)
        if not good:
            if n - 1 > first and several >= 2:
                yield first, n - 1
            first, several = n, 0


def _are_beside(items: Sequence[Item]) -> bool:
    """Whether some items stand beside others, at whatever height."""
    if not items:
        return False
    left = min(items, key=lambda item: item.box.right).box
    return any(
        item.box.left > left.right + left.height
        and item.box.top < left.bottom + left.height
        and item.box.bottom > left.top - left.height
        for item in items
    )


def _runs(found: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """First and last of rows that may be a table: close together, most with several cells."""
    first = last = None
    size = median([item.box.height for row in found for item in row] or [1.0])
    bottom = 0.0
    for n, row in enumerate(found):
        top = min(item.box.top for item in row)
        several = has_cells(row)
        if first is not None and last is not None:
            far = top - bottom > (_FARTHEST if _is_under(row, found[last]) else _FAR) * size
            if far or (n - last > 2) or (not several and _is_prose(row, found, size)):
                yield first, _end(found, last, size)
                first = last = None
        if several:
            first = n if first is None else first
            last = n
        bottom = max(item.box.bottom for item in row)
    if first is not None and last is not None:
        yield first, _end(found, last, size)


def _end(found: Sequence[Row], last: int, size: float) -> int:
    """Where a run ends whose last row of several cells is ``last``: they may have more lines."""
    stop = last + 1
    while stop < len(found) and len(found[stop]) == 1:
        (item,) = found[stop]
        above = [i.box for i in found[stop - 1] if abs(i.box.left - item.box.left) < 0.5 * size]
        if item.box.left <= found[last][0].box.left + size or not above:
            break
        if item.box.top - max(box.bottom for box in above) > 0.6 * size:
            break
        stop += 1
    return stop


def _is_under(row: Row, above: Row) -> bool:
    """Whether the cells of two rows begin at the same places."""
    places = [item.box.left for item in above]
    size = min(item.box.height for item in (*row, *above))
    under = sum(any(abs(item.box.left - place) < size for place in places) for item in row)
    return under >= 3 and under >= 0.7 * max(len(row), len(above))


def _is_prose(row: Row, found: Sequence[Row], size: float) -> bool:
    right = max(item.box.right for row in found for item in row)
    left = min(item.box.left for row in found for item in row)
    return row[-1].box.right - row[0].box.left > 0.7 * (right - left) and right - left > 20 * size


def _has_prose(found: Sequence[Row]) -> bool:
    """Whether lines of running text stand among the rows: long ones, at a left edge together."""
    size = median([item.box.height for row in found for item in row])
    # Left edge, and how many lines below each other begin there, each as long as the longest.
    flows: dict[int, tuple[int, float, float]] = {}
    for row in found:
        for item in row:
            box = item.box
            if box.width < _LONG * size:
                continue
            key = round(box.left / (2 * size))
            for near in (key - 1, key, key + 1):
                count, right, bottom = flows.get(near, (0, 0.0, -np.inf))
                if count and box.top - bottom < size and abs(box.right - right) < 3 * size:
                    key = near
                    break
            else:
                count = 0
            flows[key] = (count + 1, box.right, box.bottom)
            if count + 1 >= _FLOWING:
                return True
    return False


_LONG = 10.0  # In heights; a line of running text is no shorter.
_FLOWING = 3  # So many lines make a text.
