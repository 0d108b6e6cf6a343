"""Damage to PDF files, which stay readable: objects and contents that are not as expected."""

import io
import re
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from fuzz.seeds import PASSWORD


def mutated(data: bytes, rng: Random, damaged: Callable[[bytes, Random], bytes]) -> bytes:
    """The file, changed in one to five objects; ``damaged`` is for the bytes of streams."""
    with _opened(data) as pdf:
        locked = pdf.is_encrypted
        objects = list(pdf.objects)
        for _ in range(rng.choice((1, 1, 2, 5))):
            with suppress(*_IMPOSSIBLE):
                _change(pdf, rng.choice(objects), objects, rng, damaged)
        out = io.BytesIO()
        packing = rng.choice(list(pikepdf.ObjectStreamMode.__members__.values()))
        if locked:
            lock = pikepdf.Encryption(owner="owner", user=PASSWORD)
            pdf.save(out, object_stream_mode=packing, encryption=lock)
        else:
            # As they are: what is damaged stays so.
            level = pikepdf.StreamDecodeLevel.none
            pdf.save(
                out,
                object_stream_mode=packing,
                stream_decode_level=level,
                deterministic_id=True,
            )
    return out.getvalue()


def _opened(data: bytes) -> pikepdf.Pdf:
    try:
        return pikepdf.open(io.BytesIO(data))
    except pikepdf.PasswordError:
        return pikepdf.open(io.BytesIO(data), password=PASSWORD)


_IMPOSSIBLE = (pikepdf.PdfError, ValueError, KeyError, TypeError)  # What pikepdf does not let do.


def _change(
    pdf: pikepdf.Pdf,
    found: Any,
    objects: list[Any],
    rng: Random,
    damaged: Callable[[bytes, Random], bytes],
) -> None:
    for _ in range(rng.randrange(4)):  # Down to something within it.
        inner = _children(found)
        if not inner:
            break
        found = rng.choice(inner)
    if isinstance(found, pikepdf.Stream) and rng.random() < 0.6:
        _change_stream(found, rng, damaged)
    elif isinstance(found, (Dictionary, pikepdf.Stream)):
        keys = list(found.keys())
        way = rng.random()
        if way < 0.25 and keys:
            del found[rng.choice(keys)]
        elif way < 0.8 and keys:
            found[rng.choice(keys)] = _anything(pdf, found, objects, rng)
        else:
            found[Name(rng.choice(_KEYS))] = _anything(pdf, found, objects, rng)
    elif isinstance(found, Array):
        if len(found) and rng.random() < 0.7:
            found[rng.randrange(len(found))] = _anything(pdf, found, objects, rng)
        elif len(found) and rng.random() < 0.5:
            del found[rng.randrange(len(found))]
        else:
            for _ in range(rng.choice((1, 1, 500))):
                found.append(_anything(pdf, found, objects, rng))


def _children(found: Any) -> list[Any]:
    if isinstance(found, (Dictionary, pikepdf.Stream)):
        values = [found[key] for key in found.keys()]  # noqa: SIM118 - it is no mapping
    else:
        values = list(found) if isinstance(found, Array) else []
    return [each for each in values if isinstance(each, (Dictionary, pikepdf.Stream, Array))]


def _change_stream(stream: Any, rng: Random, damaged: Callable[[bytes, Random], bytes]) -> None:
    try:
        plain = stream.read_bytes()
    except pikepdf.PdfError:
        stream.write(damaged(stream.read_raw_bytes(), rng), filter=stream.get("/Filter"))
        return
    way = rng.random()
    if way < 0.3:
        kept = {"filter": stream.get("/Filter"), "decode_parms": stream.get("/DecodeParms")}
        stream.write(damaged(stream.read_raw_bytes(), rng), **kept)
    elif way < 0.6:
        stream.write(damaged(plain, rng))
    else:
        stream.write(_tokens(plain, rng))


def _tokens(content: bytes, rng: Random) -> bytes:
    """A content stream with numbers, operators and strings that are not as expected."""
    words = re.findall(rb"\((?:\\.|[^()\\])*\)|<[0-9A-Fa-f\s]*>|\S+|\s+", content)
    for _ in range(rng.choice((1, 3, 10))):
        if not words:
            break
        at = rng.randrange(len(words))
        way = rng.random()
        if way < 0.4:
            places = [n for n, word in enumerate(words) if _NUMBER.fullmatch(word)]
            words[rng.choice(places or [at])] = rng.choice(_WRITTEN)
        elif way < 0.55:
            del words[at : at + rng.choice((1, 2, 9))]
        elif way < 0.7:
            words[at:at] = words[at : at + rng.choice((1, 4, 20))] * rng.choice((1, 3, 200))
        else:
            words.insert(at, b" " + rng.choice(_OPERATORS) + b" ")
    return b"".join(words)


