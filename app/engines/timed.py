"""An engine whose time is noted under its name, also when another asks it for parts of the work."""

from collections.abc import Sequence
from typing import Any

from app.context import step
from app.document import Line
from app.interfaces import Image
from app.languages import Language


class TimedEngine:
    """Does as ``engine`` does, whatever that can do beside what all engines can."""

    def __init__(self, name: str, engine: Any) -> None:
        self._name = name
        self._engine = engine

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        """How many quarter turns to the left set the page upright."""
        with step("turn", self._name):
            return int(self._engine.turns(image, languages))

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """The lines found on the upright ``image``. Raises TimedOut, InternalError."""
        with step("recognize", self._name):
            return list(self._engine.recognize(image, languages, dpi))

    def find(self, image: Image, *, careful: bool = False) -> Any:
        """Where text stands."""
        with step("recognize", self._name):
            return self._engine.find(image, careful=careful)

    def read(self, image: Image, pieces: Any, languages: Sequence[Language]) -> Any:
        """What stands at each of ``pieces``."""
        with step("recognize", self._name):
            return self._engine.read(image, pieces, languages)

    def prepare(self) -> bool:
        """Do a little that makes later pages quicker."""
        return bool(self._engine.prepare())
