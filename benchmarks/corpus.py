"""Files with ground truth, as a folder's ``manifest.jsonl`` lists them.

Each line is an object with ``file``, ``category``, ``lang`` (as a client names it), ``gt_file``,
``gt_kind`` (``fulltext`` or ``lines``; others are passed over) and ``password``.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pypdfium2

from app import media
from benchmarks.samples import Sample

_DPI = 300


def samples(corpus: Path, folder: Path, categories: Sequence[str] = ()) -> Iterator[Sample]:
    """The pictures and PDF files of ``categories``, or of all; page pictures go to ``folder``."""
    for sample in _listed(corpus, categories):
        kind = media.detect(sample.original)
        if kind == media.PDF:
            yield replace(sample, pictures=tuple(_rasterized(sample, folder)))
        elif kind.startswith("image/"):
            yield replace(sample, pictures=(sample.original,))
        # An Office file is read by none of the peers.


def documents(corpus: Path, categories: Sequence[str] = ()) -> Iterator[Sample]:
    """The Office and PDF files of ``categories``, or of all, without pictures of their pages."""
    for sample in _listed(corpus, categories):
        if not media.detect(sample.original).startswith("image/"):
            yield sample


def _listed(corpus: Path, categories: Sequence[str]) -> Iterator[Sample]:
    for line in (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        if item["gt_kind"] not in ("fulltext", "lines"):
            continue
        if categories and item["category"] not in categories:
            continue
        yield Sample(
            item["category"],
            item["file"],
            item["lang"],
            (corpus / item["gt_file"]).read_text(encoding="utf-8", errors="replace"),
            corpus / item["file"],
            (),
            item["password"],
        )


def _rasterized(sample: Sample, folder: Path) -> Iterator[Path]:
    path = sample.original
    with pypdfium2.PdfDocument(path, password=sample.password) as pdf:
        pdf.init_forms()
        for number, page in enumerate(pdf):
            picture = folder / f"{path.parent.name}-{path.name}-{number + 1}.png"
            image = page.render(scale=_DPI / 72).to_pil().convert("RGB")
            image.save(picture, dpi=(_DPI, _DPI), compress_level=1)
            yield picture
