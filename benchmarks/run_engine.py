"""Reads pictures with our engines in this process: no HTTP, queue, storage, layout or writer.

Usage: python -m benchmarks.run_engine DATA_DIR
"""

import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from app.config import Settings
from app.languages import parse
from app.wiring import engines
from benchmarks.runner import serve


def main() -> None:
    """Answer; the seconds are those of the engine, without decoding the picture."""
    engine = engines(Settings(data_dir=Path(sys.argv[1])))["auto"]
    while engine.prepare():
        pass

    def read(path: Path, language: str) -> tuple[str, float]:
        with Image.open(path) as picture:
            dpi = float(picture.info.get("dpi", (72,))[0])
            pixels = np.asarray(picture.convert("RGB"))
        languages = parse(language)
        began = time.perf_counter()
        lines = engine.recognize(pixels, languages, dpi)
        return "\n".join(line.text for line in lines), time.perf_counter() - began

    serve(read)


if __name__ == "__main__":
    main()
