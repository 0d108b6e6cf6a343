"""The invisible text layer of a PDF page, and the one font without shapes that it is set in."""

import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO
from itertools import groupby
from statistics import median
from unicodedata import bidirectional, category, east_asian_width

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._g_l_y_f import Glyph

from app.document import Box, Line, Page, Word
from app.writers.direction import holds_rtl, is_mostly_rtl
from app.writers.pdf_file import PdfFile
from app.writers.text_limits import storable

FONT_NAME = "Ocr"

Mark = tuple[str, Sequence[Line]]
"""The operator that begins marked content, or nothing, and the lines that belong to it."""

_Run = tuple[str, Box]  # Characters as they are set, and the box that they fill.


class _Pen:
    """Where a content stream sets text, and how; says only what has changed."""

    def __init__(self, font_name: str, page_height: float) -> None:
        self._font_name = font_name
        self._page_height = page_height
        self._size = self._stretch = ""
        self._place: tuple[float, float] | None = None  # Of the last run, if it was a level one.

    def move(self, box: Box, size: float, stretch: float, vertical: bool) -> str:
        """The operators that go to ``box`` with a ``size`` and a ``stretch`` in percent."""
        said = ""
        if self._size != (now := _n(size)):
            said += f"/{self._font_name} {now} Tf "
            self._size = now
        if self._stretch != (now := f"{stretch:.3g}" if stretch < 1000 else _n(stretch)):
            said += f"{now} Tz "
            self._stretch = now
        if vertical:
            # Turned a quarter clockwise the text runs down the column. Nobody sees which way
            # the empty glyphs look, and readers order turned lines better than single characters.
            self._place = None
            return said + f"0 -1 1 0 {_n(box.left)} {_n(self._page_height - box.top)} Tm"
        x, y = round(box.left, 1), round(self._page_height - box.bottom, 1)
        if self._place is None:
            said += f"1 0 0 1 {_n(x)} {_n(y)} Tm"
        else:
            said += f"{_n(x - self._place[0])} {_n(y - self._place[1])} Td"
        self._place = x, y
        return said


class TextLayer:
    """Sets pages in one font that gets a code for every character it meets."""

    def __init__(self, archival: bool = False) -> None:
        """``archival``: no character is without a glyph (ISO 19005-2, 6.2.11.8)."""
        self._codes: dict[str, int] = {}
        self._archival = archival

    @property
    def is_public(self) -> bool:
        """Whether no character means only what its user has agreed on with someone."""
        return all(category(character) != "Co" for character in self._codes)

    def content(
        self, page: Page, matrix: str, font_name: str = FONT_NAME, marks: Sequence[Mark] = ()
    ) -> bytes:
        """The content stream for ``page``, not compressed; empty if it has no text.

        ``matrix`` are the six numbers that carry pixels (origin bottom left) to the page.
        ``marks`` are all its lines, in order, with what begins marked content before some.
        """
        parts: list[str] = []
        pen = _Pen(font_name, page.height)
        # Poppler decides by the page which way its lines run.
        rtl = is_mostly_rtl("".join(line.text for line in page.lines))
        for begin, lines in marks or [("", page.lines)]:
            runs = [(run, line.vertical) for line in lines for run in _runs(line, rtl)]
            shown = [self._run(run, vertical, pen) for run, vertical in runs]
            parts += [begin, *shown, "EMC"] if begin else shown
        if not parts:
            return b""
        return "\n".join([f"q {matrix} cm BT 3 Tr", *parts, "ET Q\n"]).encode("ascii")

    def add_font(self, file: PdfFile, reference: str | None = None) -> str:
        """Write the font with the codes given out so far; gives its reference."""
        characters = list(self._codes)
        shapes = b"".join(_glyph(character, self._archival) for character in characters)
        glyphs = _deflated(b"\0\0" + shapes)
        glyph_map = file.add_stream("/Filter /FlateDecode", [glyphs], len(glyphs))
        meanings = _deflated(_to_unicode(characters))
        to_unicode = file.add_stream("/Filter /FlateDecode", [meanings], len(meanings))
        program = _font_program(self._archival)
        packed = _deflated(program)
        font_file = file.add_stream(
            f"/Filter /FlateDecode /Length1 {len(program)}", [packed], len(packed)
        )
        descriptor = file.add(
            f"/Type /FontDescriptor /FontName /{FONT_NAME} /Flags 4 /FontBBox [0 0 1000 1000] "
            f"/ItalicAngle 0 /Ascent {_ASCENT} /Descent {_DESCENT} /CapHeight {_ASCENT} /StemV 80 "
            f"/FontFile2 {font_file}"
        )
        system = "<</Registry (Adobe) /Ordering (Identity) /Supplement 0>>"
        descendant = file.add(
            f"/Type /Font /Subtype /CIDFontType2 /BaseFont /{FONT_NAME} /CIDSystemInfo {system} "
            f"/FontDescriptor {descriptor} /DW {_NARROW} /W [{_widths(characters)}] "
            f"/CIDToGIDMap {glyph_map}"
        )
        return file.add(
            f"/Type /Font /Subtype /Type0 /BaseFont /{FONT_NAME} /Encoding /Identity-H "
            f"/DescendantFonts [{descendant}] /ToUnicode {to_unicode}",
            reference,
        )

    def _run(self, run: _Run, vertical: bool, pen: "_Pen") -> str:
        text, box = run
        said = text.replace(_BYTE_ORDER_MARK, "") if self._archival else text
        codes = "".join(f"{self._code(character):04x}" for character in said)
        size, advance = (box.width, box.height) if vertical else (box.height, box.width)
        natural = sum(_width(character) for character in text.rstrip(" ") or text) / 1000 * size
        stretch = max(100 * advance / natural, 0.01)
        return f"{pen.move(box, size, stretch, vertical)}<{codes}>Tj"

    def _code(self, character: str) -> int:
        if len(self._codes) == _MOST_CODES:  # Two bytes hold no more; no language needs them.
            return self._codes.get(character, 0)
        return self._codes.setdefault(character, len(self._codes) + 1)


