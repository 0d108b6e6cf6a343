"""Measures which engine reads each language best.

Usage: python -m benchmarks.languages [--corpus DIR] [--pages N] [--engine NAME ...] [LANGUAGE ...]

For each language 2 N pages are drawn, with sentences from the translations of GLib, GTK and
iso-codes (``debian-packages-bench.txt``): half of them as a printer would, half as a telephone
would see them: askew, shaded, blurred and noisy. ``DIR`` holds pages of others: a line of its
``manifest.jsonl`` has ``file``, ``lang``, ``gt_file`` and ``gt_kind`` ("fulltext" or "lines").

"both" is the engine "auto" as it reads a language that is recorded as Tesseract's: PP-OCR finds
the lines, Tesseract reads them. CER is the rate of wrong characters, without spaces, in reading
order; F1 counts right words in any order, characters where a script sets no spaces; seconds come
last. ``app/languages.tsv`` records the better of "ppocr" and "both", and "ppocr", which is faster,
where there is little in it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import struct
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from app import languages
from app.config import Settings
from app.converters.image import ImageConverter
from app.converters.pdf import PdfConverter
from app.document import Line, is_unspaced
from app.errors import BadRequest
from app.interfaces import Engine, Image
from app.languages import Language
from app.layout.order import paragraphs
from app.wiring import engines


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="LANGUAGE")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--pages", type=int, default=1, help="to draw of each kind; default 1")
    parser.add_argument("--engine", nargs="+", default=["ppocr", "tesseract", "both"])
    arguments = parser.parse_args()

    with TemporaryDirectory(prefix="ocr-bench-") as folder:
        settings = Settings(data_dir=Path(folder), threads=len(os.sched_getaffinity(0)))
        known = engines(settings)
        known["both"] = _Both(known["auto"])
        chosen = {name: known[name] for name in arguments.engine}
        print("language                kind  engine    " + "".join(f"{n:>12}" for n in chosen))
        best: Counter[str] = Counter()
        pages: Iterator[_Page] = _drawn(arguments.names, arguments.pages)
        if arguments.corpus:
            pages = _corpus(arguments.corpus, arguments.names)
        rows: dict[tuple[str, str, str], list[dict[str, _Score]]] = defaultdict(list)
        for page in pages:
            scores = {name: _score(engine, page) for name, engine in chosen.items()}
            recorded = "+".join(dict.fromkeys(one.engine for one in page.languages))
            key = (",".join(one.name for one in page.languages), page.kind, recorded)
            rows[key].append(scores)
            _print(*key, scores)
        print()
        for key, group in rows.items():
            means = {name: _mean([scores[name] for scores in group]) for name in chosen}
            if len(group) > 1:
                _print(*key, means)
            best[min(means, key=lambda name: means[name].cer)] += 1
        _print(
            "all",
            "",
            "",
            {
                name: _mean([scores[name] for group in rows.values() for scores in group])
                for name in chosen
            },
        )
        print("least CER:", ", ".join(f"{name} {count}" for name, count in best.most_common()))


class _Both:
    """The engine for any request, with every language taken for one of Tesseract's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        return self._engine.turns(image, languages)

    def prepare(self) -> bool:
        return False

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        taken = [replace(language, engine="tesseract") for language in languages]
        return self._engine.recognize(image, taken, dpi)


@dataclass(frozen=True, slots=True)
class _Page:
    """A picture and what stands on it."""

    languages: tuple[Language, ...]
    kind: str
    images: Sequence[Image]
    dpi: float
    text: str


@dataclass(frozen=True, slots=True)
class _Score:
    """How well an engine read a page."""

    cer: float
    f1: float
    seconds: float


def _print(name: str, kind: str, recorded: str, scores: dict[str, _Score]) -> None:
    cells = "".join(f"{one.cer:7.3f}{one.f1:6.2f}{one.seconds:6.1f} |" for one in scores.values())
    print(f"{name[:23]:23} {kind:5} {recorded[:9]:9} {cells}", flush=True)


def _mean(scores: Sequence[_Score]) -> _Score:
    return _Score(
        *(
            statistics.fmean(getattr(score, field) for score in scores)
            for field in ("cer", "f1", "seconds")
        )
    )


def _score(engine: Engine, page: _Page) -> _Score:
    began = time.perf_counter()
    texts = []
    for image in page.images:
        lines = tuple(engine.recognize(image, page.languages, page.dpi))
        texts += [paragraph.text for paragraph in paragraphs(lines, image.shape[1])]
    seconds = time.perf_counter() - began
    text = "\n".join(texts)
    return _Score(_cer(text, page.text), _f1(text, page.text), seconds / len(page.images))


