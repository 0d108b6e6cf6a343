"""Whether a PDF's font would show the same anywhere: embedded, whole, and as wide as it is said."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from io import BytesIO
from typing import Any
from unicodedata import category

import pikepdf
from fontTools import agl
from fontTools.cffLib import CFFFontSet
from fontTools.encodings.MacRoman import MacRoman
from fontTools.encodings.StandardEncoding import StandardEncoding
from fontTools.misc.eexec import decrypt
from fontTools.pens.basePen import NullPen
from fontTools.ttLib import TTFont


class Fault(Exception):
    """Something that PDF/A forbids, or that cannot be vouched for."""


class Font:
    """A font of a PDF whose program is within it. Raises Fault where anything is amiss."""

    def __init__(self, font: pikepdf.Object) -> None:
        """Read the program and the widths that the PDF gives."""
        self._composite = str(font.get("/Subtype")) == "/Type0"
        own = font.DescendantFonts[0] if self._composite else font
        kind = str(own.get("/Subtype"))
        if kind not in ("/Type1", "/MMType1", "/TrueType", "/CIDFontType0", "/CIDFontType2"):
            raise Fault(f"a font of the kind {kind}")
        descriptor = own.get("/FontDescriptor")
        if not isinstance(descriptor, pikepdf.Dictionary):
            raise Fault("a font that is not embedded")
        self._meanings = _meanings(font.get("/ToUnicode"))
        self._program = _program(descriptor, kind)
        if self._composite:
            if font.get("/Encoding") not in ("/Identity-H", "/Identity-V"):
                raise Fault("a font with an encoding of its own")
            self._widths = _composite_widths(own)
            self._glyphs: Mapping[int, Any] | None = (
                _glyph_map(own) if kind == "/CIDFontType2" else None
            )
        else:
            self._widths = _simple_widths(own)
            self._glyphs, names = _simple_glyphs(own, descriptor, self._program)
            for code, name in names.items():
                if text := agl.toUnicode(name):
                    self._meanings.setdefault(code, text)

    def codes(self, shown: bytes) -> Iterable[int]:
        """The codes that a string shows."""
        if not self._composite:
            return shown
        if len(shown) % 2:
            raise Fault("a text of half characters")
        return (high << 8 | low for high, low in zip(shown[::2], shown[1::2], strict=True))

    def check(self, codes: set[int]) -> None:
        """Raise Fault unless every one of ``codes`` has a glyph as wide as the PDF says."""
        for code in codes:
            glyph = code if self._glyphs is None else self._glyphs.get(code)
            width = self._program.width(glyph)
            if width is None:
                raise Fault("a character without a glyph")
            said = self._widths.get(code, self._widths.get(None))
            if said is None or abs(said - width) > _TOLERANCE:
                raise Fault("a character that is not as wide as its glyph")

    def speaks(self, codes: set[int]) -> bool:
        """Whether the text of ``codes`` can be told by what stands in the PDF."""
        return all(self._meanings.get(code) for code in codes)

    def is_public(self, codes: set[int]) -> bool:
        """Whether none of them means only what its maker knows."""
        return all(category(c) != "Co" for code in codes for c in self._meanings.get(code, ""))


_TOLERANCE = 1.0  # Thousandths of an em.


class _Sfnt:
    """A TrueType program, which may lack what PDF has no use for."""

    def __init__(self, data: bytes) -> None:
        font = TTFont(BytesIO(data), lazy=True)
        head, most, across = (font.reader[name] for name in ("head", "maxp", "hhea"))
        self._scale = 1000 / int.from_bytes(head[18:20])
        self._count = int.from_bytes(most[4:6])
        self._metrics, self._own = font.reader["hmtx"], int.from_bytes(across[34:36])
        # Numbers in place of the names that the font may have for its glyphs.
        font.setGlyphOrder([str(number) for number in range(self._count)])
        self._font = font

    @property
    def codes(self) -> dict[tuple[int, int], dict[int, int]]:
        """The numbers of glyphs by code, for each platform and encoding."""
        tables = self._font["cmap"].tables if "cmap" in self._font else ()
        return {
            (table.platformID, table.platEncID): {
                code: int(name) for code, name in table.cmap.items() if name.isdecimal()
            }
            for table in tables
        }

    def width(self, glyph: Any) -> float | None:
        """Of the glyph with a number, in thousandths; None if there is none."""
        if not isinstance(glyph, int) or not 0 < glyph < self._count:
            return None
        place = 4 * min(glyph, self._own - 1)
        metrics = self._metrics[place : place + 2]
        return int.from_bytes(metrics) * self._scale if len(metrics) == 2 else None


class _Cff:
    """A program in the Compact Font Format."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        fonts = CFFFontSet()
        fonts.decompile(BytesIO(data), None)
        self._top = fonts[0]
        self._top.rawDict.setdefault("charset", 0)  # Adobe's own, which fontTools leaves out.
        self._glyphs = self._top.CharStrings
        self.is_composite = hasattr(self._top, "ROS")
        self._scale = self._top.FontMatrix[0] * 1000

    @property
    def encoding(self) -> dict[int, str]:
        """The names of its glyphs by code."""
        # Read here, since fontTools leaves out the code 0 (Adobe Technical Note 5176, 12).
        at = self._top.rawDict.get("Encoding", 0)
        if at == 0:
            return _named("/StandardEncoding")
        codes: Iterable[int] = self._data[at + 2 : at + 2 + self._data[at + 1]]
        if self._data[at] & 0x7F:
            ranges = self._data[at + 2 : at + 2 + 2 * self._data[at + 1]]
            pairs = zip(ranges[::2], ranges[1::2], strict=True)
            codes = [first + n for first, left in pairs for n in range(left + 1)]
        return dict(zip(codes, self._top.charset[1:], strict=False))

    def width(self, glyph: Any) -> float | None:
        """Of the glyph with a name or number, in thousandths; None if there is none."""
        if isinstance(glyph, int):
            if self.is_composite:
                glyph = f"cid{glyph:05d}"
            elif 0 < glyph < len(self._top.charset):
                glyph = self._top.charset[glyph]
        if glyph in (".notdef", "cid00000", None) or glyph not in self._glyphs:
            return None
        shape = self._glyphs[glyph]
        shape.draw(NullPen())
        return float(shape.width * self._scale)


