"""Measures which values go into the convolutions of the recognition network, for 8-bit integers.

Usage: python -m benchmarks.calibrate [--pages N]

Reads a few strips of each page that ``benchmarks.pages`` draws with the network as it comes, and
writes the ranges to app/engines/ppocr_ranges.json. To be run again when the network changes.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openvino
from PIL import Image as Pictures

from app.engines import ppocr_int8
from app.engines.ppocr_detect import GLANCE, find_text
from app.engines.ppocr_networks import Networks
from app.engines.ppocr_read import Columns, read_text
from app.interfaces import Image
from benchmarks.pages import draw

_STRIPS = 6  # Of each page.
_KEPT = 0.9999  # Of the values of a strip; the rest is cut off, for finer steps between the others.


def main() -> None:
    """Write the ranges."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=4)
    arguments = parser.parse_args()
    networks = Networks(1, None, integers=False)
    with TemporaryDirectory(prefix="ocr-bench-") as folder:
        strips = [
            strip
            for sample in draw(Path(folder), arguments.pages)
            for strip in _strips(networks, sample.pictures[0])
        ]
    path = Path(ppocr_int8.__file__).with_name("ppocr_ranges.json")
    text = json.dumps({"recognition": _ranges(networks, strips)}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"{path}: from {len(strips)} strips")


def _strips(networks: Networks, picture: Path) -> Sequence[Image]:
    with Pictures.open(picture) as opened:
        image = np.asarray(opened.convert("RGB"))
    kept: list[Image] = []

    def reader(strips: Iterable[Image]) -> Sequence[Columns]:
        kept.extend(strips)
        return networks.draft(kept)

    read_text(image, find_text(image, networks.glance, GLANCE), reader, networks.alphabet)
    chosen = np.linspace(0, len(kept) - 1, min(_STRIPS, len(kept))).round().astype(int)
    return [kept[number] for number in chosen]


def _ranges(networks: Networks, strips: Sequence[Image]) -> dict[str, list[float]]:
    model = networks.recognition("small")
    nodes = list(ppocr_int8.pointwise(model))
    inputs = [openvino.opset13.result(node.input_value(0)) for node in nodes]
    seen = openvino.Model(inputs, model.get_parameters(), "inputs")
    compiled = openvino.Core().compile_model(seen, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    lowest, highest = np.zeros(len(nodes)), np.zeros(len(nodes))
    for strip in strips:
        found = compiled([strip])
        for number in range(len(nodes)):
            values = found[number]
            lowest[number] = min(lowest[number], values.min())
            highest[number] = max(highest[number], np.quantile(np.abs(values), _KEPT))
    lowest = np.maximum(lowest, -highest)
    return {
        node.get_friendly_name(): [round(float(low), 4), round(float(high), 4)]
        for node, low, high in zip(nodes, lowest, highest, strict=True)
    }


if __name__ == "__main__":
    main()
