"""What an engine read is found again, and nothing else is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.document import Line
from app.engines.stub import StubEngine
from app.interfaces import Image
from app.languages import Language, parse
from app.readings import Readings

ENGLISH = parse("English")


class Counting(StubEngine):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        self.asked += 1
        return 3

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        self.asked += 1
        return super().recognize(image, languages, dpi)


def noise(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    """Turns and lines, in any order, also of views that are not contiguous."""
    notes, engine = tmp_path / "notes", Counting()
    first = Readings(notes=notes).of(engine)
    said = [first.turns(noise(1), ENGLISH), first.recognize(np.rot90(noise(1)), ENGLISH, 300)]
    said.append(first.recognize(noise(2), ENGLISH, 72))
    asked = engine.asked

    again = Readings(notes).of(engine)
    lines = again.recognize(noise(2), ENGLISH, 72)

    found = [again.turns(noise(1), ENGLISH), again.recognize(np.rot90(noise(1)), ENGLISH, 300)]
    assert [*found, lines] == said
    assert engine.asked == asked


def test_other_pixels_are_read(tmp_path: Path) -> None:
    """Or another shape, another resolution, another question."""
    notes, engine = tmp_path / "notes", Counting()
    Readings(notes=notes).of(engine).recognize(noise(1), ENGLISH, 300)
    again = Readings(notes).of(engine)

    again.recognize(noise(2), ENGLISH, 300)
    again.recognize(noise(1).reshape(60, 40, 3), ENGLISH, 300)
    again.recognize(noise(1), ENGLISH, 299)
    again.turns(noise(1), ENGLISH)

    assert engine.asked == 5


def test_files_can_be_put_behind_each_other(tmp_path: Path) -> None:
    """And one that ends too early still says what is whole."""
    one, other, engine = tmp_path / "one", tmp_path / "other", Counting()
    said = [
        Readings(notes=notes).of(engine).recognize(noise(n), ENGLISH, 72)
        for n, notes in enumerate((one, other))
    ]
    both = one.read_bytes() + other.read_bytes()
    one.write_bytes(both + both[:-7])

    again = Readings(one).of(engine)

    assert [again.recognize(noise(n), ENGLISH, 72) for n in range(2)] == said
    assert engine.asked == 3
