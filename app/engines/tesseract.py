"""Tesseract: reads the scripts that have no better engine, in-process or as a program.

It reads whole pages, or the single lines that a better detector found on them.

Both bindings give Tesseract's own table of words (TSV), and one parser makes the lines of it.
``benchmarks/tesseract_binding.py`` measures them: without a start, a load of the models and a
picture on disk for each page, tesserocr takes half to all of the time, most often two thirds. Its
libtesseract comes with its wheel, so that single words may differ from what the program reads.

The limit of a page ends the program wherever it is. In-process it is looked at between words:
the search for text lines before them (up to some seconds on large pages) is not cut short.
"""

import os
import re
import shlex
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from app.document import Box, Line, Word, is_unspaced
from app.engines.pieces import Pieces
from app.engines.strip import Strip
from app.errors import InternalError, TimedOut
from app.interfaces import Image
from app.languages import Language, digits_only, models


def tessdata_folder() -> Path:
    """The folder of models: TESSDATA_PREFIX, or where Debian and others put it."""
    if prefix := os.environ.get("TESSDATA_PREFIX"):
        folder = Path(prefix)
        inner = folder / "tessdata"  # Before version 4 the variable named the folder above.
        return inner if not any(folder.glob(f"*{_SUFFIX}")) and inner.is_dir() else folder
    debian = Path("/usr/share/tesseract-ocr").glob("*/tessdata")
    # Of several versions the newest; "4.00" and "5" compare as numbers.
    newest = sorted(debian, key=lambda folder: float(_NUMBER.sub("", folder.parent.name) or 0))
    others = [Path("/usr/share/tessdata"), Path("/usr/local/share/tessdata")]
    return next((folder for folder in [*reversed(newest), *others] if folder.is_dir()), others[0])


def installed_models(folder: Path | None = None) -> frozenset[str]:
    """The models in ``folder``, by names like "eng" and "script/Latin"; nothing is started."""
    folder = folder or tessdata_folder()
    found = [
        path.relative_to(folder).as_posix().removesuffix(_SUFFIX)
        for path in (*folder.glob(f"*{_SUFFIX}"), *folder.glob(f"script/*{_SUFFIX}"))
    ]
    # Debian keeps script models beside the others: they alone begin with a capital.
    return frozenset(f"script/{name}" if name[0].isupper() else name for name in found)


