"""Lets a network compute in 8-bit integers where the processor has no 16-bit floats.

The networks are stored in floats; what becomes integer is said by the ranges that the inputs of
their convolutions have on real text (``benchmarks/calibrate.py`` measures them).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ranges = Mapping[str, tuple[float, float]]
"""The lowest and the highest input of each convolution, by the name of that."""


def ranges_of(network: str) -> Ranges:
    """What was measured for ``network``."""
    measured = json.loads(Path(__file__).with_name("ppocr_ranges.json").read_text())
    return {name: (low, high) for name, (low, high) in measured[network].items()}


def pointwise(model: Any) -> Iterator[Any]:
    """The 1 x 1 convolutions of ``model`` over a plane: three quarters of the work."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Convolution":
            kernel = [side.get_length() for side in node.input_value(1).get_partial_shape()]
            width = node.input_value(0).get_partial_shape()[3]
            # Below that many inputs integers gain nothing; a width of 1 is a mean over the plane.
            if kernel[1] >= _LEAST_INPUTS and kernel[2:] == [1, 1] and width != 1:
                yield node


def quantize(openvino: Any, model: Any, ranges: Ranges) -> None:
    """Make those convolutions of ``model`` integer that ``ranges`` names."""
    ops = openvino.opset13
    inputs: dict[object, Any] = {}
    for node in pointwise(model):
        if node.get_friendly_name() not in ranges:
            continue
        low, high = ranges[node.get_friendly_name()]
        # What GELU lets through has a short tail below zero. Moved up by that, it fills all
        # 256 levels instead of half of them; the bias then takes it away again.
        positive = -low < _SHORT_TAIL * high
        moved = max(0.0, -low) if positive else 0.0
        source = node.input_value(0)
        key = source.get_node().get_friendly_name(), source.get_index()
        if key not in inputs:
            bounds = (0.0, high + moved) if positive else (-high * 128 / 127, high)
            plane = ops.add(source, _constant(ops, moved)).output(0) if moved else source
            inputs[key] = _rounded(ops, plane, *bounds, levels=256)
        node.input(0).replace_source_output(inputs[key])
        weights = node.input_value(1).get_node().get_data()
        most = _safe(weights)
        node.input(1).replace_source_output(
            _rounded(ops, node.input_value(1), -most, most, levels=255)
        )
        if moved:
            readers = list(node.output(0).get_target_inputs())
            kept = np.round(weights / most * 127) * most / 127
            bias = -moved * kept.sum(axis=(1, 2, 3)).reshape(1, -1, 1, 1)
            back = ops.add(node.output(0), _constant(ops, bias)).output(0)
            for reader in readers:
                reader.replace_source_output(back)
    model.validate_nodes_and_infer_types()


_LEAST_INPUTS = 96
_SHORT_TAIL = 0.25  # Of what is above zero.


def _safe(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest weight of each output, as the integer 127 stands for it.

    Without VNNI a processor adds two products, of inputs side by side, in 16 bits: 255 * 128 is
    the most these hold, so no two weights may come to more than 128 together. Rounding may make
    it 129: where both inputs are at their highest, 0.4 % of the sum is then cut off.
    """
    sizes = np.abs(weights).reshape(len(weights), weights.shape[1] // 2, 2)
    pairs = sizes.sum(axis=2).max(axis=1) * 127 / 128
    largest = np.maximum(sizes.max(axis=(1, 2)), pairs).reshape(-1, 1, 1, 1)
    return np.asarray(largest, np.float32)


def _rounded(
    ops: Any,
    source: Any,
    low: float | NDArray[np.float32],
    high: float | NDArray[np.float32],
    levels: int,
) -> Any:
    bounds = _constant(ops, low), _constant(ops, high)
    return ops.fake_quantize(source, *bounds, *bounds, levels).output(0)


def _constant(ops: Any, values: float | NDArray[np.float32]) -> Any:
    return ops.constant(np.asarray(values, np.float32).reshape(np.shape(values) or (1, 1, 1, 1)))
