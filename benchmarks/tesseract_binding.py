"""Compares the two bindings of the Tesseract engine: seconds per page, and whether they agree.

Usage: PYTHONPATH=. python benchmarks/tesseract_binding.py [--language Russian] [PICTURE ...]

Without a picture, a page of English text is drawn. "first" is a binding's first page, with
everything that is loaded for it; "next" is the mean of the pages after it.
"""

import argparse
import time
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from app.engines.tesseract import TesseractEngine
from app.interfaces import Image
from app.languages import parse


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE")
    parser.add_argument("--language", default="English")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dpi", type=float, default=300)
    arguments = parser.parse_args()
    languages = parse(arguments.language)

    pages = {path.name: _opened(path) for path in arguments.pictures} or {"drawn page": _drawn()}
    print(f"{'page':40} {'binding':12} {'first s':>8} {'next s':>8} {'words':>6}  same words")
    for name, page in pages.items():
        words: dict[str, list[str]] = {}
        for binding in ("pytesseract", "tesserocr"):
            engine = TesseractEngine(600, binding)
            seconds = []
            for _ in range(1 + arguments.repeat):
                began = time.perf_counter()
                lines = engine.recognize(page, languages, arguments.dpi)
                seconds.append(time.perf_counter() - began)
            words[binding] = [word.text for line in lines for word in line.words]
            mean = sum(seconds[1:]) / max(1, len(seconds) - 1)
            print(
                f"{name[:40]:40} {binding:12} {seconds[0]:8.2f} {mean:8.2f} "
                f"{len(words[binding]):6}  {_same(words):.1%}"
            )


def _opened(path: Path) -> Image:
    with Pictures.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _drawn() -> Image:
    page = Pictures.new("RGB", (2480, 3508), "white")  # A4 at 300 dpi.
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(42)
    for n in range(45):
        text = f"{n + 1}. The quick brown fox jumps over the lazy dog, {n * 137} times a day; why?"
        draw.text((250, 250 + n * 68), text, "black", font)
    return np.asarray(page)


def _same(words: dict[str, list[str]]) -> float:
    one, *others = words.values()
    return min(
        (SequenceMatcher(None, one, other, autojunk=False).ratio() for other in others), default=1
    )


if __name__ == "__main__":
    main()
