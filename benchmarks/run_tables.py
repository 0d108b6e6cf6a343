"""Finds tables with a peer, img2table or camelot; started with the Python of the peers.

The first argument names it. Answers are JSON: a list of tables, each a list of rows of texts.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.runner import serve


def main() -> None:
    """Load what is needed, then answer."""
    find = {"img2table": _img2table, "camelot": _camelot}[sys.argv[1]]

    def read(path: Path, models: str) -> tuple[str, float]:
        began = time.perf_counter()
        tables = [_rows(frame) for frame in find(path, models)]
        return json.dumps(tables), time.perf_counter() - began

    serve(read)


def _img2table(path: Path, models: str) -> Iterator[Any]:
    from img2table.document import PDF, Image
    from img2table.ocr import TesseractOCR

    is_pdf = path.read_bytes()[:5] == b"%PDF-"
    document = PDF(str(path)) if is_pdf else Image(str(path))
    found = document.extract_tables(
        ocr=TesseractOCR(lang=models),
        implicit_rows=True,
        implicit_columns=True,
        borderless_tables=True,
    )
    pages = found.values() if isinstance(found, dict) else [found]
    for page in pages:
        for table in page:
            yield table.df


def _camelot(path: Path, _: str) -> Iterator[Any]:
    import camelot

    found = camelot.read_pdf(str(path), pages="all", flavor="lattice")
    if not len(found):
        found = camelot.read_pdf(str(path), pages="all", flavor="stream")
    for table in found:
        yield table.df


def _rows(frame: Any) -> list[list[str]]:
    return [["" if cell is None else str(cell) for cell in row] for row in frame.values.tolist()]


if __name__ == "__main__":
    main()
