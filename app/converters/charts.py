"""Charts of Office documents: their titles, and the values that were saved with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.converters.number_formats import shown

MAX_VALUES = 5000
"""Of a chart; one with more shows a shape, not numbers."""

Grid = tuple[tuple[str, ...], ...]
"""Rows of texts; all are as long."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart says."""

    titles: tuple[str, ...]  # Of itself and its axes, and texts that somebody wrote on it.
    tables: tuple[Grid, ...]  # A column for each series, under its name; the first says where.


def read_chart(root: Any, date1904: bool = False) -> Chart:
    """The chart whose part has this ``root``; too many values are left out."""
    tables: list[list[_Series]] = []
    values = 0
    for each in root.iter("{*}ser"):
        series = _series(each, date1904)
        values += len(series.values)
        if tables and tables[-1][0].places == series.places:
            tables[-1].append(series)
        elif series.values:
            tables.append([series])
    if values > MAX_VALUES:
        tables = []
    return Chart(tuple(dict.fromkeys(_titles(root))), tuple(map(_grid, tables)))


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    places: dict[int, str]  # Categories, or where on the level axis.
    values: dict[int, str]


def _titles(root: Any) -> Iterator[str]:
    for paragraph in root.iter("{http://schemas.openxmlformats.org/drawingml/2006/main}p"):
        # Fields stand for values, which are in the table.
        text = "".join(run.text or "" for run in paragraph.iterfind("{*}r/{*}t"))
        if text.strip():
            yield text
    for title in root.iter("{*}title"):
        yield from _points(title.find("{*}tx"), False).values()


def _series(element: Any, date1904: bool) -> _Series:
    def points(*tags: str) -> dict[int, str]:
        return next((found for t in tags if (found := _points(element.find(t), date1904))), {})

    name = element.findtext("{*}tx/{*}v") or " ".join(points("{*}tx").values())
    values = points("{*}val", "{*}yVal")
    places = points("{*}cat", "{*}xVal") or {n: str(n + 1) for n in values}
    return _Series(name.strip(), places, values)


def _points(element: Any, date1904: bool) -> dict[int, str]:
    """The texts that were saved for a reference to cells, by their numbers."""
    found: dict[int, str] = {}
    levels = element.iter(*_LEVELS) if element is not None else ()
    for level in levels:
        code = level.findtext("{*}formatCode") or "General"
        is_number = level.tag.rpartition("}")[2].startswith("num")
        texts: dict[int, str] = {}
        for point in level.iterfind("{*}pt"):
            number, text = point.get("idx", ""), (point.findtext("{*}v") or "").strip()
            if text and len(number) < _LONGEST_NUMBER and number.isascii() and number.isdigit():
                text = shown(text, point.get("formatCode", code), date1904) if is_number else text
                texts[int(number)] = " ".join(text.split())
        if found:  # Those of an outer level hold until the next.
            last = ""
            for number in sorted(found):
                last = texts.get(number, last)
                found[number] = f"{last} {found[number]}".strip()
        else:
            found = texts
    return found


_LEVELS = ("{*}numCache", "{*}numLit", "{*}strCache", "{*}strLit", "{*}lvl")
_LONGEST_NUMBER = 7  # Digits.


def _grid(series: list[_Series]) -> Grid:
    places = series[0].places
    numbers = sorted(places.keys() | {number for each in series for number in each.values})
    head = ("", *(each.name for each in series))
    rows = (
        (places.get(number, ""), *(each.values.get(number, "") for each in series))
        for number in numbers
    )
    return (head, *rows) if any(head) else tuple(rows)