def _cer(found: str, truth: str) -> float:
    found, truth = ("".join(unicodedata.normalize("NFKC", one).split()) for one in (found, truth))
    return min(1.0, _distance(found, truth) / max(1, len(truth)))


def _distance(one: str, other: str) -> int:
    """Levenshtein's distance, with the bits of a number as a column of the matrix (Hyyrö 2003)."""
    if not one:
        return len(other)
    places: dict[str, int] = defaultdict(int)
    for n, character in enumerate(one):
        places[character] |= 1 << n
    every, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    more, less, distance = every, 0, len(one)
    for character in other:
        equal = places.get(character, 0)
        down = equal | less
        across = (((equal & more) + more) ^ more) | equal
        plus, minus = less | ~(across | more) & every, more & across
        distance += bool(plus & last) - bool(minus & last)
        plus, minus = (plus << 1) | 1, minus << 1
        more, less = (minus | ~(down | plus)) & every, plus & down & every
    return distance


def _f1(found: str, truth: str) -> float:
    read, printed = _words(found), _words(truth)
    same = sum((read & printed).values())
    return 2 * same / max(1, sum(read.values()) + sum(printed.values()))


def _words(text: str) -> Counter[str]:
    text = unicodedata.normalize("NFKC", text).lower()
    spaced = "".join(f" {one} " if is_unspaced(one) else one for one in text)
    words = (
        "".join(c for c in word if c.isalnum() or unicodedata.combining(c))
        for word in spaced.split()
    )
    return Counter(word for word in words if word)


def _corpus(folder: Path, names: Sequence[str]) -> Iterator[_Page]:
    pdf = PdfConverter(200_000_000, 5000, 60)
    image = ImageConverter(200_000_000, 5000)
    for row in (folder / "manifest.jsonl").read_text("utf-8").splitlines():
        item = json.loads(row)
        path = folder / item["file"]
        suffix = path.suffix.lower()
        if item["gt_kind"] not in ("fulltext", "lines") or item.get("expect", "ok") != "ok":
            continue
        if suffix not in (".pdf", ".png", ".jpg", ".jpeg", ".tif") or item.get("password"):
            continue
        try:
            wanted = languages.parse(item["lang"])
        except BadRequest:
            continue
        if names and not {one.name for one in wanted} & set(names):
            continue
        truth = (folder / item["gt_file"]).read_text("utf-8", errors="replace")
        converter = pdf if suffix == ".pdf" else image
        with TemporaryDirectory() as work, converter.open(path, Path(work), None) as source:
            if source.page_count > _MOST_PAGES:
                continue
            pages = [(page.load(), page.dpi) for page in source.pages()]
        kind = item.get("category", "file")[:5]
        yield _Page(wanted, kind, [one for one, _ in pages], pages[0][1], truth)


_MOST_PAGES = 5


def _drawn(names: Sequence[str], pages: int) -> Iterator[_Page]:
    for name in names or [*_readable(), *_TOGETHER]:
        wanted = languages.parse(name)
        texts = [_drawable_sentences(language) for language in wanted]
        if not all(texts):
            continue
        for number in range(2 * pages):
            kind, half = ("print", "photo")[number % 2], number % 2
            faces = [_FACES[language.script][-half] for language in wanted]
            rows = _rows([text[number :: 2 * pages] for text in texts], faces)
            image = _draw(rows)
            text = "\n".join(" ".join(words for words, _ in row) for row in rows)
            yield _Page(wanted, kind, [_photographed(image) if half else image], 200, text)


_TOGETHER = (
    "Russian,ChinesePRC",
    "Russian,English",
    "Korean,English",
    "Korean,ChinesePRC",
    "Japanese,Russian",
    "Greek,English",
    "Thai,English",
    "Hindi,English",
    "Arabic,English",
    "Vietnamese,ChinesePRC",
    "Czech,English",
)


def _readable() -> Iterator[str]:
    for name in languages.names():
        try:
            if name != "Symbols":
                languages.parse(name)
                yield name
        except BadRequest:
            continue


_LEAST_LETTERS = 200  # Of a page.
_SIZE, _WIDTH, _LINES = 30, 1400, 10
_Face = tuple[str, int]
"""A file and which face in it."""
_NOTO = "/usr/share/fonts/truetype/noto/Noto"
_HAN = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"


