import itertools

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from app.engines.ppocr_int8 import Ranges, pointwise, quantize, ranges_of
from app.engines.ppocr_networks import Networks

HAN = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
INPUTS, OUTPUTS = 96, 8


def convolution(weights: np.ndarray, name: str = "first") -> openvino.Model:
    plane = ops.parameter([1, INPUTS, 3, -1], np.float32)
    node = ops.convolution(plane, ops.constant(weights), [1, 1], [0, 0], [0, 0], [1, 1])
    node.set_friendly_name(name)
    return openvino.Model([ops.relu(node)], [plane], "one convolution")


def computed(model: openvino.Model, plane: np.ndarray) -> np.ndarray:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    return np.array(compiled([plane])[0])


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (-0.17, 3.0), (0.0, 3.0)])
def test_integers_stand_for_the_same(low: float, high: float) -> None:
    """Signed inputs, such with a short tail below zero, and positive ones."""
    random = np.random.default_rng(1)
    weights = random.normal(0, 1, (OUTPUTS, INPUTS, 1, 1)).astype(np.float32)
    plane = random.uniform(low, high, (1, INPUTS, 3, 40)).astype(np.float32)
    wanted = computed(convolution(weights), plane)

    model = convolution(weights)
    quantize(openvino, model, {"first": (low, high)})
    found = computed(model, plane)

    assert not np.array_equal(found, wanted)
    assert np.abs(found - wanted).mean() < 0.02 * np.abs(wanted).mean()


def test_large_sums_are_not_cut_off() -> None:
    """Every product is as large as it can be: 16 bits must hold the sum of two."""
    weights = np.ones((OUTPUTS, INPUTS, 1, 1), np.float32)
    plane = np.full((1, INPUTS, 3, 40), 2.0, np.float32)

    model = convolution(weights)
    quantize(openvino, model, {"first": (0.0, 2.0)})

    np.testing.assert_allclose(computed(model, plane), 2.0 * INPUTS, rtol=0.02)


def test_others_stay_as_they_are() -> None:
    """What no range is known for is computed in floats."""
    random = np.random.default_rng(2)
    weights = random.normal(0, 1, (OUTPUTS, INPUTS, 1, 1)).astype(np.float32)
    plane = random.uniform(-1, 1, (1, INPUTS, 3, 40)).astype(np.float32)
    model = convolution(weights, "second")

    quantize(openvino, model, {"first": (-1.0, 1.0)})

    assert np.array_equal(computed(model, plane), computed(convolution(weights), plane))


@pytest.fixture(scope="module")
def both() -> tuple[Networks, Networks]:
    return Networks(1, None, integers=False), Networks(1, None, integers=True)


def test_the_ranges_are_those_of_the_network(both: tuple[Networks, Networks]) -> None:
    ranges: Ranges = ranges_of("recognition")

    names = {node.get_friendly_name() for node in pointwise(both[0].recognition("small"))}

    assert set(ranges) == names
    assert all(low < high for low, high in ranges.values())


def test_reads_the_same(both: tuple[Networks, Networks]) -> None:
    """Floats and integers see the same characters in a line."""
    strip = Pictures.new("RGB", (1120, 48), "white")
    face = ImageFont.truetype(HAN, 34)
    ImageDraw.Draw(strip).text(
        (8, -2), "静夜思：床前明月光，疑是地上霜。Moonlight 1234", "black", face
    )
    pixels = np.asarray(strip)[None]

    texts = []
    for networks in both:
        (columns,) = networks.read([pixels])
        numbers = [number for number, _ in itertools.groupby(columns.best) if number]
        texts.append("".join(networks.alphabet.characters[numbers]))

    assert texts[0] == texts[1]
    assert "疑是地上霜" in texts[0]
