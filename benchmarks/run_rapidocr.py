"""Reads pictures with RapidOCR as it comes; started with the Python of the peers."""

import time
from pathlib import Path

from rapidocr import RapidOCR

from benchmarks.runner import serve


def main() -> None:
    """Load the models, then answer."""
    engine = RapidOCR()

    def read(path: Path, _: str) -> tuple[str, float]:
        began = time.perf_counter()
        found = engine(path)
        return "\n".join(found.txts or ()), time.perf_counter() - began

    serve(read)


if __name__ == "__main__":
    main()
