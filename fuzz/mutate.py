"""Damage to files: of bytes anywhere, and of what a format is built of.

All of it is chosen by a random number generator, so that a number stands for a damaged file.
"""

import io
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

import olefile

from fuzz import mutate_pdf, mutate_xml
from tests.protection import compound

Mutation = Callable[[bytes, Random], bytes]

INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000,
               0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
NUMBERS = (b"0", b"-1", b"1", b"65536", b"2147483647", b"-2147483648", b"4294967296", b"1e400",
           b"99999999999999999999", b"0.0000001", b"NaN", b"-0", b"1048576")  # fmt: skip


def mutated(data: bytes, kind: str, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """``data`` damaged once to four times; ``others`` are files of its kind, to take pieces of."""
    aware = None if kind.startswith("locked") else _AWARE.get(kind)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        if aware is not None and rng.random() < 0.75:
            # What is damaged already may be of no kind any more.
            with suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = aware(data, rng)
                continue
        if others and rng.random() < 0.05:
            data = _spliced(data, rng.choice(others), rng)
        else:
            data = bytes_of(data, rng)
    return data


def bytes_of(data: bytes, rng: Random) -> bytes:
    """Any bytes, damaged in one of the usual ways."""
    return rng.choice(_ANYWHERE)(data, rng) if data else rng.randbytes(8)


def _place(data: bytes, rng: Random) -> int:
    """A place, half of the time one near the beginning, where headers are."""
    return rng.randrange(min(len(data), rng.choice((64, 512, len(data), len(data)))) or 1)


def _flipped(data: bytes, rng: Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        found[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(found)


def _set(data: bytes, rng: Random) -> bytes:
    place, order = _place(data, rng), rng.choice("<>")
    value, size = rng.choice(INTERESTING), rng.choice((1, 2, 4, 8))
    packed = (value & (1 << 8 * size) - 1).to_bytes(size, "little" if order == "<" else "big")
    return data[:place] + packed + data[place + size :]


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _removed(data: bytes, rng: Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + data[place + _length(data, rng) :]


def _repeated(data: bytes, rng: Random) -> bytes:
    place = _place(data, rng)
    piece = data[place : place + _length(data, rng)]
    return (
        data[:place]
        + piece * min(rng.choice((2, 3, 100)), 1 + 2**18 // (len(piece) or 1))
        + data[place:]
    )


def _inserted(data: bytes, rng: Random) -> bytes:
    place, length = _place(data, rng), min(_length(data, rng), 4096)
    piece = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return data[:place] + piece + data[place:]


def _overwritten(data: bytes, rng: Random) -> bytes:
    place, length = _place(data, rng), min(_length(data, rng), 256)
    return data[:place] + rng.randbytes(length) + data[place + length :]


def _moved(data: bytes, rng: Random) -> bytes:
    start, other, length = _place(data, rng), _place(data, rng), _length(data, rng)
    return data[:other] + data[start : start + length] + data[other + length :]


def _renumbered(data: bytes, rng: Random) -> bytes:
    """Written numbers replaced, where there are any."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", data[: 2**20]))
    if not found:
        return _set(data, rng)
    number = rng.choice(found)
    return data[: number.start()] + rng.choice(NUMBERS) + data[number.end() :]


def _length(data: bytes, rng: Random) -> int:
    return rng.randrange(1, 2 + min(len(data), rng.choice((4, 32, 1024, len(data)))))


def _spliced(data: bytes, other: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


_ANYWHERE: tuple[Mutation, ...] = (
    _flipped, _flipped, _set, _set, _cut, _removed, _repeated, _inserted, _overwritten, _moved,
    _renumbered,
)  # fmt: skip


# Archives (Office Open XML)


def _archive(data: bytes, rng: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(part.filename, archive.read(part)) for part in archive.infolist()]
    for _ in range(rng.choice((1, 1, 2, 3))):
        # Styles and themes are long and mean little: half of the damage is to what is said.
        places = [n for n, (name, _) in enumerate(parts) if not _DULL.search(name)]
        place = rng.choice(places if places and rng.random() < 0.6 else range(len(parts)))
        name, content = parts[place]
        way = rng.random()
        if way < 0.7 and name.endswith((".xml", ".rels", ".vml")):
            parts[place] = name, mutate_xml.mutated(content, rng)
        elif way < 0.85:
            parts[place] = name, bytes_of(content, rng)
        elif way < 0.88:
            del parts[place]
        elif way < 0.91:
            parts.insert(place, (name, content))
        elif way < 0.94:
            parts[place] = name, rng.choice(parts)[1]
        elif way < 0.97:
            parts[place] = rng.choice((name.upper(), "../" + name, "/" + name, "x" * 300)), content
        else:
            parts[place] = name, b""
    out = io.BytesIO()
    packing = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))
    with zipfile.ZipFile(out, "w", packing) as made:
        for name, content in parts:
            made.writestr(zipfile.ZipInfo(name), content, packing)  # Of no time.
    return out.getvalue()


_DULL = re.compile(r"theme|styles|fontTable|slideLayout|slideMaster|docProps|settings|thumbnail")


# Compound files (DOC, XLS, PPT)


def _compound(data: bytes, rng: Random) -> bytes:
    with olefile.OleFileIO(io.BytesIO(data)) as ole:
        streams = {n[0]: ole.openstream(n).read() for n in ole.listdir() if len(n) == 1}
    name = rng.choice([each for each in streams if not each.startswith("\5")] or list(streams))
    content = streams[name]
    streams[name] = _records(content, rng) if rng.random() < 0.7 else bytes_of(content, rng)
    return compound(streams)


def _records(content: bytes, rng: Random) -> bytes:
    """A stream in which a length, a count or an offset is another one."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 2, 4))):
        size = rng.choice((2, 4))
        place = _place(content, rng) // 2 * 2
        packed = (rng.choice(INTERESTING) & (1 << 8 * size) - 1).to_bytes(size, "little")
        found[place : place + size] = packed
    return bytes(found)


# Images


def _png(data: bytes, rng: Random) -> bytes:
    """Chunks, damaged, moved, repeated; their checksums are right again."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    at = rng.randrange(len(chunks))
    name, content = chunks[at]
    way = rng.random()
    if way < 0.3 and name == b"IDAT":
        chunks[at] = name, zlib.compress(bytes_of(zlib.decompress(content), rng))
    elif way < 0.7:
        chunks[at] = name, bytes_of(content, rng)
    elif way < 0.8:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
    elif way < 0.9:
        del chunks[at]
    else:
        kind = rng.choice((b"tRNS", b"PLTE", b"iCCP", b"gAMA", b"zTXt", b"acTL", b"eXIf", b"fcTL"))
        chunks.insert(rng.randrange(len(chunks) + 1), (kind, rng.randbytes(rng.choice((0, 4, 40)))))
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )  # fmt: skip


def _jpeg(data: bytes, rng: Random) -> bytes:
    """A segment before the samples, damaged; its length is right again."""
    segments, place = [], 2
    while data[place : place + 1] == b"\xff" and data[place + 1] != 0xDA:
        length = struct.unpack_from(">H", data, place + 2)[0]
        segments.append((data[place + 1], data[place + 4 : place + 2 + length]))
        place += 2 + length
    at = rng.randrange(len(segments))
    mark, content = segments[at]
    way = rng.random()
    if way < 0.7:
        segments[at] = mark, bytes_of(content, rng)[:65533]
    elif way < 0.8:
        segments.insert(rng.randrange(len(segments) + 1), segments[at])
    elif way < 0.9:
        del segments[at]
    else:
        mark = rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xDD, 0xE1, 0xE2, 0xEE))
        segments[at] = mark, content
    return data[:2] + b"".join(
        struct.pack(">BBH", 0xFF, mark, 2 + len(content)) + content for mark, content in segments
    ) + data[place:]  # fmt: skip


def _tiff(data: bytes, rng: Random) -> bytes:
    """A field of a directory: another tag, type, count or value."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    start = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    count = struct.unpack_from(order + ("Q" if big else "H"), data, start)[0]
    size, head = (20, 8) if big else (12, 2)
    place = start + head + size * rng.randrange(min(count, 100))
    found = bytearray(data)
    way = rng.random()
    if way < 0.15:
        struct.pack_into(order + "H", found, place, rng.choice(_TAGS))
    elif way < 0.3:
        struct.pack_into(order + "H", found, place + 2, rng.randrange(19))
    elif way < 0.5:
        struct.pack_into(order + "I", found, place + 4, rng.choice(INTERESTING))
    elif way < 0.6:  # The next directory: this one, another, or nowhere.
        after = start + head + size * count
        struct.pack_into(order + "I", found, after, rng.choice((start, 0, 8, *INTERESTING)))
    else:
        small = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 32773, 34712, 50000)
        value = rng.choice(rng.choice((INTERESTING, small)))
        kind = rng.choice("HI")
        struct.pack_into(order + kind, found, place + size - (8 if big else 4),
                         value & (0xFFFF if kind == "H" else 0xFFFFFFFF))  # fmt: skip
    return bytes(found)


_TAGS = (256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 284, 317, 320, 322, 323, 324,
         325, 330, 338, 339, 347, 513, 514, 530, 532, 34665, 34853)  # fmt: skip


def _pdf(data: bytes, rng: Random) -> bytes:
    return mutate_pdf.mutated(data, rng, bytes_of)


_AWARE: dict[str, Mutation] = {
    "pdf": _pdf, "docx": _archive, "xlsx": _archive, "pptx": _archive, "doc": _compound,
    "xls": _compound, "ppt": _compound, "png": _png, "jpeg": _jpeg, "tiff": _tiff,
}  # fmt: skip
