"""The price of accuracy: errors and time of the PP-OCR cascade, by how much its draft is trusted.

Usage: python -m benchmarks.cascade [--pages N] [--languages CODE ...] [--threads N]

Reads the pages that ``benchmarks.pages`` draws with the tiny network alone ("0"), with drafts of
which characters below a confidence are read again by the small one, and with the small network
alone ("1"). Detection and decoding of the pictures are counted, too; no HTTP is involved.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as Pictures

from app.document import Line
from app.engines.ppocr_cascade import Cascade
from app.engines.ppocr_context import in_context
from app.engines.ppocr_detect import GLANCE, find_text
from app.engines.ppocr_networks import Networks
from app.engines.ppocr_read import Reader, read_text
from app.engines.ppocr_script import foreign
from app.interfaces import Image
from app.languages import parse
from app.layout.order import paragraphs
from benchmarks.metrics import character_error_rate
from benchmarks.pages import draw
from benchmarks.samples import Sample

_TRUSTED = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def main() -> None:
    """Print a line for each way to read, with each language's CER in per cent."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=4)
    parser.add_argument("--languages", nargs="+", default=["zh", "en"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="ocr-bench-") as folder:
        samples = draw(Path(folder), arguments.pages, arguments.languages)
        networks = Networks(arguments.threads, None)
        print("trusted  pages/s  " + "  ".join(f"{code:>7}" for code in arguments.languages))
        for trusted in (0.0, *_TRUSTED, 1.0):
            _measure(samples, networks, trusted)  # New shapes are compiled.
            errors, seconds = _measure(samples, networks, trusted)
            means = "  ".join(f"{100 * np.mean(each):7.3f}" for each in errors.values())
            print(f"{trusted:7}  {len(samples) / seconds:7.2f}  {means}", flush=True)


def _measure(
    samples: list[Sample], networks: Networks, trusted: float
) -> tuple[dict[str, list[float]], float]:
    errors: dict[str, list[float]] = {}
    began = time.perf_counter()
    for sample in samples:
        with Pictures.open(sample.pictures[0]) as picture:
            image = np.asarray(picture.convert("RGB"))
        read = _reader(networks, trusted, sample.language)
        found = read(image)
        text = "\n".join(each.text for each in paragraphs(found, image.shape[1]))
        errors.setdefault(sample.group, []).append(character_error_rate(text, sample.truth))
    return errors, time.perf_counter() - began


def _reader(networks: Networks, trusted: float, language: str) -> Callable[[Image], list[Line]]:
    scripts = {each.script for each in parse(language)}
    strange = foreign(networks.alphabet.characters.tolist(), scripts)
    reader: Reader = networks.draft
    if trusted:
        draft = networks.draft if trusted < 1 else None
        share = min(trusted, 0.999)
        reader = Cascade(draft, networks.read, networks.alphabet, strange, share)

    def read(image: Image) -> list[Line]:
        corners = find_text(image, networks.glance, GLANCE)
        lines = read_text(image, corners, reader, networks.alphabet)
        return in_context([line for line in lines if line])

    return read


if __name__ == "__main__":
    main()