class _Type1:
    """A program in PostScript."""

    def __init__(self, data: bytes) -> None:
        clear, _, packed = data.partition(b"eexec")
        packed = packed.lstrip(b" \t\r\n")
        if re.match(rb"[0-9A-Fa-f\s]{8}", packed):
            digits = re.sub(rb"[^0-9A-Fa-f]", b"", packed)
            packed = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
        private, _ = decrypt(packed, 55665)
        skipped = re.search(rb"/lenIV\s+(\d+)", private)
        self._skipped = int(skipped[1]) if skipped else 4
        matrix = re.search(rb"/FontMatrix\s*\[\s*([-\d.eE]+)", clear)
        self._scale = float(matrix[1]) * 1000 if matrix else 1.0
        self._shapes: dict[str, bytes] = {}
        _, _, shapes = private.partition(b"/CharStrings")
        at = 0
        while found := _SHAPE.search(shapes, at):
            at = found.end() + int(found[2])
            self._shapes[found[1].decode("latin-1")] = shapes[found.end() : at]
        own = {int(code): name.decode("latin-1") for code, name in _CODE.findall(clear)}
        self.encoding = own or _named("/StandardEncoding")

    def width(self, glyph: Any) -> float | None:
        """Of the glyph with a name, in thousandths; None if there is none."""
        shape = self._shapes.get(glyph)
        if shape is None or glyph == ".notdef":
            return None
        numbers: list[float] = []
        code = iter(decrypt(shape, 4330)[0][self._skipped :])
        for byte in code:
            if byte >= 32:
                numbers.append(_number(byte, code))
            elif byte == 13 and len(numbers) >= 2:  # hsbw
                return numbers[1] * self._scale
            elif byte == 12:
                operator = next(code, 0)
                if operator == 12 and len(numbers) >= 2:  # div
                    divisor = numbers.pop()
                    numbers[-1] /= divisor or 1
                elif operator == 7 and len(numbers) >= 4:  # sbw
                    return numbers[2] * self._scale
            else:
                return None
        return None