def _noto(sans: str, serif: str | None = None) -> tuple[_Face, ...]:
    second = f"Serif{sans}" if serif is None else serif
    return ((f"{_NOTO}Sans{sans}-Regular.ttf", 0), (f"{_NOTO}{second}-Regular.ttf", 0))


_FACES: dict[str, tuple[_Face, ...]] = {
    "Latn": _noto(""),
    "Cyrl": _noto(""),
    "Grek": _noto(""),
    "Hans": ((_HAN, 2),),
    "Hant": ((_HAN, 3),),
    "Jpan": ((_HAN, 0),),
    "Kore": ((_HAN, 1),),
    "Arab": _noto("Arabic", "NaskhArabic"),
    "Armn": _noto("Armenian"),
    "Beng": _noto("Bengali"),
    "Deva": _noto("Devanagari"),
    "Geor": _noto("Georgian"),
    "Gujr": _noto("Gujarati"),
    "Guru": _noto("Gurmukhi"),
    "Hebr": _noto("Hebrew"),
    "Khmr": _noto("Khmer"),
    "Knda": _noto("Kannada"),
    "Laoo": _noto("Lao"),
    "Mlym": _noto("Malayalam"),
    "Mymr": _noto("Myanmar"),
    "Orya": _noto("Oriya", "SansOriya"),
    "Taml": _noto("Tamil"),
    "Telu": _noto("Telugu"),
    "Thai": _noto("Thai"),
    "Tibt": _noto("", "SerifTibetan")[1:],
}


def _drawable_sentences(language: Language) -> list[str]:
    """What can be drawn of the sentences; nothing if that is not enough for two pages."""
    faces = _FACES.get(language.script, ())
    texts = [text for text in _sentences(language) if _drawable(faces) >= set(text) - {" "}]
    return texts if len("".join(texts)) >= 2 * _LEAST_LETTERS else []


@cache
def _drawable(faces: Sequence[_Face]) -> set[str]:
    """The characters that each of ``faces`` has."""
    every = [TTFont(path, fontNumber=index, lazy=True).getBestCmap() for path, index in faces]
    return {chr(code) for code in set.intersection(*map(set, every))} if every else set()


