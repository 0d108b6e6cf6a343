"""Plots speed against errors as SVG and PNG; started with the Python of the peers.

Usage: python -P benchmarks/plot.py RESULTS.json
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

_LOOKS = {  # Colour and marker; the colours stay apart for colour-blind readers.
    "ocr-server": ("#d55e00", "o"),
    "ocrmypdf": ("#0072b2", "s"),
    "tesseract": ("#009e73", "^"),
    "rapidocr": ("#cc79a7", "D"),
}
_LEAST_CER = 0.0005  # Where no error was made, a logarithmic axis needs something to show.


def main() -> None:
    """A panel for each group of files."""
    results = Path(sys.argv[1])
    table = [
        row for row in json.loads(results.read_text("utf-8"))["table"] if row["system"] in _LOOKS
    ]
    groups = list(dict.fromkeys(row["group"] for row in table))
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure = Figure((4.2 * columns, 3.4 * lines + 0.6))
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for panel, group in zip(panels.flat, groups, strict=False):
        _draw(panel, group, [row for row in table if row["group"] == group])
    for panel in panels.flat[len(groups) :]:
        panel.set_visible(False)
    figure.supxlabel("pages per second, queue full (faster →)")
    figure.supylabel(
        f"character error rate, % (fewer errors ↓; none: drawn at {100 * _LEAST_CER:g})"
    )
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    for suffix in (".svg", ".png"):
        figure.savefig(results.with_suffix(suffix), dpi=150)


def _draw(panel: Any, group: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        colour, marker = _LOOKS[row["system"]]
        panel.scatter(
            row["pages_per_s"],
            max(row["cer"], _LEAST_CER),
            s=90,
            c=colour,
            marker=marker,
            label=row["system"],
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
        )
    panel.set_title(group, fontsize=11)
    panel.set(xscale="log", yscale="log")
    panel.grid(which="both", color="#e5e5e5", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelbottom=True, labelleft=True)
    for axis, scale in ((panel.xaxis, 1), (panel.yaxis, 100)):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(partial(_number, scale)))
        axis.set_minor_formatter(NullFormatter())


def _number(scale: float, value: float, _: int) -> str:
    return f"{scale * value:g}"


if __name__ == "__main__":
    main()
