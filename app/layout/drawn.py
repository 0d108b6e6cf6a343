"""Tables whose cells are parted by rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.document import Line, Rule, Rules, Table, Word, is_unspaced
from app.layout.columns import has_cells
from app.layout.frame import Item, rows
from app.layout.grid import (
    Grid,
    filled,
    is_inside,
    middle,
    with_undrawn_columns,
    with_undrawn_rows,
)


def drawn_tables(
    lines: Sequence[Line], rules: Rules, width: float, height: float
) -> tuple[list[Table], list[Line]]:
    """The tables whose cells are parted by ``rules``, and the lines that stand in none."""
    left = list(lines)
    tables: list[Table] = []
    words = [word for line in lines if not line.vertical for word in line.words]
    for grid in _grids(rules, words, _NEAR * max(width, height) + 2):
        inside = [line for line in left if is_inside(line.box, grid.box)]
        if _is_open(grid, inside):
            continue
        grid = with_undrawn_columns(with_undrawn_rows(grid, inside), inside)
        table = filled(grid, inside, width)
        if table is not None:
            tables.append(table)
            taken = set(map(id, inside))
            left = [line for line in left if id(line) not in taken]
    return tables, left


def _is_open(grid: Grid, lines: Sequence[Line]) -> bool:
    """Whether most of the text stands in columns that no rules part: rules tell too little."""
    if len(grid.groups) > _FEW_CELLS:
        return False
    within = 0
    for group in grid.groups:
        box = grid.cell(group)
        inside = [Item(line, line.box) for line in lines if is_inside(line.box, box)]
        found = rows(inside)
        if sum(has_cells(row) for row in found) >= _FEWEST_OPEN:
            within += len(inside)
    return 2 * within > len(lines)


_FEW_CELLS = 6
_FEWEST_OPEN = 3  # Rows of several cells, within one cell.


def may_hold_tables(lines: Sequence[Line]) -> bool:
    """Whether lines stand side by side, as the cells of tables do; if not, rules mean nothing."""
    if len(lines) < 2 * _FEWEST_ROWS:
        return False
    boxes = sorted((line.box for line in lines), key=middle)
    left, top, right, bottom = np.array(boxes).T
    height = bottom - top
    beside = 0
    # Those next to each other in height are enough: a page may have thousands.
    for near in range(1, min(_NEXT, len(boxes))):
        low, high = slice(None, -near), slice(near, None)
        common = np.minimum(bottom[low], bottom[high]) - np.maximum(top[low], top[high])
        level = common > np.minimum(height[low], height[high]) / 2
        beside += int((level & ((right[low] <= left[high]) | (right[high] <= left[low]))).sum())
    return beside >= _FEWEST_ROWS


_NEXT = 4
_NEAR = 0.004  # Of the page's longer side: rules that far apart meet.
_WALL = 0.8  # Of a cell's side; where more is drawn, there is a wall.
_FEWEST_CELLS = 4
_FEWEST_ROWS = 2  # With more than one piece of text; on pages with fewer there is no table.


def _grids(rules: Rules, words: Sequence[Word], near: float) -> Iterator[Grid]:
    middles = np.array([middle(word.box) for word in words])
    for level, upright in _crossing(rules, near):
        # The strokes of letters in a dark field look like rules, but end between two of them.
        upright = [rule for rule in upright if _is_wall(rule, level, near)]
        level = [rule for rule in level if _is_wall(rule, upright, near)]
        if not level or not upright:
            continue
        # The outer rules of some tables are not drawn.
        xs = _with_ends(_places(upright, near), level, near)
        ys = _with_ends(_places(level, near), upright, near)
        if min(len(xs), len(ys)) < 3:
            continue
        walls = _walls(upright, xs, ys, near)
        floors = _walls(level, ys, xs, near).T
        rows_of_words = [
            [words[n] for n in np.flatnonzero((top < middles) & (middles < bottom)).tolist()]
            for top, bottom in pairwise(ys)
        ]
        for row, (top, bottom) in enumerate(pairwise(ys)):
            inside = rows_of_words[row]
            cut = [_is_cut(inside, x) for x in xs[1:-1]]
            if (walls[row] & cut).any():
                # One that goes on in the next row is true: text may run over it.
                longer = [rule for rule in upright if _goes_on(rule, top, bottom, near)]
                (true,) = _walls(longer, xs, [top, bottom], near)
                walls[row] &= true | [_is_free(inside, x) for x in xs[1:-1]]
        groups = tuple(_cells(walls, floors))
        grid = Grid(tuple(xs), tuple(ys), groups)
        if len(groups) >= _FEWEST_CELLS and not _runs_over(grid, walls, rows_of_words):
            yield grid


def _runs_over(grid: Grid, walls: NDArray[np.bool_], words: Sequence[Sequence[Word]]) -> bool:
    """Whether text runs from one cell into the next where nothing is drawn, as over a flow chart.

    ``words`` are those of each row. What lies between the boxes of a chart is no rectangle.
    """
    number = np.zeros((walls.shape[0], walls.shape[1] + 1), int)
    for n, (row, column, high, wide) in enumerate(grid.groups):
        number[row : row + high, column : column + wide] = n
    open_ = (number[:, :-1] != number[:, 1:]) & ~walls
    return any(
        not _is_free(words[row], grid.xs[place + 1]) for row, place in np.argwhere(open_).tolist()
    )


def _goes_on(rule: Rule, top: float, bottom: float, near: float) -> bool:
    """Whether a rule runs all through a row and on above or below it."""
    slack = 0.1 * (bottom - top)
    through = rule.start <= top + slack and rule.stop >= bottom - slack
    return through and (rule.start < top - 2 * near or rule.stop > bottom + 2 * near)


def _is_cut(words: Sequence[Word], x: float) -> bool:
    """Whether a wall at ``x`` would cut through a word of letters, as no true one does."""
    return any(
        word.box.left + word.box.height / 2 < x < word.box.right - word.box.height / 2
        and not any(map(is_unspaced, word.text))
        for word in words
    )


def _is_free(words: Sequence[Word], x: float) -> bool:
    """Whether ``x`` lies in a gap between words that is wider than a space."""
    beside = 0.6 * min((word.box.height for word in words), default=0.0)
    return not any(word.box.left - beside < x < word.box.right + beside for word in words)


def _is_wall(rule: Rule, across: Sequence[Rule], near: float) -> bool:
    """Whether a rule runs from one of those across it to another, or nearly as far as all."""
    if not across:
        return False
    met = [o.at for o in across if o.start - 2 * near <= rule.at <= o.stop + 2 * near]
    # Letters fill much of a row, but not all of it.
    slack = min(2 * near, max(3.0, 0.15 * (rule.stop - rule.start)))
    ends = (any(abs(at - end) <= slack for at in met) for end in (rule.start, rule.stop))
    whole = max(o.at for o in across) - min(o.at for o in across)
    return all(ends) or rule.stop - rule.start >= max(0.8 * whole, 4 * near)


def _crossing(rules: Rules, near: float) -> Iterator[tuple[list[Rule], list[Rule]]]:
    """Rules that touch each other, directly or through others."""
    level, upright = list(rules.level), list(rules.upright)
    if not level or not upright:
        return
    at, start, stop = np.array([[r.at, r.start, r.stop] for r in level]).T
    at2, start2, stop2 = np.array([[r.at, r.start, r.stop] for r in upright]).T
    meet = (
        (at2 >= start[:, None] - near)
        & (at2 <= stop[:, None] + near)
        & (at[:, None] >= start2 - near)
        & (at[:, None] <= stop2 + near)
    )
    free = np.ones(len(level), bool)
    for n in range(len(level)):
        if not free[n]:
            continue
        rows, columns = np.zeros(len(level), bool), np.zeros(len(upright), bool)
        rows[n] = True
        while True:
            columns = meet[rows].any(axis=0)
            grown = rows | meet[:, columns].any(axis=1)
            if (grown == rows).all():
                break
            rows = grown
        free &= ~rows
        if columns.any():
            yield (
                [level[k] for k in np.flatnonzero(rows)],
                [upright[k] for k in np.flatnonzero(columns)],
            )


def _places(rules: Sequence[Rule], near: float) -> list[float]:
    """Where rules are; those next to each other are one."""
    places: list[list[float]] = []
    for at in sorted(rule.at for rule in rules):
        if places and at - places[-1][-1] <= 1.5 * near:
            places[-1].append(at)
        else:
            places.append([at])
    return [sum(each) / len(each) for each in places]


def _with_ends(places: list[float], across: Sequence[Rule], near: float) -> list[float]:
    """The places, and the ends of the rules across them where nothing is drawn there."""
    # Those between the rows of a group end at the group's heading.
    longest = max(rule.stop - rule.start for rule in across)
    long = [rule for rule in across if rule.stop - rule.start >= _LONG * longest]
    if len(long) < _FEWEST_LONG:
        long = list(across)
    first = median(rule.start for rule in long)
    last = median(rule.stop for rule in long)
    if first < places[0] - 3 * near:
        places = [first, *places]
    if last > places[-1] + 3 * near:
        places = [*places, last]
    return places


_LONG = 0.9  # Of the longest;
_FEWEST_LONG = 3  # a single one may belong to something else.


def _walls(
    rules: Sequence[Rule], places: Sequence[float], ends: Sequence[float], near: float
) -> NDArray[np.bool_]:
    """Shape (len(ends) - 1, len(places) - 2): where an inner place is drawn from end to end."""
    walls = np.zeros((len(ends) - 1, len(places) - 2), bool)
    for n, place in enumerate(places[1:-1]):
        here = [rule for rule in rules if abs(rule.at - place) <= 2 * near]
        for m, (start, stop) in enumerate(pairwise(ends)):
            drawn = sum(max(0.0, min(stop, r.stop) - max(start, r.start)) for r in here)
            walls[m, n] = drawn >= _WALL * (stop - start)
    return walls


def _cells(
    walls: NDArray[np.bool_], floors: NDArray[np.bool_]
) -> Iterator[tuple[int, int, int, int]]:
    rows, columns = walls.shape[0], floors.shape[1]
    free = np.ones((rows, columns), bool)
    for row in range(rows):
        for column in range(columns):
            if not free[row, column]:
                continue
            wide = 1
            while (
                column + wide < columns
                and free[row, column + wide]
                and not walls[row, column + wide - 1]
            ):
                wide += 1
            high = 1
            while row + high < rows and not floors[row + high - 1, column : column + wide].any():
                below = slice(column, column + wide)
                open_ = not walls[row + high, column : column + wide - 1].any()
                if not (open_ and free[row + high, below].all()):
                    break
                high += 1
            free[row : row + high, column : column + wide] = False
            yield row, column, high, wide
