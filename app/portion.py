"""Pages that have been read, as they wait for the others of their document."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from app.document import Block, Line, Page, Paragraph, Picture, Table, Word, with_lines
from app.errors import AppError, InternalError, InvalidFile, TimedOut


@dataclass(frozen=True, slots=True)
class Portion:
    """Pages that follow each other; what they look like is to be had from their source again."""

    pages: tuple[Page, ...]
    recognized: int = 0  # How many of them recognition looked at.
    failed: tuple[int, ...] = ()  # Numbers of those that could not be read,
    fault: AppError | None = None  # and why the last of them could not.
    left_out: tuple[str, ...] = ()  # What is on no page of the whole document, as its source says.

    def save(self, path: Path) -> None:
        """Write it to ``path``."""
        fault = 0
        if self.fault is not None:
            fault = next(n for n, kind in enumerate(_FAULTS) if isinstance(self.fault, kind))
        pages = [
            _StoredPage(
                blocks=list(map(_packed, page.blocks)),
                **{name: getattr(page, name) for name in _PLAIN},
            )
            for page in self.pages
        ]
        reason = None if self.fault is None else str(self.fault)
        stored = _Stored(pages, self.recognized, self.failed, fault, reason, self.left_out)
        path.write_bytes(_ENCODER.encode(stored))

    @staticmethod
    def saved(path: Path) -> Portion:
        """What was saved at ``path``."""
        stored = _DECODER.decode(path.read_bytes())
        return Portion(
            tuple(
                Page(
                    **{name: getattr(page, name) for name in _PLAIN},
                    blocks=tuple(map(_unpacked, page.blocks)),
                )
                for page in stored.pages
            ),
            stored.recognized,
            stored.failed,
            None if stored.reason is None else _FAULTS[stored.fault](stored.reason),
            stored.left_out,
        )


def slim(page: Page, exact: bool) -> Page:
    """``page`` without what it looks like; unless ``exact``, without the place of each word."""
    blocks = page.blocks
    if not exact:
        blocks = tuple(with_lines(block, _joined) for block in blocks)
    return replace(page, blocks=blocks, load=None, picture=None)


def _joined(line: Line) -> Line:
    if len(line.words) < 2:
        return line
    return replace(line, words=(Word(line.text, line.box, line.confidence),))


_FAULTS: tuple[type[AppError], ...] = (InvalidFile, TimedOut, InternalError)
_PLAIN = ("number", "width", "height", "dpi", "recognized", "turns", "endless")
_Packed = tuple[Paragraph | None, Table | None, Picture | None]
"""A block in the place of its kind: the decoder goes by places, for classes have no marks."""


class _StoredPage(msgspec.Struct, array_like=True):
    number: int
    width: float
    height: float
    dpi: float
    recognized: bool
    turns: int
    endless: bool
    blocks: list[_Packed]


class _Stored(msgspec.Struct, array_like=True):
    pages: list[_StoredPage]
    recognized: int
    failed: tuple[int, ...]
    fault: int  # The place of its class.
    reason: str | None  # None without a fault.
    left_out: tuple[str, ...]


def _packed(block: Block) -> _Packed:
    if isinstance(block, Paragraph):
        return block, None, None
    return (None, block, None) if isinstance(block, Table) else (None, None, block)


def _unpacked(packed: _Packed) -> Block:
    paragraph, table, picture = packed
    block = paragraph or table or picture
    assert block is not None
    return block


def _number(value: Any) -> Any:
    return value.item()  # Of numpy's kinds.


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_number)
_DECODER = msgspec.msgpack.Decoder(_Stored)
