"""Reads documents with a library, kreuzberg or pdfium; started with the Python of the peers.

The first argument names it.
"""

import sys
import time
from pathlib import Path

from benchmarks.runner import serve


def main() -> None:
    """Load what is needed, then answer."""
    text_of = {"kreuzberg": _kreuzberg, "pdfium": _pdfium}[sys.argv[1]]

    def read(path: Path, _: str) -> tuple[str, float]:
        began = time.perf_counter()
        text = text_of(path)
        return text, time.perf_counter() - began

    serve(read)


def _kreuzberg(path: Path) -> str:
    from kreuzberg import ExtractionConfig, extract_file_sync

    # As it comes: it recognizes nothing unless told to. Its cache would know a file's second run.
    return str(extract_file_sync(path, config=ExtractionConfig(use_cache=False)).content)


def _pdfium(path: Path) -> str:
    import pypdfium2

    with pypdfium2.PdfDocument(path) as pdf:
        return "\f".join(page.get_textpage().get_text_range() for page in pdf)


if __name__ == "__main__":
    main()
