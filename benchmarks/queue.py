"""How many ids a second go through the task queue; ``OCR_QUEUE_URL`` names another than SQLite."""

import os
import tempfile
import time
from pathlib import Path

from app.queue import HueyQueue

_IDS = 5000


def main() -> None:
    """Put and get, one process."""
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as folder:
        queue = HueyQueue(os.environ.get("OCR_QUEUE_URL", ""), Path(folder))
        began = time.perf_counter()
        for n in range(_IDS):
            queue.put(str(n), n)
        put = time.perf_counter()
        for _ in range(_IDS):
            queue.get(1)
        got = time.perf_counter()
        queue.close()
    print(f"queue: {_IDS / (put - began):.0f} puts/s, {_IDS / (got - put):.0f} gets/s")


if __name__ == "__main__":
    main()
