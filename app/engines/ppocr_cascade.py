"""A cascade of readers: a quick one drafts, a careful one reads again what the draft doubts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engines.ppocr_read import COLUMN, Alphabet, Columns, Reader, bucket
from app.interfaces import Image

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Cascade:
    """Reads strips, as a ``Reader``; ``draft`` may be None where a quick reader is of no use.

    ``foreign`` flags the characters that are not written in the languages asked for. Where one of
    two likely characters is foreign, the other is preferred, and a foreign one in a draft is
    always doubted; unless so many are that the page is written in another language after all.
    """

    def __init__(
        self,
        draft: Reader | None,
        careful: Reader,
        alphabet: Alphabet,
        foreign: Flags | None,
        trusted: float = 0.9,
    ) -> None:
        """``trusted`` is the confidence from which on a drafted character is not doubted."""
        self._draft = draft
        self._careful = careful
        self._alphabet = alphabet
        self._foreign = foreign
        self._trusted = math.log(trusted / (1 - trusted))  # As a margin.

    def __call__(self, strips: Iterable[Image]) -> Sequence[Columns]:
        """The columns of each of ``strips``, shape (1, 48, width, 3)."""
        if self._draft is None:
            columns = self._careful(strips)
            foreign = self._foreign_to(columns)
            return self._curled([_preferred(each, foreign) for each in columns], columns)
        kept: list[Image] = []
        columns = self._draft(_keeping(strips, kept))
        foreign = self._foreign_to(columns)
        columns = [_preferred(each, foreign) for each in columns]
        judged = [_Judged.of(each, self._alphabet, foreign, self._trusted) for each in columns]
        letters, others = (
            _share([each.unsure[each.letters == kind] for each in judged]) for kind in (True, False)
        )
        again = [
            [slice(0, len(each.best))]
            if others > _LOST_OTHERS
            or (letters > _LOST_LETTERS and 2 * judge.letters.sum() > len(judge.letters))
            else judge.windows()
            for each, judge in zip(columns, judged, strict=True)
        ]
        windows = sorted(
            (
                (number, window, _seen(window, kept[number].shape[2]))
                for number, each in enumerate(again)
                for window in each
            ),
            key=lambda item: item[2].start - item[2].stop,  # Long ones first, for even ends.
        )
        found = self._careful(np.ascontiguousarray(kept[n][:, :, seen]) for n, _, seen in windows)
        found = self._curled([_preferred(each, foreign) for each in found], columns)
        for (number, window, seen), better in zip(windows, found, strict=True):
            offset = seen.start // COLUMN
            _take_over(columns[number], window, better, offset)
        return columns

    def _curled(self, found: Sequence[Columns], page: Sequence[Columns]) -> Sequence[Columns]:
        """What the careful reader saw, with quotes curly that it takes for straight ones too often.

        Among letters it is a little surer of a straight quote where a curly one stands (margins of
        0.1 to 3.3 in 30 such places of drawn pages), but far surer where it is one: 5 and more.
        Among Han characters it is not mistaken.
        """
        if not self._is_in_letters(page):
            return found
        straight, curly = self._alphabet.straight, self._alphabet.curly
        return [
            _lessened(each, np.where(straight[each.best] & curly[each.second], _CURLY, 0))
            for each in found
        ]

    def _is_in_letters(self, page: Sequence[Columns]) -> bool:
        best = np.concatenate([each.best for each in page]) if page else np.empty(0, np.int32)
        han = self._alphabet.unspaced[best].sum()
        return bool((self._alphabet.kinds[best] > 0).sum() > han)

    def _foreign_to(self, columns: Sequence[Columns]) -> Flags | None:
        """The flags, unless the page is full of what they call foreign."""
        if self._foreign is None or not columns:
            return None
        best = np.concatenate([each.best for each in columns])
        best = best[best > 0]
        return self._foreign if self._foreign[best].sum() <= _FEW * len(best) else None


_NEARLY = 1.5  # Margin of an empty column over a space; of few others it is below 3.
_PREFERENCE = 4.5  # How much likelier, as a logarithm, a foreign character has to be.
_CURLY = 4.0  # The same for a straight quote against a curly one,
_CURLY_IN_DRAFT = 4.5  # which a draft that is less sure is not believed.
_FEW = 0.15  # Of a page's characters; of a text in the other Chinese script it is a third.
_MARGIN = 4  # Columns on each side that are seen, but not taken over.
_JOINED = 8  # Windows nearer than this many columns are one.
_MOST = 0.6  # Of a strip; where more is doubtful, all of it is read again.
# Shares of a page's characters; where more are doubtful, all of it is read again, since then
# the draft is mistaken where it is sure, too. In clean print 0.6 % of the letters are doubtful,
# of Han characters 3 to 8 %; on a poor receipt or a photo 10 % and more.
_LOST_LETTERS, _LOST_OTHERS = 0.02, 0.12
_BY_CHANCE = 2  # So many doubtful ones say nothing of the others, however few these are.
_WIDE = 1.9  # Steps between narrow letters wider than this, in usual ones,
_WIDE_HAN = 1.6  # and between Han characters, which are all as wide.


def _keeping(strips: Iterable[Image], kept: list[Image]) -> Iterator[Image]:
    """The strips, each also put into ``kept``: one is cut out while others are read."""
    for strip in strips:
        kept.append(strip)
        yield strip


def _preferred(columns: Columns, foreign: Flags | None) -> Columns:
    if foreign is None:
        return columns
    more = foreign[columns.best].astype(np.float32) - foreign[columns.second]
    return _lessened(columns, np.asarray(_PREFERENCE * more))


def _lessened(columns: Columns, by: NDArray[Any]) -> Columns:
    """The columns with the second character in the place of the first where the margin is less."""
    margin = columns.margin - by.astype(np.float32)
    swapped = margin < 0
    return Columns(
        np.where(swapped, columns.second, columns.best),
        np.where(swapped, columns.best, columns.second),
        np.abs(margin),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """The characters of a draft, and which of them are doubted."""

    length: int  # Columns of the strip.
    starts: Numbers  # Where each character begins and stops, in columns.
    stops: Numbers
    letters: Flags  # Which are letters or digits of scripts that put spaces between words.
    unsure: Flags  # Which the draft itself is not sure of.
    bad: Flags  # These, and others that are to be read again.

    @staticmethod
    def of(columns: Columns, alphabet: Alphabet, foreign: Flags | None, trusted: float) -> _Judged:
        best = columns.best
        runs = np.flatnonzero(np.diff(best, prepend=-1) != 0)
        real = np.flatnonzero((best[runs] != 0) & (best[runs] != alphabet.space))
        starts, stops = runs[real], np.append(runs[1:], len(best))[real]
        numbers = best[starts]
        letters = alphabet.kinds[numbers] > 0
        if not len(real):
            return _Judged(len(best), starts, stops, letters, letters, letters)
        sure = np.maximum.reduceat(columns.margin, runs)[real]
        unsure = sure < trusted
        curly = np.maximum.reduceat(alphabet.curly[columns.second], runs)[real]
        bad = unsure | (alphabet.straight[numbers] & curly & (sure < _CURLY_IN_DRAFT))
        if foreign is not None:
            bad |= foreign[numbers]
        narrow = alphabet.narrow[numbers] | letters
        gaps = np.flatnonzero(narrow[1:] & narrow[:-1])
        lost = _lost_spaces(columns, alphabet.space)
        after = np.searchsorted(starts, lost)
        odd = np.intersect1d(after[(after > 0) & (after < len(bad))] - 1, gaps)
        odd = np.union1d(odd, np.flatnonzero(_lost(columns, alphabet, starts, stops)))
        bad[odd] = bad[odd + 1] = True
        return _Judged(len(best), starts, stops, letters, unsure, bad)

    def windows(self) -> list[slice]:
        """Runs of columns to be read again; they begin and end between characters."""
        if not self.bad.any():
            return []
        ends, begins = self.stops[:-1], self.starts[1:]
        # Letters of one word stand so close that no column is surely between them.
        wide = begins - ends >= 2
        cuts = np.concatenate([[0], ((ends + begins) // 2)[wide], [self.length]])
        again = np.zeros(len(cuts) - 1, bool)
        again[np.searchsorted(cuts, self.starts[self.bad], side="right") - 1] = True
        windows = list(_joined(cuts, again))
        if sum(window.stop - window.start for window in windows) > _MOST * self.length:
            return [slice(0, self.length)]
        return windows


def _share(flags: Sequence[Flags]) -> float:
    unsure = sum(int(each.sum()) for each in flags) - _BY_CHANCE
    return max(0, unsure) / max(1, sum(map(len, flags)))


def _lost(columns: Columns, alphabet: Alphabet, starts: Numbers, stops: Numbers) -> Flags:
    """Between which neighbours something may be missing, as one of two alike is."""
    numbers = columns.best[starts]
    steps = np.diff((starts + stops) / 2)
    spaces = np.concatenate([[0], np.cumsum(columns.best == alphabet.space)])
    together = spaces[starts[1:]] == spaces[stops[:-1]]
    # Nothing between quotes, and of several dots perhaps not all.
    quotes, dots = alphabet.straight[numbers] | alphabet.curly[numbers], alphabet.dots[numbers]
    lost = together & ((quotes[1:] & quotes[:-1]) | (dots[1:] & dots[:-1]))
    for kind, wide in ((alphabet.narrow[numbers], _WIDE), (alphabet.han[numbers], _WIDE_HAN)):
        inside = together & kind[1:] & kind[:-1]
        if inside.sum() >= 3:
            lost |= inside & (steps > wide * np.median(steps[inside]))
    return np.asarray(lost)


def _lost_spaces(columns: Columns, space: int) -> Numbers:
    """Columns that are empty, but nearly were a space, far from any that is one."""
    near = np.pad(columns.best == space, 1)
    near = near[:-2] | near[1:-1] | near[2:]
    nearly = (columns.best == 0) & (columns.second == space) & (columns.margin < _NEARLY)
    return np.flatnonzero(nearly & ~near)


def _joined(cuts: Numbers, again: Flags) -> Iterator[slice]:
    start = stop = -_JOINED
    for cell in np.flatnonzero(again).tolist():
        first, last = int(cuts[cell]), int(cuts[cell + 1])
        if first - stop >= _JOINED:
            if stop > start:
                yield slice(start, stop)
            start = first
        stop = last
    yield slice(start, stop)


def _seen(window: slice, width: int) -> slice:
    """The pixels that are looked at for ``window``: a margin on each side, as wide as a bucket."""
    start = max(0, (window.start - _MARGIN) * COLUMN)
    stop = min(width, (window.stop + _MARGIN) * COLUMN)
    wanted = min(bucket(stop - start), width)
    start = max(0, min(start - (wanted - (stop - start)) // 2, width - wanted))
    start -= start % COLUMN
    return slice(start, start + wanted)


def _take_over(old: Columns, window: slice, new: Columns, offset: int) -> None:
    """Put ``window`` of ``new``, which begins at the column ``offset`` of ``old``, in its place."""
    stop = min(window.stop, offset + len(new.best), len(old.best))
    inner = slice(window.start - offset, stop - offset)
    old.best[window.start : stop] = new.best[inner]
    old.second[window.start : stop] = new.second[inner]
    old.margin[window.start : stop] = new.margin[inner]