# The descent is not 0 because Poppler takes 0 for a mistake and puts -0.35 in its place, which
# would move each selection a third of a line down.
_ASCENT, _DESCENT = 1000, -1
_NARROW, _WIDE, _SPACE = 500, 1000, 200
_MOST_CODES = 0xFFFE
_SMALLEST = 1.0  # Pixels: readers drop what has no size.

_BYTE_ORDER_MARK = "\ufeff"  # Not to be told of any character (ISO 19005-2, 6.2.11.7.2).
_LTR_MARK, _RTL_MARK = "\u200e", "\u200f"
# Bidirectional classes whose runs stay as they are inside a word that is turned.
_KEPT = ("L", "EN", "AN", "ES", "ET", "CS", "NSM", "BN")
_MIRRORED = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))


def _runs(line: Line, page_rtl: bool) -> list[_Run]:
    """The words and spaces of ``line`` in reading order, each with the box that it fills."""
    words = [(storable(word.text), word) for word in line.words]
    words = [(text, word) for text, word in words if text]
    boxes = _boxes([word for _, word in words], line.vertical)
    mixed = not line.vertical and any(holds_rtl(text) for text, _ in words)
    starts = {box.left: text for (text, _), box in zip(words, boxes, strict=True)}
    runs: list[_Run] = []
    for n, (text, word) in enumerate(words):
        box = boxes[n]
        if n and word.spaced and (mixed or line.vertical):
            runs.append((" ", _between(boxes[n - 1], box, line.vertical)))
        elif n and word.spaced:
            # The space is a part of the word before, and narrow enough to end before the next.
            runs[-1] = (runs[-1][0] + " ", runs[-1][1])
        if mixed:
            after = min((left for left in starts if left > box.left), default=None)
            runs.extend(_turned(text, box, page_rtl, "" if after is None else starts[after]))
        else:
            runs.append((text, box))
    return runs


def _turned(text: str, box: Box, page_rtl: bool, right: str) -> Iterator[_Run]:
    """A word of a line in which something runs right to left; ``right`` stands right of it.

    PDFium and Poppler both sort what stands on a line by its place, then turn the parts that run
    right to left around. So the characters must come as they stand, left to right. Found by
    experiment with PDFium 8149 (CFX_BidiString) and Poppler 22.12 (reorderText):

    - Neither turns digits with the marks beside them (``2024-``), nor does PDFium turn a chain
      of combining marks. Poppler does turn it, into a canonically equal order.
    - PDFium mirrors brackets when it turns them, which is why they are given as drawn; Poppler
      does not mirror, and gives them swapped.
    - Poppler takes the space beside a number, a mark or a foreign word to the wrong side of it.
      A mark of direction prevents that. Its shape is empty: PDFium leaves out what has no
      extent, and so gives exactly the line's text.
    - Which way a line as a whole runs both only guess, by majority. Of several words against
      that direction each one is right, but not their order.
    """
    if holds_rtl(text):
        text = _as_drawn(text)
    if page_rtl and not holds_rtl(text[0]):
        yield _RTL_MARK, Box(box.left, box.top, box.left, box.bottom)
    yield text, box
    if not page_rtl and holds_rtl(text) and right and not holds_rtl(right):
        yield _LTR_MARK, Box(box.right, box.top, box.right, box.bottom)


def _as_drawn(text: str) -> str:
    groups = [
        (kept, list(group))
        for kept, group in groupby(text, lambda character: bidirectional(character) in _KEPT)
    ]
    return "".join(
        "".join(group) if kept else "".join(_MIRRORED.get(c, c) for c in reversed(group))
        for kept, group in reversed(groups)
    )


