"""The public language names, and which engine and model read each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """One accepted name."""

    name: str
    tesseract: tuple[str, ...]  # Tesseract models, e.g. ("chi_sim",) or ("script/Latin", "epo").
    script: str  # ISO 15924: Latn, Hans, Hant, Jpan, Kore, Cyrl, Arab, ...
    engine: str  # The engine that reads it best: "ppocr" or "tesseract".