_SHAPE = re.compile(rb"/([^\s/{}\[\]()<>%]+)\s+(\d+)\s+(?:RD|-\||\S+) ")
_CODE = re.compile(rb"dup\s+(\d+)\s*/([^\s/{}\[\]()<>%]+)\s+put")


def _number(byte: int, rest: Any) -> float:
    if byte <= 246:
        return byte - 139
    if byte <= 250:
        return (byte - 247) * 256 + next(rest, 0) + 108
    if byte <= 254:
        return -(byte - 251) * 256 - next(rest, 0) - 108
    return int.from_bytes(bytes(next(rest, 0) for _ in range(4)), signed=True)


_Program = _Sfnt | _Cff | _Type1


def _program(descriptor: pikepdf.Object, kind: str) -> _Program:
    try:
        if "/FontFile2" in descriptor and kind in ("/TrueType", "/CIDFontType2"):
            return _Sfnt(descriptor.FontFile2.read_bytes())
        if "/FontFile3" in descriptor:
            subtype, data = str(descriptor.FontFile3.Subtype), descriptor.FontFile3.read_bytes()
            if subtype in ("/Type1C", "/CIDFontType0C") and kind != "/CIDFontType2":
                return _Cff(data)
        if "/FontFile" in descriptor and kind in ("/Type1", "/MMType1"):
            return _Type1(descriptor.FontFile.read_bytes())
    except Exception as error:  # fontTools promises no kind of error for a damaged font.
        raise Fault("a damaged font") from error
    raise Fault("a font that is not embedded")


