"""A process that makes results of files, as a worker does, and says what came of each.

Started by ``fuzz.pool``. Each line of its standard input is a case in JSON; each line that it
writes is what came of one: how it ended, how much more memory it took, and how long.
"""

import faulthandler
import json
import logging
import os
import sys
import time
import traceback
import warnings
import zipfile
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pikepdf
import pypdfium2

from app import wiring
from app.config import Settings
from app.errors import AppError
from app.languages import parse
from app.package import parse as parse_xml
from app.pipeline import Order, Pipeline
from app.reading import Mode
from fuzz.pool import MOST_PAGES, MOST_PIXELS


def main() -> None:
    """Answer until standard input ends."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable()
    # What libraries print is not to be taken for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with TemporaryDirectory(prefix="ocr-fuzz-") as name, closing(_Pipelines(Path(name))) as made:
        for line in sys.stdin:
            print(json.dumps(_case(json.loads(line), made)), file=answers, flush=True)


class _Pipelines:
    """One with each engine, made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Pipeline] = {}

    def of(self, engine: str) -> Pipeline:
        if engine not in self._made:
            settings = Settings.model_validate(
                {
                    "engine": engine,
                    "data_dir": self._folder,
                    "max_pixels": MOST_PIXELS,
                    "max_pages": MOST_PAGES,
                    "page_timeout_s": 20,
                    "office_timeout_s": 40,
                }
            )
            self._made[engine] = wiring.pipeline(settings)
        return self._made[engine]

    def close(self) -> None:
        for pipeline in self._made.values():
            pipeline.close()


def _case(case: dict[str, Any], pipelines: _Pipelines) -> dict[str, Any]:
    pipeline = pipelines.of(case["engine"])
    order = Order(
        case["format"], parse("ChinesePRC,English"), case["password"], case["pdfa"],
        Mode(case["mode"]),
    )  # fmt: skip
    before, began = _held(), time.monotonic()
    with TemporaryDirectory(prefix="ocr-fuzz-") as name:
        target = Path(name, "result")
        work = Path(name, "work")
        work.mkdir()
        ended: dict[str, Any] = {"end": "complete"}
        try:
            pipeline.run(order, Path(case["path"]), work, target, lambda *_: None)
        except AppError as error:
            ended = {"end": error.code}
        except BaseException as error:
            ended = {"end": "error", "where": _where(error), "trace": traceback.format_exc()}
        else:
            try:
                _check(target, order.format)
            except Exception as error:
                ended = {
                    "end": "unreadable result",
                    "where": f"{order.writer}: {type(error).__name__}",
                    "trace": traceback.format_exc(),
                }
    held = _held()
    return {
        **ended,
        "seconds": time.monotonic() - began,
        "bytes": _peak() - before["VmRSS"],
        "files": held["files"] - before["files"],
    }


def _check(result: Path, form: str) -> None:
    """Raise whatever a damaged result makes its readers raise."""
    if form == "txt":
        result.read_bytes().decode()
    elif form == "pdf":
        with pikepdf.open(result) as pdf:
            if not len(pdf.pages):
                return  # PDFium opens none without pages.
        with pypdfium2.PdfDocument(result) as opened:
            len(opened)
    else:
        with zipfile.ZipFile(result) as archive:
            for part in archive.infolist():
                content = archive.read(part)
                if part.filename.endswith((".xml", ".rels")):
                    parse_xml(content)


def _where(error: BaseException) -> str:
    """The kind of error, and the last line of ours that it came through."""
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if "/app/" in each.filename
    ]
    place = f"{frames[-1].filename.rpartition('/app/')[2]}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} {place}"


def _held() -> dict[str, int]:
    """The memory held, in bytes, and the number of open files; the highest mark begins anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return {"VmRSS": _status("VmRSS"), "files": len(list(Path("/proc/self/fd").iterdir()))}


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
