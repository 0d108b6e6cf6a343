"""What a PDF file would unpack to and how many pages it claims, before PDFium takes memory."""

import math
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pikepdf
from pikepdf import settings as qpdf

from app.errors import InvalidFile, TooLarge

MAX_STREAM_BYTES = 128 * 2**20
"""Of a stream that is read as a whole: operators, fonts, tables.

PDFium takes 0.5 GB for so many bytes of a map's lines and 1.2 GB for a drawing's single strokes,
but 3.5 to 4.4 GB for nothing but small rectangles or short words. What is denser than any drawing
ends at the memory of its task.
"""


class PdfBounds:
    """Refuses files that are small and become large."""

    def __init__(self, max_pages: int, max_unpacked_bytes: int) -> None:
        self._max_pages = max_pages
        self._max_unpacked_bytes = max_unpacked_bytes
        # Of what qpdf itself unpacks, such as tables of objects; for the whole process.
        most = 2 * MAX_STREAM_BYTES
        qpdf.set_qpdf_limits(
            flate_max_memory=most,
            run_length_max_memory=most,
            png_max_memory=most,
            tiff_max_memory=most,
        )

    def check_pages(self, count: int) -> None:
        """Raise InvalidFile, TooLarge for a document of none or too many."""
        if count < 1:
            raise InvalidFile("The document has no pages.")
        if count > self._max_pages:
            raise TooLarge(f"The document has more than {self._max_pages} pages; send it in parts.")

    def check(self, path: Path, secrets: Sequence[bytes]) -> None:
        """Raise TooLarge if it is; what is damaged or has another password passes."""
        for secret in (b"", *secrets):  # qpdf warns of one that is not needed.
            try:
                with pikepdf.open(path, password=secret, suppress_warnings=True) as document:
                    self._check_count(document)
                    self._check_streams(document)
                    _check_forms(document)
                return
            except pikepdf.PasswordError:
                continue
            except (
                pikepdf.PikepdfError,
                AttributeError,
                LookupError,
                RuntimeError,
                TypeError,
                ValueError,
            ):
                break
        self._check_bytes(path.read_bytes())

    def _check_count(self, document: pikepdf.Pdf) -> None:
        with suppress(AttributeError, KeyError, ValueError, TypeError):
            # Readers do not believe a number that is absurd, but count, and may count for ever.
            self.check_pages(max(1, int(document.Root.Pages.Count)))

    def _check_streams(self, document: pikepdf.Pdf) -> None:
        total, read_whole = 0, _read_whole(document)
        for each in document.objects:
            if isinstance(each, pikepdf.Stream):
                with suppress(pikepdf.PdfError):  # A damaged one says nothing of the others.
                    total += self._size(document, each, each.objgen in read_whole)
                if total > self._max_unpacked_bytes:
                    raise _too_large()

    def _size(self, document: pikepdf.Pdf, stream: pikepdf.Stream, is_read_whole: bool) -> int:
        """How many bytes it unpacks to, if that can be many; else 0."""
        filters, kind = _filters(stream), stream.get("/Subtype")
        if not is_read_whole and kind == "/Image":
            filters = filters[:-1]  # Images are unpacked row by row, and have a size of their own.
        elif not is_read_whole and kind != "/Form" and stream.get("/Type") == "/EmbeddedFile":
            return 0  # Nobody unpacks it.
        if not _may_be_large(stream, filters):
            return 0
        data = stream.read_raw_bytes()
        packed = len(data)
        for place, name in enumerate(filters):
            if name == _FLATE:
                data = _inflated(data)
                continue
            if name == _RUN_LENGTH and _GROWTH[name] * len(data) > MAX_STREAM_BYTES:
                raise _too_large()  # Only images would have so much of it.
            if name == _LZW and _lzw_size(data, MAX_STREAM_BYTES) > MAX_STREAM_BYTES:
                raise _too_large()
            if place == len(filters) - 1 and name == _LZW:
                return 0  # Just counted, and few are so large.
            if name in _GROWTH:
                data = pikepdf.Stream(document, data, Filter=pikepdf.Name(name)).read_bytes()
        if len(data) > max(MAX_STREAM_BYTES, packed):  # What was large does not become so.
            raise _too_large()
        return len(data)

    def _check_bytes(self, data: bytes) -> None:
        """The same for a file that only more forgiving readers may make sense of."""
        total = 0
        for match in _STREAM.finditer(data):
            found = data[match.end() : data.find(b"endstream", match.end()) % (len(data) + 1)]
            before = data[max(0, match.start() - _NEAR_BYTES) : match.start()]
            is_image = _SAYS_IMAGE.search(before.rpartition(b"obj")[2]) is not None
            for _ in range(_MOST_LAYERS):
                # The last layer of an image is unpacked row by row.
                if not _is_deflated(found) or (is_image and not _is_deflated(_beginning(found))):
                    break
                found = _inflated(found)
                total += len(found)
                if total > self._max_unpacked_bytes:
                    raise _too_large()


