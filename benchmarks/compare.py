"""Reads the same files with our server and with other OCR programs, and prints one table.

Usage: python -m benchmarks.compare [--pages N] [--systems NAME ...] [--corpus DIR] ...

Every system reads a group of files (a language, a category) before the next group begins, so that
whatever else the machine does falls on all of them. The table, the figures of each file and the
plot go to benchmarks/results/.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import app
from app import proc
from benchmarks import corpus, pages, report, systems
from benchmarks.measure import Run, measure
from benchmarks.samples import Sample

_RESULTS = Path(__file__).with_name("results")
_SCREENS = 10  # Times that the one picture of a screen is read.


def main() -> None:
    """Measure, print, and keep."""
    arguments = _arguments()
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **report.machine()}
    about |= {"ocr-server": app.__version__, **systems.versions()}
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as name:
        folder = Path(name)
        groups = _groups(_samples(arguments, folder))
        with systems.started(arguments.systems, folder, arguments.as_is) as chosen:
            hows = {system.name: system.how for system in chosen}
            runs = _measured(chosen, groups, arguments.waited_for)
    table = report.rows(runs, tuple(pages.LANGUAGES))
    text = report.markdown(table, hows, about)
    print(text)
    _keep(text, report.as_json(runs, table, hows, about), arguments.results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=4, help="drawn pages for each language")
    parser.add_argument(
        "--languages", nargs="*", choices=pages.LANGUAGES, default=list(pages.LANGUAGES)
    )
    parser.add_argument(
        "--systems", nargs="+", choices=systems.NAMES, default=list(systems.NAMES), metavar="NAME"
    )
    parser.add_argument("--no-screen", action="store_true", help="leave the phone's screen out")
    parser.add_argument("--corpus", type=Path, help="folder with a manifest.jsonl")
    parser.add_argument("--categories", nargs="*", default=[], help="those of the corpus alone")
    parser.add_argument(
        "--as-is", action="store_true", help="send our server PDF files, not pictures of the pages"
    )
    parser.add_argument(
        "--waited-for", type=int, default=2, help="files of a group that a single client sends"
    )
    parser.add_argument("--results", type=Path, default=_RESULTS)
    return parser.parse_args()


def _samples(arguments: argparse.Namespace, folder: Path) -> list[Sample]:
    found = pages.draw(folder, arguments.pages, arguments.languages)
    if not arguments.no_screen:
        found += [pages.draw_screen(folder)] * _SCREENS
    if arguments.corpus is not None:
        found += corpus.samples(arguments.corpus, folder, arguments.categories)
    if not found:
        raise SystemExit("There is nothing to read.")
    return found


def _groups(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(sample)
    return groups


def _measured(
    chosen: Sequence[systems.System], groups: dict[str, list[Sample]], waited_for: int
) -> list[Run]:
    first = next(iter(groups.values()))[:1]
    for system in chosen:
        if system.stays:
            measure(system, first, 0)
    runs = []
    for turn, (group, samples) in enumerate(groups.items()):
        start = turn % len(chosen)
        for system in (*chosen[start:], *chosen[:start]):
            # The screen is there for the latency: every time counts.
            run = measure(system, samples, _SCREENS if group == "phone" else waited_for)
            runs.append(run)
            print(f"{group}: {system.name}, {run.seconds:.1f} s", file=sys.stderr, flush=True)
    return sorted(runs, key=lambda run: [system.name for system in chosen].index(run.system))


def _keep(text: str, figures: dict[str, object], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / f"compare-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    path.write_text(json.dumps(figures, ensure_ascii=False, indent=1), encoding="utf-8")
    # -P: the script's folder holds a module with the name of one of the standard library.
    command = [systems.PEERS / "python", "-P", Path(__file__).with_name("plot.py"), path]
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as home:
        proc.run(list(map(str, command)), timeout_s=120, cwd=Path(home))
    print(f"Kept in {path.parent}: {path.stem} as .md, .json, .svg and .png")


if __name__ == "__main__":
    main()
