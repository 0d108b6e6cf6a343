"""Tables, ours beside img2table and camelot: F1 of neighbouring cells, and seconds a file.

By default on tables that are drawn here, with and without rules; ``--corpus`` takes files with
ground truth as TSV or CSV as ``benchmarks.corpus`` knows them. Spans count once, where they begin.
"""

import argparse
import csv
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from PIL import Image, ImageDraw, ImageFont

from app import media, wiring
from app.config import Settings
from app.document import Document, Table
from app.languages import models, parse
from app.pipeline import Order, Pipeline
from app.writers.grid import grid_of
from benchmarks.metrics import neighbours_f1
from benchmarks.runner import Runner, running
from benchmarks.systems import IMG2TABLE, PEERS

Grid = list[list[str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """A file and the one grid that is to be found in it; tables of a page below each other."""

    group: str
    file: Path
    language: str
    truth: Grid


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        samples = list(_corpus(options.corpus) if options.corpus else _drawn(folder))
        ours = _Ours(folder)
        peers: dict[str, Runner] = {}
        for peer, place in (("img2table", IMG2TABLE), ("camelot", PEERS)):
            command = [str(place / "python"), "-m", "benchmarks.run_tables", peer]
            env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
            peers[peer] = stack.enter_context(running(command, folder / f"{peer}.log", env))
        scores: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for sample in samples:
            by = scores.setdefault(sample.group, {})
            by.setdefault("ocr-server", []).append(ours.score(sample))
            for peer, runner in peers.items():
                if peer == "camelot" and media.detect(sample.file) != media.PDF:
                    continue  # It reads born-digital PDF files alone.
                by.setdefault(peer, []).append(_peer_score(runner, sample))
    print(f"{'':16}" + "".join(f"{system:>24}" for system in ("ocr-server", *peers)))
    for group, by in scores.items():
        cells = [
            f"F1 {mean(f1 for f1, _ in by[system]):.3f}, {mean(s for _, s in by[system]):6.2f} s"
            if system in by
            else "-"
            for system in ("ocr-server", *peers)
        ]
        print(f"{group:16}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


class _Ours:
    """The pipeline of the server, in this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        built = wiring.pipeline(Settings(data_dir=folder / "data"))
        self._tables = _TablesWriter()
        self._pipeline: Pipeline = built.with_writer("tables", self._tables)

    def score(self, sample: Sample) -> tuple[float, float]:
        """F1 and seconds."""
        order = Order("tables", parse(sample.language))
        work = self._folder / "work"
        work.mkdir(exist_ok=True)
        began = time.perf_counter()
        self._pipeline.run(order, sample.file, work, self._folder / "out", lambda *_: None)
        took = time.perf_counter() - began
        return neighbours_f1(self._tables.grids, sample.truth), took


class _TablesWriter:
    """Keeps the tables of the last document."""

    media_type = "application/json"
    looks = exact = False
    retells = True

    def __init__(self) -> None:
        self.grids: list[Grid] = []

    def write(self, document: Document, target: Path) -> None:
        """Keep the tables; ``target`` gets nothing."""
        self.grids = [
            grid_of(block)
            for page in document.pages
            for block in page.blocks
            if isinstance(block, Table)
        ]
        target.touch()


def _peer_score(runner: Runner, sample: Sample) -> tuple[float, float]:
    languages = "+".join(models(parse(sample.language)))
    try:
        text, took = runner.read(sample.file, languages)
    except RuntimeError as error:
        print(f"{sample.file.name}: {error}", file=sys.stderr)
        return 0.0, 0.0
    return neighbours_f1(json.loads(text), sample.truth), took


def _corpus(corpus: Path) -> Iterator[Sample]:
    for line in (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        file = corpus / item["file"]
        truth = item["gt_file"] or ""
        if item["gt_kind"] != "table" or not truth.endswith((".tsv", ".csv")):
            continue
        kind = media.detect(file)
        if kind != media.PDF and not kind.startswith("image/"):
            continue  # An Office file, which none of the peers reads.
        text = (corpus / truth).read_text(encoding="utf-8", errors="replace")
        rows = csv.reader(io.StringIO(text), delimiter="\t" if truth.endswith(".tsv") else ",")
        yield Sample("PDF" if kind == media.PDF else "picture", file, item["lang"], list(rows))


_CJK = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
_WORDS = {
    "English": ["Region", "North", "Harbour", "Total sales", "Units", "Change", "East", "Mill"],
    "ChinesePRC": ["地区", "北方", "港口", "销售总额", "数量", "变化", "东部", "工厂"],
}


def _drawn(folder: Path) -> Iterator[Sample]:
    """Tables of three kinds in two languages, in three sizes each."""
    for kind in ("ruled", "level rules", "no rules"):
        for language, words in _WORDS.items():
            for size in (20, 28, 36):
                grid = _grid(words, 6 + size // 4, 4 + size % 3)
                file = folder / f"{kind}-{language}-{size}.png"
                _draw(grid, kind, size).save(file, dpi=(200, 200))
                yield Sample(kind, file, language, grid)


def _grid(words: Sequence[str], rows: int, columns: int) -> Grid:
    grid = [[words[n % len(words)] + (f" {n}" if n >= len(words) else "") for n in range(columns)]]
    for row in range(1, rows):
        cells = [f"{words[row % len(words)]} {row}"]
        for column in range(1, columns):
            value = (row * 7919 + column * 104729) % 99991
            cells.append("" if value % 11 == 0 else f"{value / 10 ** (column % 3):,.{column % 3}f}")
        grid.append(cells)
    return grid


def _draw(grid: Grid, kind: str, size: int) -> Image.Image:
    font = ImageFont.truetype(_CJK, size)
    height = int(size * 1.9)
    widths = [
        int(max(font.getlength(row[n]) for row in grid)) + 2 * size for n in range(len(grid[0]))
    ]
    image = Image.new("RGB", (sum(widths) + 200, height * len(grid) + 200), "white")
    pen = ImageDraw.Draw(image)
    lefts = [100 + sum(widths[:n]) for n in range(len(widths) + 1)]
    for row, texts in enumerate(grid):
        top = 100 + height * row
        for column, text in enumerate(texts):
            room = widths[column] - size - font.getlength(text)
            left = lefts[column] + size / 2 + (room if column else 0)
            pen.text((left, top + size * 0.25), text, "black", font)
    bottom = 100 + height * len(grid)
    if kind != "no rules":
        level = range(len(grid) + 1) if kind == "ruled" else (0, 1, len(grid))
        for row in level:
            pen.line([(100, 100 + height * row), (lefts[-1], 100 + height * row)], "black", 2)
    if kind == "ruled":
        for left in lefts:
            pen.line([(left, 100), (left, bottom)], "black", 2)
    return image


if __name__ == "__main__":
    main()