def _rows(texts: Sequence[Sequence[str]], faces: Sequence[_Face]) -> list[list[tuple[str, _Face]]]:
    """The lines of a page, each made of runs in one type face.

    Of two languages the lines take turns; some lines have both, if both run to the right.
    """
    widest = _WIDTH - 200
    columns = [list(_wrapped(text, face, widest)) for text, face in zip(texts, faces, strict=True)]
    if len(columns) == 1:
        return [[(row, faces[0])] for row in columns[0][:_LINES]]
    rows = [
        [(row, face)]
        for pair in zip(*columns, strict=False)
        for row, face in zip(pair, faces, strict=True)
    ]
    halves = [
        list(_wrapped(text[::-1], face, widest // 2 - 20))
        for text, face in zip(texts, faces, strict=True)
    ]
    both = [list(zip(pair, faces, strict=True)) for pair in zip(*halves, strict=False)]
    both = [row for row in both if not any(_is_leftward(text) for text, _ in row)]
    return rows[: _LINES - len(both[:4])] + both[:4]


def _wrapped(texts: Sequence[str], face: _Face, widest: int) -> Iterator[str]:
    font = ImageFont.truetype(face[0], _SIZE, index=face[1])
    for text in texts[:_LINES]:
        # Where there are no spaces, a line may end after any character and its marks.
        unspaced = sum(map(is_unspaced, text)) > len(text) / 2
        row = ""
        for piece in re.findall(r"\S[\W\u0e30-\u0e3a]*" if unspaced else r"\S+\s*", text):
            if row and font.getlength(row + piece.rstrip()) > widest:
                yield row.rstrip()
                row = ""
            row += piece
        yield row.rstrip()


def _draw(rows: Sequence[Sequence[tuple[str, _Face]]]) -> Image:
    page = Pictures.new("RGB", (_WIDTH, 200 + len(rows) * _SIZE * 3 // 2), "white")
    pen = ImageDraw.Draw(page)
    for n, row in enumerate(rows):
        left = 100.0
        for text, (path, index) in row:
            font = ImageFont.truetype(path, _SIZE, index=index)
            if _is_leftward(text):
                left = _WIDTH - 100 - font.getlength(text)
            base = 100 + _SIZE + n * _SIZE * 3 // 2
            pen.text((left, base), text, (20, 20, 30), font, anchor="ls")
            left += font.getlength(text) + _SIZE / 2
    return np.asarray(page)


def _is_leftward(text: str) -> bool:
    return unicodedata.bidirectional(text[0]) in ("R", "AL")


def _photographed(image: Image) -> Image:
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = corners * np.array([[1, 1], [0.97, 1], [1, 0.97], [1, 1]], np.float32)
    seen[0] = 0.03 * width, 0.04 * height
    warp = cv2.getPerspectiveTransform(corners, seen)
    paper = cv2.warpPerspective(
        image, warp, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=(255, 255, 255)
    )
    light = (
        np.linspace(0.95, 0.45, width)[None, :, None] * np.linspace(1, 0.8, height)[:, None, None]
    )
    noise = np.random.default_rng(1).normal(0, 7, image.shape)
    blurred = cv2.GaussianBlur(paper, (0, 0), 1.3)
    return np.clip(blurred * light + noise, 0, 255).astype(np.uint8)


def _sentences(language: Language) -> list[str]:
    """Translated messages without commands and marks, the longest first."""
    texts: dict[str, None] = {}
    for locale in _locales(language):
        for domain in ("glib20", "gtk20", "iso_3166", "iso_639-2"):
            path = Path("/usr/share/locale", locale, "LC_MESSAGES", f"{domain}.mo")
            if not path.exists():
                continue
            found = (" ".join(text.split()) for source, text in _messages(path) if text != source)
            good = [text for text in found if 8 <= len(text) <= 300 and _is_plain(text)]
            texts.update(dict.fromkeys(sorted(good, key=len, reverse=True)))
    return list(texts)


def _is_plain(text: str) -> bool:
    # Accelerators, formats, tags and English words between quotation marks are not prose.
    return not re.search(r"[_%<>{}|`\\@=]|--|[A-Z]{3}|https?:", text) and text[0].isalpha()


def _messages(path: Path) -> Iterator[tuple[str, str]]:
    """Source and translation, from a file of GNU gettext."""
    data = path.read_bytes()
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, sources, translations = struct.unpack(f"{order}III", data[8:20])

    def text(table: int, n: int) -> str:
        length, start = struct.unpack_from(f"{order}II", data, table + 8 * n)
        return data[start : start + length].decode("utf-8", "replace").split("\0")[0]

    for n in range(count):
        if source := text(sources, n):
            yield source, text(translations, n)


def _locales(language: Language) -> list[str]:
    """The folders of translations for ``language``."""
    if language.name in _LOCALES:
        return [_LOCALES[language.name]]
    if language.match == "formal" or language.name.startswith("Old"):
        return []
    by_code, by_name = _iso_639()
    (model, *_) = language.tesseract
    if "/" in model:
        return [code] if (code := by_name.get(language.name, "")) else []
    return [by_code.get(model, model)]


# Whose names or models are not those of ISO 639-3, or whose locales have a variant.
_LOCALES = {
    "ChinesePRC": "zh_CN",
    "ChineseTaiwan": "zh_TW",
    "SerbianLatin": "sr@latin",
    "SerbianCyrillic": "sr",
    "UzbekLatin": "uz",
    "UzbekCyrillic": "uz@cyrillic",
    "AzeriLatin": "az",
    "Norwegian": "nb",
    "NorwegianBokmal": "nb",
    "NorwegianNynorsk": "nn",
    "PortugueseBrazilian": "pt_BR",
    "Farsi": "fa",
    "Kurdish": "ku",
    "CrimeanTatar": "crh",
    "Friulian": "fur",
    "Kasub": "csb",
    "Malay": "ms",
    "Greek": "el",
    "Irish": "ga",
    "Nahuatl": "nah",
    "Papiamento": "pap",
    "Ruanda": "rw",
    "Nyanja": "ny",
    "Provencal": "oc",
    "Sotho": "nso",
    "Tagalog": "tl",
    "Visayan": "ceb",
    "English": "en_GB",
    "Kirgiz": "ky",
    "Tajik": "tg",
    "Ossetic": "os",
}


def _iso_639() -> tuple[dict[str, str], dict[str, str]]:
    entries = json.loads(Path("/usr/share/iso-codes/json/iso_639-3.json").read_text("utf-8"))
    by_code, by_name = {}, {}
    for entry in entries["639-3"]:
        code = entry.get("alpha_2", entry["alpha_3"])
        by_code[entry["alpha_3"]] = code
        by_name[entry["name"].split(" (")[0]] = code
    return by_code, by_name


if __name__ == "__main__":
    main()