def _glyph_map(font: pikepdf.Object) -> Mapping[int, int] | None:
    found = font.get("/CIDToGIDMap")
    if isinstance(found, pikepdf.Stream):
        data = found.read_bytes()
        return {n // 2: data[n] << 8 | data[n + 1] for n in range(0, len(data) - 1, 2)}
    if found != "/Identity":
        raise Fault("a font that does not tell its glyphs")
    return None


def _composite_widths(font: pikepdf.Object) -> dict[int | None, float]:
    """By character; under None that of all others."""
    widths: dict[int | None, float] = {None: float(font.get("/DW", 1000))}
    entries = iter(font.get("/W", []))
    for first in entries:
        second = next(entries, None)
        if isinstance(second, pikepdf.Array):
            widths |= {int(first) + n: float(width) for n, width in enumerate(second)}
        elif second is not None:
            width = float(next(entries, 0))
            widths |= dict.fromkeys(range(int(first), min(int(second), 0xFFFF) + 1), width)
    return widths


def _simple_widths(font: pikepdf.Object) -> dict[int | None, float]:
    first, last, widths = (font.get(key) for key in ("/FirstChar", "/LastChar", "/Widths"))
    if first is None or last is None or not isinstance(widths, pikepdf.Array):
        raise Fault("a font that does not tell how wide its characters are")
    if len(widths) != int(last) - int(first) + 1:
        raise Fault("a font with widths of other characters")
    return {int(first) + n: float(width) for n, width in enumerate(widths)}


def _simple_glyphs(
    font: pikepdf.Object, descriptor: pikepdf.Object, program: _Program
) -> tuple[Mapping[int, Any], Mapping[int, str]]:
    """The glyph of each code, by its name or, in a TrueType program, by its number; and names."""
    encoding = font.get("/Encoding")
    if isinstance(program, _Sfnt):
        tables = program.codes
        if int(descriptor.get("/Flags", 0)) & _SYMBOLIC:
            if encoding is not None or (len(tables) != 1 and (3, 0) not in tables):
                raise Fault("a font of symbols with an encoding")
            found = tables.get((3, 0)) or tables.get((1, 0)) or next(iter(tables.values()))
            glyphs = {code & 0xFF: each for code, each in found.items() if code >> 8 in _SYMBOLS}
            return glyphs, {}
        is_changed = isinstance(encoding, pikepdf.Dictionary) and "/Differences" in encoding
        base = encoding.get("/BaseEncoding") if encoding is not None and is_changed else encoding
        names = _names(encoding, {})
        if (
            str(base) not in ("/WinAnsiEncoding", "/MacRomanEncoding")
            or not {(3, 1), (1, 0)} & set(tables)
            or (is_changed and not ((3, 1) in tables and set(names.values()) <= agl.AGL2UV.keys()))
        ):
            raise Fault("a font with an encoding of its own")
        if (3, 1) in tables:
            return _joined(names, agl.AGL2UV, tables[3, 1]), names
        mac = {name: code for code, name in _named("/MacRomanEncoding").items()}
        return _joined(names, mac, tables[1, 0]), names
    if isinstance(program, _Cff) and program.is_composite:
        raise Fault("a font with a program of another kind")
    names = dict(_names(encoding, program.encoding))
    return names, names


_SYMBOLIC = 4
_SYMBOLS = (0x00, 0xF0, 0xF1, 0xF2)  # First bytes of codes that fonts of symbols use.


def _joined(
    names: Mapping[int, str], codes: Mapping[str, int], glyphs: Mapping[int, int]
) -> dict[int, int]:
    return {
        code: glyphs[codes[name]]
        for code, name in names.items()
        if name in codes and codes[name] in glyphs
    }


def _names(encoding: Any, own: dict[int, str]) -> dict[int, str]:
    if not isinstance(encoding, pikepdf.Dictionary):
        return _named(str(encoding)) or own
    names = dict(_named(str(encoding.get("/BaseEncoding"))) or own)
    code = 0
    for each in encoding.get("/Differences", []):
        if isinstance(each, pikepdf.Name):
            names[code] = str(each)[1:]
            code += 1
        else:
            code = int(each)
    return {code: name for code, name in names.items() if name != ".notdef"}


@cache
def _named(encoding: str) -> dict[int, str]:
    if encoding == "/MacRomanEncoding":
        return {code: name for code, name in enumerate(MacRoman) if name != ".notdef"}
    if encoding == "/StandardEncoding":
        return {code: name for code, name in enumerate(StandardEncoding) if name != ".notdef"}
    if encoding != "/WinAnsiEncoding":
        return {}
    names = {}
    for code in range(32, 256):
        character = bytes([code]).decode("cp1252", "replace")
        names[code] = agl.UV2AGL.get(ord(character), "bullet")
    return names | {0xA0: "space", 0xAD: "hyphen"}


def _meanings(found: Any) -> dict[int, str]:
    """The text of each code, as far as /ToUnicode tells it."""
    if not isinstance(found, pikepdf.Stream):
        return {}
    meanings: dict[int, str] = {}
    data = found.read_bytes()
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", data, re.DOTALL):
        for code, text in re.findall(rb"<([^>]*)>\s*<([^>]*)>", block):
            meanings[_code(code)] = _text(text)
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", data, re.DOTALL):
        for first, last, many, one in _RANGE.findall(block):
            codes = range(_code(first), min(_code(last), 0xFFFF) + 1)
            texts = [_text(text) for text in re.findall(rb"<([^>]*)>", many)]
            if one:
                start = _text(one)
                texts = [start[:-1] + chr(ord(start[-1]) + n) for n in range(len(codes)) if start]
            meanings |= dict(zip(codes, texts, strict=False))
    # What PDF/A takes for no meaning is none, whatever the glyph's name may say.
    return {
        code: "" if set(text) & set("\0\ufffe\ufeff") else text for code, text in meanings.items()
    }


_RANGE = re.compile(rb"<([^>]*)>\s*<([^>]*)>\s*(?:\[([^\]]*)\]|<([^>]*)>)")


def _code(digits: bytes) -> int:
    return int(re.sub(rb"\s", b"", digits) or b"0", 16)


def _text(digits: bytes) -> str:
    digits = re.sub(rb"\s", b"", digits)
    return bytes.fromhex(digits.decode("ascii")).decode("utf-16-be", "replace")
