"""Turns runs into one Markdown table, and into JSON with the figures of each file."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

from benchmarks.measure import FileResult, Run

ENGINE, SERVER = "engine", "ocr-server"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: one system on one group of files, or on several together."""

    group: str
    system: str
    pages_per_s: float
    p50_s: float | None
    p95_s: float | None
    cpu_s_per_page: float
    cer: float | None
    worst_cer: float | None
    worst_file: str
    f1: float | None
    peak_mb: float
    failed: int


def rows(runs: Sequence[Run], drawn: Sequence[str]) -> list[Row]:
    """The groups in the order they were measured; first, what all ``drawn`` ones give together."""
    groups = list(dict.fromkeys(run.group for run in runs))
    systems = list(dict.fromkeys(run.system for run in runs))
    found = []
    pages = [group for group in groups if group in drawn]
    together = [("all pages", pages)] if len(pages) > 1 else []
    for title, members in [*together, *((group, [group]) for group in groups)]:
        for system in systems:
            chosen = [run for run in runs if run.system == system and run.group in members]
            found.append(_row(title, system, chosen))
    return found


def markdown(table: Sequence[Row], hows: Mapping[str, str], about: Mapping[str, str]) -> str:
    """The table, the machine above it, and how each system was run below it."""
    lines = [", ".join(f"{name} {value}" for name, value in about.items()), ""]
    heads = "pages/s|p50 s|p95 s|CPU s/page|CER %|worst %|F1 %|peak MB|failed"
    lines.append(f"| files | system | {' | '.join(heads.split('|'))} |")
    lines.append("|---|---|" + "--:|" * len(heads.split("|")))
    for row in table:
        cells = [
            f"{row.pages_per_s:.2f}",
            _shown(row.p50_s, ".2f"),
            _shown(row.p95_s, ".2f"),
            f"{row.cpu_s_per_page:.2f}",
            _shown(row.cer, ".2f", 100),
            _shown(row.worst_cer, ".2f", 100),
            _shown(row.f1, ".2f", 100),
            f"{row.peak_mb:.0f}",
            str(row.failed),
        ]
        lines.append(f"| {row.group} | {row.system} | {' | '.join(cells)} |")
    lines += ["", *(f"- {name}: {how}" for name, how in hows.items())]
    lines += [f"- {line}" for line in _overheads(table)]
    lines.append(
        "- pages/s with the queue full; p50 and p95 of one page with one waiting client. Peak MB: "
        "all processes of the system together, shared pages counted once."
    )
    return "\n".join(lines) + "\n"


def as_json(
    runs: Sequence[Run], table: Sequence[Row], hows: Mapping[str, str], about: Mapping[str, str]
) -> dict[str, object]:
    """Everything that was measured."""
    return {
        "about": dict(about),
        "systems": dict(hows),
        "table": [asdict(row) for row in table],
        "runs": [asdict(run) for run in runs],
    }


def machine() -> dict[str, str]:
    """The processor, and how busy it is."""
    described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in described if line.startswith("model name")]
    return {
        "processor": names[0] if names else "unknown",
        "cores": str(len(os.sched_getaffinity(0))),
        "load at the start": f"{os.getloadavg()[0]:.1f}",
    }


def _row(title: str, system: str, runs: Sequence[Run]) -> Row:
    pages = sum(run.pages for run in runs)
    seconds = [second for run in runs for second in run.latencies_s]
    files = [file for run in runs for file in run.files]
    worst = max(files, key=_cer)
    scored = system != ENGINE  # Its lines are not in reading order yet.
    return Row(
        title,
        system,
        pages / sum(run.seconds for run in runs),
        median(seconds) if seconds else None,
        sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1] if seconds else None,
        sum(run.cpu_s for run in runs) / pages,
        fmean(map(_cer, files)) if scored else None,
        worst.cer if scored else None,
        worst.file if scored else "",
        fmean(file.f1 for file in files) if scored else None,
        max(run.peak_bytes for run in runs) / 2**20,
        sum(bool(file.error) for file in files),
    )


def _cer(file: FileResult) -> float:
    return file.cer


def _overheads(table: Sequence[Row]) -> list[str]:
    """What stands between the engine and the client, as a share of the engine's speed."""
    speeds = {(row.group, row.system): row.pages_per_s for row in table}
    shares = [
        f"{group} {1 - speeds[group, SERVER] / speed:.0%}"
        for (group, system), speed in speeds.items()
        if system == ENGINE and (group, SERVER) in speeds
    ]
    return [f"Lost between engine and client: {', '.join(shares)}"] if shares else []


def _shown(value: float | None, form: str, scale: float = 1) -> str:
    return "–" if value is None else format(value * scale, form)