def _boxes(words: list[Word], vertical: bool) -> list[Box]:
    """Where to set each word so that readers see one line with the right gaps."""
    if vertical:
        return [_turn(box) for box in _boxes([w._replace(box=_turn(w.box)) for w in words], False)]
    # A dash or full stop in a tight box of its own would become a line of its own: it takes the
    # height of the nearest word that has one.
    heights = [max(word.box.height, _SMALLEST) for word in words]
    usual = median(heights) if words else 0.0
    tall = [n for n, height in enumerate(heights) if height >= 0.6 * usual]
    boxes = []
    for n, word in enumerate(words):
        like = words[min(tall, key=lambda other: abs(other - n))].box
        height = max(like.height, _SMALLEST)
        bottom = max(like.bottom, like.top + height)
        right = max(word.box.right, word.box.left + _SMALLEST)
        boxes.append(Box(word.box.left, bottom - height, right, bottom))
    for n in range(1, len(boxes)):
        before, box = boxes[n - 1], boxes[n]
        # Poppler sees words apart, whatever characters stand between, from a gap of 0.1 to 0.15
        # of their height on; so a gap is at least that wide, and where no space is there is none.
        gap = 0.2 * before.height if words[n].spaced else 0.0
        if box.left <= before.left:  # The line runs to the left.
            if words[n].spaced:
                boxes[n] = _narrowed(box, before.left - gap)
        elif words[n].spaced:
            boxes[n - 1] = _narrowed(before, box.left - gap)
        else:
            boxes[n - 1] = before._replace(right=max(box.left, before.left + _SMALLEST))
    return boxes


def _narrowed(box: Box, right: float) -> Box:
    """``box`` as far as ``right``, but at least half of it."""
    return box._replace(right=max(min(box.right, right), box.left + box.width / 2))


def _turn(box: Box) -> Box:
    return Box(box.top, box.left, box.bottom, box.right)


def _between(before: Box, after: Box, vertical: bool) -> Box:
    if vertical:
        return _turn(_between(_turn(before), _turn(after), False))
    left, right = (
        (before.right, after.left) if before.left < after.left else (after.right, before.left)
    )
    return Box(left, before.top, max(right, left + _SMALLEST), before.bottom)


def _width(character: str) -> int:
    if character == " ":
        return _SPACE
    return _WIDE if east_asian_width(character) in "WF" else _NARROW


def _glyph(character: str, archival: bool) -> bytes:
    if character in (_LTR_MARK, _RTL_MARK):
        return b"\0\4" if archival else b"\0\0"
    if character == " ":
        return b"\0\3"
    return b"\0\2" if _width(character) == _WIDE else b"\0\1"


def _widths(characters: list[str]) -> str:
    ranges = []
    for width, group in groupby(enumerate(characters, 1), lambda item: _width(item[1])):
        codes = [code for code, _ in group]
        if width != _NARROW:
            ranges.append(f"{codes[0]} {codes[-1]} {width}")
    return " ".join(ranges)


def _to_unicode(characters: list[str]) -> bytes:
    parts = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
        "/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def",
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
        "1 begincodespacerange <0000> <ffff> endcodespacerange",
    ]
    for start in range(0, len(characters), 100):  # The most that one block may hold.
        block = characters[start : start + 100]
        parts.append(f"{len(block)} beginbfchar")
        for code, character in enumerate(block, start + 1):
            parts.append(f"<{code:04x}> <{character.encode('utf-16-be').hex()}>")
        parts.append("endbfchar")
    parts.append("endcmap CMapName currentdict /CMap defineresource pop end end\n")
    return "\n".join(parts).encode("ascii")


@cache
def _font_program(archival: bool) -> bytes:
    widths = {".notdef": _NARROW, "narrow": _NARROW, "wide": _WIDE, "space": _SPACE}
    if archival:
        widths["mark"] = _NARROW
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(widths))
    builder.setupCharacterMap({})
    shapes = {name: _diagonal(width) for name, width in widths.items()}
    builder.setupGlyf({**shapes, ".notdef": Glyph(), **({"mark": Glyph()} if archival else {})})
    builder.setupHorizontalMetrics({name: (width, 0) for name, width in widths.items()})
    builder.setupHorizontalHeader(ascent=_ASCENT, descent=_DESCENT)
    builder.updateHead(created=0, modified=0)  # The same text makes the same file.
    stream = BytesIO()
    builder.save(stream)
    return stream.getvalue()


def _diagonal(width: int) -> Glyph:
    """A shape that encloses nothing, yet is as wide and tall as its character.

    PDFium leaves out text whose shapes have no extent: single characters, and whole lines that
    run downwards.
    """
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((width, _ASCENT))
    pen.closePath()
    return pen.glyph()


def _deflated(data: bytes) -> bytes:
    return zlib.compress(data, 9)


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
