"""TIFF files of kinds that Pillow does not write, after the specification's revision 6."""

import struct
from collections.abc import Mapping, Sequence

Tags = Mapping[int, Sequence[int | float]]

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, ROWS = (
    256, 257, 258, 259, 262, 266, 277, 278,
)  # fmt: skip
PLANES, PREDICTOR, COLOURS, TILE_WIDTH, TILE_HEIGHT, EXTRA, FORMAT = (
    284,
    317,
    320,
    322,
    323,
    338,
    339,
)
OLD_JPEG, OLD_JPEG_LENGTH, SUBSAMPLING = 513, 514, 530
_STRIPS, _STRIP_LENGTHS, _TILES, _TILE_LENGTHS = 273, 279, 324, 325
_RESOLUTIONS, _LONG, _FLOAT = (282, 283), 4, 11


def tiff(
    width: int,
    height: int,
    data: Sequence[bytes],
    tags: Tags,
    order: str = "<",
    big: bool = False,
) -> bytes:
    """A file with one page of ``data``: strips, or tiles if ``tags`` give their size.

    ``order`` is that of struct; resolutions are floats. A strip that old JPEG tags are to point
    to is the first.
    """
    tiled = TILE_WIDTH in tags
    places, lengths = (_TILES, _TILE_LENGTHS) if tiled else (_STRIPS, _STRIP_LENGTHS)
    found: dict[int, Sequence[int | float]] = {
        WIDTH: [width],
        HEIGHT: [height],
        BITS: [8],
        COMPRESSION: [1],
        SAMPLES: [len(tags.get(BITS, [8]))],
        **({} if tiled else {ROWS: [height]}),
        **tags,
        places: [0] * len(data),
        lengths: [len(piece) for piece in data],
    }
    entry, link, inline = ("HHQ", "Q", 8) if big else ("HHI", "I", 4)
    start = 16 if big else 8
    end = start + (8 if big else 2) + len(found) * (20 if big else 12) + inline
    wide = {tag: len(v) * 4 for tag, v in found.items() if len(v) * 4 > inline}
    place = end + sum(wide.values())
    found[places] = [place + sum(map(len, data[:n])) for n in range(len(data))]
    if OLD_JPEG in found:
        found[OLD_JPEG] = [place]
    listed = extra = b""
    for tag in sorted(found):
        values = found[tag]
        kind = _FLOAT if tag in _RESOLUTIONS else _LONG
        packed = struct.pack(f"{order}{len(values)}{'f' if kind == _FLOAT else 'I'}", *values)
        if tag in wide:
            value = struct.pack(order + link, end + len(extra))
            extra += packed
        else:
            value = packed.ljust(inline, b"\0")
        listed += struct.pack(order + entry, tag, kind, len(values)) + value
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    count = struct.pack(order + ("Q" if big else "H"), len(found))
    return mark + head + count + listed + bytes(inline) + extra + b"".join(data)
