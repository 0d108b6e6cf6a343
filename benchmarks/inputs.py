"""The text of Office and PDF files, ours over HTTP beside kreuzberg: order-free F1 of the words.

Usage: python -m benchmarks.inputs --corpus DIR [--categories NAME ...] [--files]

Files with a password and PDF files without text of their own are left out, since kreuzberg
recognizes nothing unless told to; ours is asked once as clients do, and once not to recognize what
pictures say (``mode=skip``).
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean

import pypdfium2

from app import media
from benchmarks import corpus, report, systems
from benchmarks.metrics import token_f1
from benchmarks.samples import Sample
from benchmarks.systems import Job, ReadFailed, System


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder with a manifest.jsonl")
    parser.add_argument("--categories", nargs="*", default=[], help="those of the corpus alone")
    parser.add_argument("--files", action="store_true", help="show each file, too")
    arguments = parser.parse_args()
    groups: dict[str, list[Sample]] = {}
    for group, sample in _samples(arguments.corpus, arguments.categories):
        groups.setdefault(group, []).append(sample)
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        chosen = {
            report.SERVER: systems.our_server(folder / "auto", True),
            f"{report.SERVER}, mode=skip": systems.our_server(
                folder / "skip", True, {"mode": "skip"}
            ),
            "kreuzberg": systems.text_reader("kreuzberg", folder),
        }
        started = {title: stack.enter_context(system) for title, system in chosen.items()}
        print(f"| files | {' | '.join(started)} |\n|---|" + "--:|" * len(started))
        for group, samples in sorted(groups.items()):
            scores = [[_score(system, one) for system in started.values()] for one in samples]
            cells = [
                f"{fmean(f1 for f1, _ in column):.1%}, {fmean(s for _, s in column):.2f} s"
                for column in zip(*scores, strict=True)
            ]
            print(f"| {group} ({len(samples)}) | {' | '.join(cells)} |", flush=True)
            for sample, row in zip(samples, scores, strict=True) if arguments.files else ():
                print(f"| {sample.name} | {' | '.join(f'{f1:.1%}' for f1, _ in row)} |")


def _samples(folder: Path, categories: list[str]) -> Iterator[tuple[str, Sample]]:
    for sample in corpus.documents(folder, categories):
        group = _GROUPS[media.detect(sample.original)]
        if sample.password is None and (group != "PDF" or _has_text(sample.original)):
            yield group, sample


_GROUPS = {
    media.DOCX: "Word",
    media.XLSX: "Excel",
    media.PPTX: "PowerPoint",
    media.DOC: "Word 97",
    media.XLS: "Excel 97",
    media.PPT: "PowerPoint 97",
    media.PDF: "PDF",
}


def _has_text(path: Path) -> bool:
    with pypdfium2.PdfDocument(path) as pdf:
        return any(page.get_textpage().count_chars() for page in pdf)


def _score(system: System, sample: Sample) -> tuple[float, float]:
    """F1 and seconds."""
    began = time.perf_counter()
    try:
        text = system.read(Job(sample, sample.original), True).text
    except ReadFailed:
        text = ""
    return token_f1(text, sample.truth), time.perf_counter() - began


if __name__ == "__main__":
    main()
