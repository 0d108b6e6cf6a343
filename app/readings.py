"""What an engine read in a document, kept so that other formats need not have it read again.

A file of readings is a row of records, each of a key (16 bytes: the XXH3 of the question and the
pixels), the length of the answer (4 bytes, big-endian) and the answer (MessagePack). Such files can
be put behind each other. What is not found is read: no format depends on them, only the time that
it takes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xxhash

from app.document import Line
from app.interfaces import Engine, Image
from app.languages import Language

_HEAD = struct.Struct(">16sI")


class Readings:
    """The answers of an engine about one document, in one selection of languages."""

    def __init__(self, known: Path | None = None, notes: Path | None = None) -> None:
        """``known`` is a file of readings, ``notes`` another, to which new ones are added."""
        self._known = known
        self._notes = notes
        self._places = {} if known is None else _places(known)

    def of(self, engine: Engine) -> Engine:
        """``engine``, which is asked only for what is not known."""
        return _Remembering(engine, self)

    def find(self, key: bytes) -> bytes | None:
        """The answer with this key, if there is one."""
        if self._known is None or key not in self._places:
            return None
        start, length = self._places[key]
        with self._known.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def note(self, key: bytes, answer: bytes) -> None:
        """Add an answer to the notes, if any are taken."""
        if self._notes is not None:
            with self._notes.open("ab") as file:
                file.write(_HEAD.pack(key, len(answer)) + answer)


def count(path: Path) -> int:
    """How many answers are in a file of readings."""
    return len(_places(path))


def _places(path: Path) -> dict[bytes, tuple[int, int]]:
    """Where each answer is: its first byte, and how many they are."""
    places: dict[bytes, tuple[int, int]] = {}
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            key, length = _HEAD.unpack(head)
            places[key] = (file.tell(), length)
            file.seek(length, 1)
    return places


class _Remembering:
    """An engine that remembers."""

    def __init__(self, engine: Engine, readings: Readings) -> None:
        self._engine = engine
        self._readings = readings
        self._last: tuple[Image, bytes] | None = None

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        """How many quarter turns to the left set the page upright."""
        key = self._key("turns", image)
        found: int | None = self._find(key, _TURNS)
        if found is None:
            found = self._engine.turns(image, languages)
            self._readings.note(key, _ENCODER.encode(found))
        return found

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """The lines found on the upright ``image``."""
        key = self._key(f"lines {dpi:.3f}", image)
        found: list[Line] | None = self._find(key, _LINES)
        if found is None:
            found = self._engine.recognize(image, languages, dpi)
            self._readings.note(key, _ENCODER.encode(found))
        return found

    def prepare(self) -> bool:
        """Do a little that makes later pages quicker."""
        return self._engine.prepare()

    def _find(self, key: bytes, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
        answer = self._readings.find(key)
        with suppress(msgspec.DecodeError):  # Of another version, or cut off.
            return None if answer is None else decoder.decode(answer)
        return None

    def _key(self, question: str, image: Image) -> bytes:
        return xxhash.xxh3_128_digest(question.encode() + self._digest(image))

    def _digest(self, image: Image) -> bytes:
        """Of the shape and the pixels; of a page that was upright all along only once."""
        if self._last is not None and _same_memory(image, self._last[0]):
            return self._last[1]
        # Whoever makes two pages with the same digest garbles nothing but their own document.
        digest = xxhash.xxh3_128(str(image.shape).encode())
        digest.update(np.ascontiguousarray(image).data)
        self._last = image, digest.digest()
        return self._last[1]


def _same_memory(one: Image, other: Image) -> bool:
    """Whether both are views of the same pixels, in the same order."""
    first, second = one.__array_interface__, other.__array_interface__
    return all(first[name] == second[name] for name in ("data", "shape", "strides"))


def _number(value: Any) -> Any:
    return value.item()  # Of numpy's kinds.


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_number)
_TURNS = msgspec.msgpack.Decoder(int)
_LINES = msgspec.msgpack.Decoder(list[Line])
