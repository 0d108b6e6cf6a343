"""Damaged files through the pipeline: success or an error that a caller understands.

Usage: python -m fuzz.files [--seconds S] [--seed N] [--kinds KIND ...] [--corpus DIR] [FILE ...]

Each case is a damaged file, one of the formats, and sometimes the real engines. Anything else that
comes of it, a dead process, a hang, or much memory, is a finding. The first files of each go to
the folder fuzz-findings, with the command that shows it again. With FILEs, these are read as they
are, once for each format or as ``--format`` and the like say.
"""

import argparse
import itertools
import logging
import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fuzz import seeds
from fuzz.mutate import mutated
from fuzz.pool import Case, Finding, Reader
from fuzz.seeds import PASSWORD, Seed

FORMATS = ("txt", "pdf", "docx", "xlsx", "pptx")
FINDINGS = Path("fuzz-findings")
_KEPT = 3  # Files of the same finding.
_READERS = 2
_REAL = 0.03
# Those that LibreOffice reads take a hundred times as long as others.
_OFTEN = {"pdf": 20, "xlsx": 8, "docx": 3, "pptx": 2} | dict.fromkeys(
    ("png", "jpeg", "gif", "bmp", "tiff", "webp"), 6
)


def main() -> None:
    """Read files until the time is over; the exit status tells whether there are findings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, help="for the same cases again; else by the clock")
    parser.add_argument("--kinds", nargs="*", help="of files, such as pdf or docx")
    parser.add_argument("--corpus", type=Path, help="a folder with more files to damage")
    parser.add_argument("--real", type=float, default=_REAL, help="share with the real engines")
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--pdfa", action="store_true")
    parser.add_argument("--password")
    parser.add_argument("--engine", default="stub")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    logging.disable()  # What libraries say of files that are damaged already.
    tally = _Tally()
    if arguments.files:
        first = Case("", "", arguments.mode, arguments.pdfa, arguments.password, arguments.engine)
        forms = [arguments.format] if arguments.format else FORMATS
        _read_again(arguments.files, [replace(first, format=form) for form in forms], tally)
    else:
        seed = time.time_ns() if arguments.seed is None else arguments.seed
        print(f"seed {seed}", flush=True)
        chosen = seeds.simple() + seeds.old()
        if arguments.corpus is not None:
            chosen += seeds.found(arguments.corpus)
        if arguments.kinds:
            chosen = [each for each in chosen if each.kind in arguments.kinds]
        forms = [arguments.format] if arguments.format else FORMATS
        _fuzz(cases(chosen, seed, arguments.real, forms), arguments.seconds, tally)
    tally.show()
    sys.exit(bool(tally.findings))


def fuzz(chosen: Sequence[Seed], seed: int, seconds: float) -> list[str]:
    """Read cases for so many seconds; what was found."""
    tally = _Tally()
    _fuzz(cases(chosen, seed, _REAL), seconds, tally)
    tally.show()
    return list(tally.findings)


@dataclass(frozen=True, slots=True)
class Made:
    """A case that was made, and its file."""

    kind: str
    data: bytes
    case: Case  # With no path yet.


def cases(
    chosen: Sequence[Seed], seed: int, real: float = 0, forms: Sequence[str] = FORMATS
) -> Iterator[Made]:
    """Cases without end, the same for the same ``seed``."""
    kinds = sorted({each.kind for each in chosen})
    weights = [_OFTEN.get(kind, 1) for kind in kinds]
    for number in itertools.count():
        rng = Random(f"{seed}:{number}")
        kind = rng.choices(kinds, weights)[0]
        same = [each for each in chosen if each.kind == kind]
        plain = rng.choice(same)
        form = rng.choice(forms)
        case = Case(
            "",
            form,
            rng.choice(("auto", "auto", "auto", "force", "skip")),
            form == "pdf" and rng.random() < 0.3,
            PASSWORD if plain.locked else None,
            "auto" if rng.random() < real else "stub",
        )
        yield Made(kind, mutated(plain.data, kind, rng, [each.data for each in same]), case)


class _Tally:
    """What came of the cases."""

    def __init__(self) -> None:
        self.ends: dict[str, Counter[str]] = {}
        self.slowest: dict[str, float] = {}
        self.findings: Counter[str] = Counter()

    def add(self, kind: str, end: str, seconds: float, finding: Finding | None) -> None:
        self.ends.setdefault(kind, Counter())[end] += 1
        self.slowest[kind] = max(seconds, self.slowest.get(kind, 0))
        if finding is not None:
            self.findings[finding.what] += 1

    def show(self) -> None:
        for kind, ends in sorted(self.ends.items()):
            told = ", ".join(f"{n} {end}" for end, n in ends.most_common())
            print(
                f"{kind:5} {sum(ends.values()):6} cases, slowest {self.slowest[kind]:.1f} s: {told}"
            )
        for what, count in self.findings.most_common():
            print(f"FINDING {count} x {what}")
        print(f"{len(self.findings)} findings")


def _fuzz(endless: Iterator[Made], seconds: float, tally: _Tally) -> None:
    until = time.monotonic() + seconds

    def read() -> None:
        with TemporaryDirectory(prefix="ocr-fuzz-") as name, closing(Reader()) as reader:
            while time.monotonic() < until:
                made = taken()
                path = Path(name, "file")
                path.write_bytes(made.data)
                case = replace(made.case, path=str(path))
                end, finding, took = reader.read(case)
                tally.add(made.kind, end, took, finding)
                if finding is not None and tally.findings[finding.what] <= _KEPT:
                    _keep(made, finding)

    def taken() -> Made:
        with lock:
            return next(endless)

    lock = threading.Lock()
    with ThreadPoolExecutor(_READERS) as readers:
        for each in [readers.submit(read) for _ in range(_READERS)]:
            each.result()


def _keep(made: Made, finding: Finding) -> None:
    """Write the file down, and how to see what it does."""
    FINDINGS.mkdir(exist_ok=True)
    path = FINDINGS / f"{sha256(made.data).hexdigest()[:12]}.{made.kind}"
    path.write_bytes(made.data)
    case = made.case
    command = ["python", "-m", "fuzz.files", "--format", case.format, "--mode", case.mode]
    command += ["--engine", case.engine, *(["--pdfa"] if case.pdfa else [])]
    command += [*(["--password", case.password] if case.password else []), str(path)]
    told = f"{finding.what}\n{shlex.join(command)}\n\n{finding.trace}\n"
    path.with_suffix(path.suffix + ".txt").write_text(told, encoding="utf-8")
    print(f"FINDING {finding.what}\n  {shlex.join(command)}", flush=True)


def _read_again(files: Sequence[Path], wanted: Sequence[Case], tally: _Tally) -> None:
    with closing(Reader()) as reader:
        for path in files:
            for case in wanted:
                end, finding, took = reader.read(replace(case, path=str(path.resolve())))
                tally.add(case.format, end, took, finding)
                if finding is not None:
                    print(f"{path} as {case.format}: {finding.what}\n{finding.trace}")


if __name__ == "__main__":
    main()