_FLATE, _LZW, _RUN_LENGTH = "/FlateDecode", "/LZWDecode", "/RunLengthDecode"
_ABBREVIATED = {
    "/Fl": _FLATE,
    "/LZW": _LZW,
    "/RL": _RUN_LENGTH,
    "/A85": "/ASCII85Decode",
    "/AHx": "/ASCIIHexDecode",
}
_GROWTH = {
    _FLATE: 1032,
    _LZW: 2560,
    _RUN_LENGTH: 64,
    "/ASCII85Decode": 4,
    "/ASCIIHexDecode": 1,
}
"""How many bytes a filter can make of one."""

_MOST_LAYERS = 25
_NEAR_BYTES = 2000
_PIECE_BYTES = 2**20
_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_SAYS_IMAGE = re.compile(rb"/Subtype\s*/Image\b")
_CONTAINERS = (pikepdf.Array, pikepdf.Dictionary, pikepdf.Stream)


def _may_be_large(stream: pikepdf.Stream, filters: Sequence[str]) -> bool:
    """Whether so many bytes can become too many; the length that a stream tells may be wrong."""
    growth = math.prod(_GROWTH.get(name, 1) for name in filters)
    return growth > 1 and growth * len(stream.read_raw_bytes()) > MAX_STREAM_BYTES


def _filters(stream: pikepdf.Stream) -> list[str]:
    found = stream.get("/Filter")
    names = list(found) if isinstance(found, pikepdf.Array) else [found] if found else []
    return [_ABBREVIATED.get(str(name), str(name)) for name in names[:_MOST_LAYERS]]


_WHOLE = {
    "/AP",
    "/CharProcs",
    "/ColorSpace",
    "/Contents",
    "/Encoding",
    "/FontFile",
    "/FontFile2",
    "/FontFile3",
    "/Function",
    "/JBIG2Globals",
    "/Pattern",
    "/Shading",
    "/ToUnicode",
}
"""Under which names readers take what they find for neither an image nor an attachment."""


def _read_whole(document: pikepdf.Pdf) -> set[tuple[int, int]]:
    """The streams that are read as a whole, whatever they say that they are."""
    found: set[tuple[int, int]] = set()
    if not any(_is_exempt(each) for each in document.objects):
        return found
    seen: set[tuple[int, int]] = set()
    left = [(each, False, 0) for each in document.objects if isinstance(each, _CONTAINERS)]
    while left:
        each, is_whole, depth = left.pop()
        if depth and each.is_indirect:
            if not is_whole or each.objgen in seen:
                continue  # It has its own turn, or had it.
            seen.add(each.objgen)
            if isinstance(each, pikepdf.Stream):
                found.add(each.objgen)
                continue
        if depth < _DEEPEST:
            named = [("", it) for it in each] if isinstance(each, pikepdf.Array) else each.items()
            for name, item in named:
                if isinstance(item, _CONTAINERS):
                    left.append((item, is_whole or name in _WHOLE, depth + 1))
    return found


def _is_exempt(each: pikepdf.Object) -> bool:
    """Whether it is a stream that says it is an image or an attachment, and can become large."""
    if not isinstance(each, pikepdf.Stream):
        return False
    says = each.get("/Subtype") == "/Image" or each.get("/Type") == "/EmbeddedFile"
    return says and _may_be_large(each, _filters(each))


def _check_forms(document: pikepdf.Pdf) -> None:
    """Raise TooLarge if forms that draw forms that draw forms are drawn more often than is sane."""
    draws = _Draws()
    nested = any(
        isinstance(each, pikepdf.Stream)
        and each.get("/Subtype") == "/Form"
        and ("/Resources" not in each or _forms(each.get("/Resources")))
        for each in document.objects
    )
    for page in document.pages if nested else ():
        drawn = draws.count(page.obj, _forms(page.resources))
        if drawn > _MOST_DRAWN and drawn > min(
            _MOST_EVER, _MOST_REPEATED * draws.written(page.obj.objgen)
        ):
            raise TooLarge("A page draws the same too often; send it printed to a new PDF.")