_NUMBER = re.compile(rb"[-+.\d]+")
_WRITTEN = (b"0", b"-1", b"1e9", b"999999999999", b"-99999999", b"0.00000001", b"2147483648",
            b"NaN", b"--5", b"1000000", b"/N", b"[", b"<<", b"()")  # fmt: skip
_OPERATORS = (
    b"q " * 300, b"Q " * 300, b"q", b"Q", b"BT", b"ET", b"0 0 0 0 0 0 cm", b"1e9 0 0 1e9 0 0 cm",
    b"0 0 0 0 0 0 Tm", b"1e-9 0 0 1e-9 9 9 Tm", b"0 -1 1 0 50 50 Tm", b"/F1 0 Tf", b"/F1 -12 Tf",
    b"/F1 1e6 Tf", b"/None 12 Tf", b"(\\000\\377\\376\\200) Tj", b"[(a) 1e9 (b) -1e9 (c)] TJ",
    b"1e9 Tc", b"-1000 Tz", b"0 Tz", b"3 Tr", b"7 Tr", b"W n", b"/I0 Do", b"/FormXob.f Do", b"BI",
    b"BI /W 99999 /H 99999 /BPC 1 /CS /G ID x EI", b"0 0 1e9 1e9 re f", b"0 0 m 1e9 1e9 l S",
    b"/P <</MCID 0>> BDC", b"EMC", b"sh", b"/Pattern cs /P0 scn", b"[0] 0 d", b"1e9 w", b"0 w",
    b"/G0 gs", b"5 5 5 5 5 5 c", b"'", b"1 2 (x) \"",
)  # fmt: skip


def _anything(pdf: pikepdf.Pdf, owner: Any, objects: list[Any], rng: Random) -> Any:
    """A value of some type, right or wrong."""
    way = rng.randrange(9)
    if way == 0:
        return Dictionary(Type=Name(rng.choice(_NAMES)))
    if way in (1, 2):
        return rng.choice(_NUMBERS)
    if way == 3:
        return Name(rng.choice((*_NAMES, *_KEYS)))
    if way == 4:
        return String(rng.choice(("", "text", "\ud7ff", "D:20249999", "x" * 3000)))
    if way == 5:
        return Array([rng.choice(_NUMBERS) for _ in range(rng.choice((0, 1, 4, 6)))])
    if way == 6 and getattr(owner, "is_indirect", False):
        return owner  # A ring.
    if way == 7:
        return pdf.make_stream(rng.choice((b"", b"/X Do", rng.randbytes(50))))
    return rng.choice(objects)


_NUMBERS = (0, 1, -1, 2, 3, 7, 90, 45, 255, 256, 65536, 2**31 - 1, -(2**31), 2**32, 14401, 0.5,
            1e-5, 99999999, -99999.5, True, False)  # fmt: skip
_NAMES = ("/FlateDecode", "/LZWDecode", "/ASCIIHexDecode", "/RunLengthDecode", "/JBIG2Decode",
          "/JPXDecode", "/DCTDecode", "/CCITTFaxDecode", "/Crypt", "/DeviceGray", "/DeviceCMYK",
          "/Indexed", "/ICCBased", "/Separation", "/Lab", "/Pattern", "/Identity-H", "/Type0",
          "/Type1", "/Type3", "/TrueType", "/MMType1", "/CIDFontType0", "/CIDFontType2",
          "/WinAnsiEncoding", "/GBK-EUC-H", "/Form", "/Image", "/Page", "/Pages", "/x")  # fmt: skip
_KEYS = ("/MediaBox", "/CropBox", "/Rotate", "/UserUnit", "/Contents", "/Resources", "/Parent",
         "/Kids", "/Count", "/Length", "/Filter", "/DecodeParms", "/Width", "/Height", "/SMask",
         "/BitsPerComponent", "/ColorSpace", "/Decode", "/Matrix", "/BBox", "/Encoding",
         "/ToUnicode", "/Widths", "/FirstChar", "/LastChar", "/DW", "/W", "/CIDToGIDMap",
         "/FontMatrix", "/CharProcs", "/Annots", "/AP", "/Rect", "/Outlines", "/StructTreeRoot",
         "/MarkInfo", "/Metadata", "/OCProperties", "/OpenAction", "/AcroForm", "/Group", "/Mask",
         "/FontFile2", "/FontBBox", "/Ascent", "/Descent", "/PageLabels", "/Type", "/Subtype",
         "/Lang", "/ViewerPreferences", "/Extends", "/Tabs")  # fmt: skip