class TesseractEngine:
    """Reads with Tesseract's neural models."""

    def __init__(
        self, timeout_s: float = 60, binding: str = "tesserocr", folder: Path | None = None
    ) -> None:
        """``binding`` is "tesserocr" or "pytesseract"; ``folder`` holds the models."""
        # Each page has one process; OpenMP reads this when it is loaded, and the program inherits
        # it. With more threads than that, several processes slow each other down many times.
        os.environ.setdefault("OMP_THREAD_LIMIT", "1")
        self._timeout_s = timeout_s
        self._folder = folder or tessdata_folder()
        self._binding = _BINDINGS[binding](self._folder)

    @property
    def installed(self) -> frozenset[str]:
        """The models that can be used."""
        return installed_models(self._folder)

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        """0: Tesseract's own guess needs a model for each script, and takes as long as reading."""
        return 0

    def prepare(self) -> bool:
        """There is nothing to prepare: the models of a language are read when it is asked for."""
        return False

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """The lines found on ``image``; all ``languages`` are looked for, the first with priority.

        Raises TimedOut, InternalError.
        """
        height, width = image.shape[:2]
        if min(height, width) < _LEAST_PIXELS:
            return []
        factor = -(-max(height, width) // _MOST_PIXELS)
        if factor > 1:  # The library takes no longer sides.
            image = np.asarray(Pictures.fromarray(image).reduce(factor))
        until = time.monotonic() + self._timeout_s

        def read(layout: int) -> list[Line]:
            (table,) = self._tables([image], languages, dpi / factor, layout, until)
            return [_line(words) for words in _rows(table, factor)]

        lines = read(_AUTO)
        if not _EAST_ASIAN.isdisjoint(models(languages)):
            # The search for columns takes wide-set lines of Han or Hangul for vertical text and
            # reads noise, or nothing; taken as one column they are read well. Where both come to
            # much the same, columns are worth more.
            whole = read(_ONE_COLUMN)
            if _confident(*whole) > _CLEARLY_MORE * _confident(*lines):
                lines = whole
        return lines

    def read(
        self, image: Image, pieces: Pieces, languages: Sequence[Language]
    ) -> list[Line | None]:
        """What stands at each of ``pieces``, horizontal lines; None where nothing was read.

        Raises TimedOut, InternalError.
        """
        until = time.monotonic() + self._timeout_s
        lines: list[Line | None] = [None] * len(pieces)
        flat = np.flatnonzero(_are_flat(pieces)).tolist()
        for height, margin, layout in _WAYS:
            doubtful = [n for n in flat if not _is_certain(lines[n])]
            strips = [Strip(image, pieces[n : n + 1], height, margin) for n in doubtful]
            pictures = [strip.pixels for strip in strips]
            tables = self._tables(pictures, languages, _STRIP_DPI, layout, until)
            for n, strip, table in zip(doubtful, strips, tables, strict=True):
                words = strip.on_page([word for row in _rows(table) for word in row])
                if words:
                    usual = strip.usual_gap / max(word.box.height for word in words)
                    least = min(usual + _SPACE_BEYOND_USUAL, _LEAST_HANGUL_GAP)
                    # None comes first: what has no confidence at all was read on bare paper.
                    line = replace(_line(words, least), slope=strip.slope)
                    if strip.is_bent:
                        line = replace(line, box=strip.outline)
                    lines[n] = max(lines[n], line, key=_confident)
        return lines

    def _tables(
        self,
        images: Sequence[Image],
        languages: Sequence[Language],
        dpi: float,
        layout: int,
        until: float,
    ) -> list[str]:
        request = _Request(
            "+".join(self._file_name(model) for model in models(languages)),
            {"tessedit_char_whitelist": _NUMBER_MARKS} if digits_only(languages) else {},
            # Outside of these Tesseract takes the value for a mistake and guesses.
            min(max(round(dpi), 70), 2400),
            layout,
        )
        try:
            return self._binding.read(images, request, until) if images else []
        except TimeoutError as error:
            raise TimedOut(f"A page took longer than {self._timeout_s:g} s to read.") from error

    def _file_name(self, model: str) -> str:
        if (self._folder / f"{model}{_SUFFIX}").exists():
            return model
        return model.removeprefix("script/")


@dataclass(frozen=True, slots=True)
class _Request:
    """What Tesseract is asked to do with an image."""

    languages: str  # Model names with plus signs between.
    variables: Mapping[str, str]
    dpi: int
    layout: int  # Tesseract's page segmentation mode.


class _Binding(Protocol):
    """A way to Tesseract."""

    def read(self, images: Sequence[Image], request: _Request, until: float) -> list[str]:
        """Tesseract's TSV for each image.

        Raises TimeoutError once ``time.monotonic`` is past ``until``, and InternalError.
        """


class _Tesserocr:
    """The library in this process; keeps the models of the last requests loaded."""

    def __init__(self, folder: Path) -> None:
        # Here and below: only the binding that is used is loaded.
        import tesserocr

        self._new = tesserocr.PyTessBaseAPI
        self._folder = folder
        self._apis: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._lock = Lock()  # An instance of the library serves one thread at a time.

    def read(self, images: Sequence[Image], request: _Request, until: float) -> list[str]:
        key = (request.languages, *request.variables.items())
        with self._lock:
            try:
                api = self._api(key, request)
                api.SetPageSegMode(request.layout)
                return [self._table(api, image, request.dpi, until) for image in images]
            except RuntimeError as error:
                raise InternalError("The page could not be read.") from error
            finally:
                if key in self._apis:
                    self._apis[key].Clear()  # Else the page's picture stays in memory.

    def _table(self, api: Any, image: Image, dpi: int, until: float) -> str:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        height, width = image.shape[:2]
        depth = image.size // (height * width)
        api.SetImageBytes(image.tobytes(), width, height, depth, depth * width)
        api.SetSourceResolution(dpi)
        if api.Recognize(max(1, round(left_s * 1000))):
            return str(api.GetTSVText(0))
        if time.monotonic() < until:
            raise InternalError("The page could not be read.")
        raise TimeoutError

    def _api(self, key: tuple[Any, ...], request: _Request) -> Any:
        if key not in self._apis:
            while len(self._apis) >= _MOST_APIS:
                self._apis.popitem(last=False)[1].End()
            self._apis[key] = self._new(
                path=f"{self._folder}/",
                lang=request.languages,
                # The library writes its remarks to stderr unless told otherwise.
                variables={"debug_file": os.devnull, **request.variables},
            )
        self._apis.move_to_end(key)
        return self._apis[key]


class _Pytesseract:
    """The program ``tesseract``, started for each page."""

    def __init__(self, folder: Path) -> None:
        import pytesseract

        self._tool = pytesseract
        self._folder = folder

    def read(self, images: Sequence[Image], request: _Request, until: float) -> list[str]:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        arguments = ["--tessdata-dir", str(self._folder), "--dpi", str(request.dpi)]
        arguments += ["--psm", str(request.layout)]
        for name, value in request.variables.items():
            arguments += ["-c", f"{name}={value}"]
        with TemporaryDirectory(prefix="ocr-") as name:
            pictures = [Path(name, f"{number}.ppm") for number in range(len(images))]
            for picture, image in zip(pictures, images, strict=True):
                # A PPM is the bare pixels; pytesseract itself would compress them to a PNG.
                with picture.open("wb") as file:
                    kind = b"P5" if image.ndim == 2 else b"P6"
                    file.write(b"%s %d %d 255\n" % (kind, image.shape[1], image.shape[0]))
                    file.write(image.tobytes())
            listing = Path(name, "pictures.txt")
            listing.write_text("\n".join(map(str, pictures)), encoding="utf-8")
            try:
                table = self._tool.image_to_data(
                    str(listing),
                    lang=request.languages,
                    config=shlex.join(arguments),
                    timeout=left_s,
                )
            except (self._tool.TesseractError, self._tool.TesseractNotFoundError) as error:
                raise InternalError("The page could not be read.") from error
            except RuntimeError as error:  # pytesseract's way to say that the time is up.
                raise TimeoutError from error
        pages: list[list[str]] = [[] for _ in images]
        for row in str(table).split("\n"):
            page = row.split("\t", 2)[1:2]
            if page and page[0].isdecimal():
                pages[int(page[0]) - 1].append(row)
        return ["\n".join(page) for page in pages]


_BINDINGS: dict[str, Callable[[Path], _Binding]] = {
    "tesserocr": _Tesserocr,
    "pytesseract": _Pytesseract,
}

_SUFFIX = ".traineddata"
_NUMBER = re.compile(r"[^\d.]")
_NUMBER_MARKS = "0123456789.,+-()%$#/:"
_LEAST_PIXELS = 3  # libtesseract and Leptonica have crashed on less, and nobody could read it.
_MOST_PIXELS = 32767  # libtesseract keeps coordinates in 16 bits.
_AUTO, _ONE_COLUMN, _ONE_LINE, _RAW_LINE = 3, 4, 7, 13  # Page segmentation modes.
_STRIP_DPI = 300
_TALL = 1.5  # How much higher than wide a piece is whose text does not run to the side.
_CLEARLY_MORE = 1.1
_EAST_ASIAN = frozenset({"chi_sim", "chi_tra", "jpn", "kor"})
_MOST_APIS = 2  # One with models takes 10 to 100 MB.


# Of the characters of drawn pages in 19 languages and of photographs of them 3.9 and 5.0 % were
# wrong, with the first way alone 8.0 and 8.7 % (before strips were evenly lit: now 4.0 and 3.9 %).
# It looks for the line in the strip, and when it takes the dots of Arabic for a line of their own,
# or shadows for letters, all is lost. The other takes the strip as it is; alone it had 5.3 and
# 6.0 % wrong, as it sees the size of letters less well.
_WAYS = ((36, 8, _ONE_LINE), (40, 4, _RAW_LINE))  # Height, margin, layout.
_LEAST_CERTAIN = 0.7  # A line's confidence from which on no other way is tried.


def _is_certain(line: Line | None) -> bool:
    return line is not None and line.confidence >= _LEAST_CERTAIN


def _are_flat(pieces: Pieces) -> NDArray[np.bool_]:
    """Which lines run along the top edges of pieces."""
    widths, heights = pieces.widths, pieces.heights
    fit = (heights >= _LEAST_PIXELS) & (widths < _MOST_PIXELS)
    return np.asarray(fit & (heights < _TALL * widths))


# Marks that say where right-to-left text begins and ends; the order of the words says it, too.
_DIRECTIONS = dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def _confident(*lines: Line | None) -> float:
    """How many characters are right, if the confidences are."""
    words = [word for line in lines if line for word in line.words]
    return sum(word.confidence * len(word.text) for word in words)


def _rows(table: str, factor: int = 1) -> list[list[Word]]:
    """The lines of Tesseract's TSV, as words in logical order, as Tesseract gives them.

    The columns are level, page, block, paragraph, line, word, left, top, width, height,
    confidence (0 to 100), text; level 5 is a word.
    """
    found: dict[tuple[str, ...], list[Word]] = {}
    for row in table.split("\n"):
        fields = row.split("\t")
        if len(fields) < 12 or fields[0] != "5":
            continue
        text = "".join(fields[11].translate(_DIRECTIONS).split())
        if text:
            left, top, width, height = (int(field) * factor for field in fields[6:10])
            box = Box(left, top, left + width, top + height)
            confidence = min(max(float(fields[10]) / 100, 0.0), 1.0)
            found.setdefault(tuple(fields[1:5]), []).append(Word(text, box, confidence))
    return list(found.values())


def _line(words: Sequence[Word], least_space: float | None = None) -> Line:
    box = Box.around(word.box for word in words)
    text = "".join(word.text for word in words)
    if sum(map(_is_han, text)) >= 2:
        vertical = box.height > box.width
    else:  # Rotated by a quarter turn; a few tall letters such as "Il" are not.
        vertical = len(text) >= 4 and box.height > 2 * box.width
    least = _LEAST_HANGUL_GAP if least_space is None else least_space
    return Line(tuple(_spaced(words, vertical, least)), box, vertical)


def _spaced(words: Iterable[Word], vertical: bool, least_space: float) -> list[Word]:
    """The words, without the spaces that Tesseract sees between East Asian characters.

    Thai letters become one word: alone, their confidences say little.
    """
    result: list[Word] = []
    before: Word | None = None
    for word in words:
        spaced = before is None or _is_space(before, word, vertical, least_space)
        if before and not spaced and _is_thai(before.text[-1]) and _is_thai(word.text[0]):
            result[-1] = _joined(result[-1], word)
        else:
            result.append(word._replace(spaced=spaced))
        before = word
    return result


def _joined(one: Word, other: Word) -> Word:
    text = one.text + other.text
    confident = one.confidence * len(one.text) + other.confidence * len(other.text)
    return Word(text, Box.around((one.box, other.box)), confident / len(text), one.spaced)


def _is_space(before: Word, after: Word, vertical: bool, least_space: float) -> bool:
    """Whether a space stands between two words that Tesseract set apart.

    Its models for Chinese, Japanese, Korean and Thai set apart nearly every character.
    """
    last, first = before.text[-1], after.text[0]
    if _is_han(last) and _is_han(first):
        return False
    if _is_hangul(last) and _is_hangul(first):
        least = least_space
    elif _is_thai(last) and _is_thai(first):
        least = _LEAST_THAI_GAP
    elif _is_han(last) != _is_han(first) and not (first if _is_han(last) else last).isalpha():
        least = _LEAST_HAN_GAP  # Digits and punctuation beside Han characters.
    else:
        return True
    if vertical:
        gap, size = after.box.top - before.box.bottom, max(before.box.width, after.box.width)
    else:
        gap, size = after.box.left - before.box.right, max(before.box.height, after.box.height)
    return gap > least * size


# As parts of the height of the taller word. On a drawn Korean page of 190 characters 63 of the
# spaces were wrong without a limit, 3 to 7 are with 0.3; on a scan the limit is good, too.
_LEAST_HANGUL_GAP = 0.3
_LEAST_HAN_GAP = 0.4
_LEAST_THAI_GAP = 0.4  # Of 541 spaces that were seen on a page with 8, 29 are left.
# In a strip the gaps are measured, and what is usual between letters is known: 19 of 303 places
# between words and syllables on a drawn page and its photograph are then taken for the other.
_SPACE_BEYOND_USUAL = 0.15


def _is_han(character: str) -> bool:
    """Whether it is Han, kana or their punctuation; Thai and its neighbours do use spaces."""
    return character >= "\u2e80" and is_unspaced(character)


def _is_hangul(character: str) -> bool:
    return "\uac00" <= character <= "\ud7a3"


def _is_thai(character: str) -> bool:
    return "\u0e01" <= character <= "\u0e5b"