class _Draws:
    """Counts what is drawn, each form once for each time that it is."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], int] = {}
        self._calls: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def count(self, each: pikepdf.Object, forms: dict[str, pikepdf.Object], depth: int = 0) -> int:
        """How many pages or forms are drawn by drawing a page or form, which knows ``forms``."""
        if each.objgen not in self._known:
            # What draws itself, readers draw to the end of their patience.
            self._known[each.objgen] = _MOST_EVER + 1
            drawn, calls = 1, self._calls.setdefault(each.objgen, [])
            for name in _DRAWN.findall(_content(each)) if forms and depth < _DEEPEST else ():
                form = forms.get("/" + name.decode("latin-1"))
                if form is not None:
                    calls.append(form.objgen)
                    resources = form.get("/Resources")  # Without any it knows what we know.
                    known = forms if resources is None else _forms(resources)
                    drawn += self.count(form, known, depth + 1)
            self._known[each.objgen] = drawn
        return self._known[each.objgen]

    def written(self, page: tuple[int, int]) -> int:
        """How many operators say so: each once, however often the form is drawn it stands in."""
        reached, left = {page}, [page]
        while left:
            for form in self._calls[left.pop()]:
                if form not in reached:
                    reached.add(form)
                    left.append(form)
        return sum(len(self._calls[each]) for each in reached)


_DRAWN = re.compile(rb"/([^\s/<>()\[\]{}%]+)\s+Do\b")
_MOST_DRAWN = 50_000
_MOST_EVER = 10_000_000
_MOST_REPEATED = 20  # A plot draws a marker for each of its points, and says so for each.
_DEEPEST = 40  # Readers stop at about as many.


def _forms(resources: pikepdf.Object | None) -> dict[str, pikepdf.Object]:
    """The forms that a page or form with these resources may draw, by name."""
    found = resources.get("/XObject") if isinstance(resources, pikepdf.Dictionary) else None
    if not isinstance(found, pikepdf.Dictionary):
        return {}
    return {
        name: item
        for name, item in found.items()
        if isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Form"
    }


def _content(each: pikepdf.Object) -> bytes:
    if isinstance(each, pikepdf.Stream):
        return _bytes(each)
    contents = each.get("/Contents")
    parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    return b"\n".join(_bytes(part) for part in parts if isinstance(part, pikepdf.Stream))


def _inflated(data: bytes) -> bytes:
    """The data; what comes before an error is kept, as readers do. Raises TooLarge."""
    inflate, pieces, size = zlib.decompressobj(), [], 0
    rest = memoryview(data)
    with suppress(zlib.error):
        while rest and not inflate.eof:
            piece = inflate.decompress(rest[:_PIECE_BYTES], _PIECE_BYTES)
            while piece:
                pieces.append(piece)
                size += len(piece)
                if size > MAX_STREAM_BYTES:
                    raise _too_large()
                piece = inflate.decompress(inflate.unconsumed_tail, _PIECE_BYTES)
            rest = rest[_PIECE_BYTES:]
    return b"".join(pieces)


def _too_large() -> TooLarge:
    return TooLarge(
        "The document unpacks to more than is accepted; send it printed to a new PDF, or in parts."
    )


def _bytes(stream: pikepdf.Stream) -> bytes:
    """What it unpacks to; of a damaged one what comes before the damage, as readers do."""
    with suppress(pikepdf.PdfError):
        return stream.read_bytes()
    return _inflated(stream.read_raw_bytes()) if _filters(stream) == [_FLATE] else b""


def _beginning(data: bytes) -> bytes:
    """The first bytes of deflated data; none if they are damaged."""
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(data[:_NEAR_BYTES], _NEAR_BYTES)
    return b""


def _is_deflated(data: bytes) -> bool:
    return len(data) > 2 and data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0


def _lzw_size(data: bytes, enough: int) -> int:
    """How many bytes LZW data unpack to, after the PDF specification 7.4.4; stops at ``enough``."""
    lengths = [1] * 256 + [0, 0]
    size = bits = held = before = 0
    width = 9
    for byte in data:
        held, bits = held << 8 | byte, bits + 8
        if bits < width:
            continue
        bits -= width
        code, held = held >> bits, held & ((1 << bits) - 1)
        if code == 256:
            del lengths[258:]
            width, before = 9, 0
            continue
        if code == 257 or code > len(lengths):
            break
        length = lengths[code] if code < len(lengths) else before + 1
        if before and len(lengths) < 4096:
            lengths.append(before + 1)
        before, size = length, size + length
        width = min(12, max(9, (len(lengths) + 1).bit_length()))
        if size > enough:
            break
    return size
