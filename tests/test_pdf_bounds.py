"""Files that are large, dense or damaged, and no bombs: they pass."""

import base64
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from app.converters.pdf_bounds import MAX_STREAM_BYTES, PdfBounds
from app.errors import TooLarge
from tests.bombs import TEXT, form, page, stream, zeros

BIG = MAX_STREAM_BYTES + 2**20
IMAGE = "/Type/XObject/Subtype/Image/Width 9000/Height 5000/BitsPerComponent 8/ColorSpace/DeviceRGB"
MARKERS = b"/X Do\n" * 60_000


def plot(marker: dict[int, bytes], operators: bytes = MARKERS) -> bytes:
    return page(operators, "/XObject<</X 6 0 R>>", marker)


def scan(entries: str, data: bytes, content: bytes = b"/X Do", content_entries: str = "") -> bytes:
    picture = {6: stream(data, IMAGE + entries)}
    return page(content, "/XObject<</X 6 0 R>>", picture, content_entries=content_entries)


def broken(data: bytes) -> bytes:
    """A file whose table and objects only forgiving readers find."""
    return data.replace(b"/Root", b"/Rxxt").replace(b"/Catalog", b"/Catxxxx")


FLATE = "/Filter/FlateDecode"
DAMAGED = zlib.compress(os.urandom(5000))[:2000] + b"damage" * 500

GOOD: dict[str, Callable[[], bytes]] = {
    "plot of one marker": lambda: plot({6: form(b"0 0 m 9 9 l S")}),
    "plot of a marker that draws another": lambda: plot(
        {6: form(b"/X Do /X Do", 7), 7: form(b"0 0 m 9 9 l S")}
    ),
    "large scan": lambda: scan(FLATE, zeros(BIG)),
    "large scan, damaged file": lambda: broken(scan(FLATE, zeros(BIG))),
    "large scan, damaged content": lambda: scan(FLATE, zeros(BIG), DAMAGED, FLATE),
    "large scan in letters": lambda: scan(
        "/Filter[/ASCII85Decode/DCTDecode]", base64.a85encode(os.urandom(2**20)) * 110 + b"~>"
    ),
    "drawing of 100 MiB": lambda: page(
        zeros(100 * 2**20, 1, TEXT, b" "), content_entries="/Filter/FlateDecode"
    ),
    "large attachment": lambda: page(
        catalog="/Names<</EmbeddedFiles<</Names[(a)6 0 R]>>>>",
        more={
            6: b"<</Type/Filespec/F(a)/EF<</F 7 0 R>>>>",
            7: stream(zeros(BIG), f"/Type/EmbeddedFile{FLATE}"),
        },
    ),
}

BAD: dict[str, Callable[[], bytes]] = {
    "each marker draws a thousand": lambda: plot(
        {6: form(b"/X Do\n" * 1000, 7), 7: form(b"0 0 m 9 9 l S")}, b"/X Do\n" * 100
    ),
    "too many, though written out": lambda: plot(
        {6: form(b"/X Do " * 200, 7), 7: form(b"")}, MARKERS
    ),
    "resources of all pages": lambda: (
        plot({6: form(b"/X Do\n" * 1000, 7), 7: form(b"0 0 m 9 9 l S")}, b"/X Do\n" * 100)
        .replace(b"/Resources<</XO", b"/Rxxxxxxxx<</XO")
        .replace(b"/Count 1", b"/Count 1/Resources<</XObject<</X 6 0 R>>>>")
    ),
    "forms with the resources of their page": lambda: page(
        b"/X Do\n" * 100,
        "/XObject<</X 6 0 R/Y 7 0 R>>",
        {6: form(b"/Y Do\n" * 1000), 7: form(b"0 0 m 9 9 l S")},
    ),
    "form that draws itself": lambda: plot({6: form(b"/X Do", 6)}, b"/X Do"),
    "image in two layers, damaged file": lambda: broken(
        scan("/Filter[/FlateDecode/FlateDecode]", zeros(BIG, 1, zlib.compress(bytes(99))))
    ),
}


def check(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    PdfBounds(5000, 2**30).check(path, [])


@pytest.mark.parametrize("name", GOOD)
def test_what_is_large_and_honest_passes(name: str, tmp_path: Path) -> None:
    check(GOOD[name](), tmp_path / "a.pdf")


@pytest.mark.parametrize("name", BAD)
def test_what_becomes_large_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        check(BAD[name](), tmp_path / "a.pdf")
