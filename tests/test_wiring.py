from pathlib import Path

import pytest

from app import wiring
from app.config import Settings
from app.errors import BadRequest
from app.languages import parse


@pytest.fixture
def auto(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a server with the engine "auto" and the Tesseract models eng and kor alone."""
    for model in ("eng", "kor"):
        (tmp_path / f"{model}.traineddata").touch()
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    return settings.model_copy(update={"engine": "auto"})


def test_a_missing_model_is_told_before_the_task(auto: Settings) -> None:
    """The request is refused with the package to install."""
    with pytest.raises(BadRequest, match=r"tesseract-ocr-rus\.$"):
        wiring.check_languages(auto, parse("ChinesePRC,Russian,English"))


@pytest.mark.parametrize("names", ["", "ChinesePRC,German", "Korean", "Korean,ChinesePRC,French"])
def test_models_that_are_not_used_may_be_missing(auto: Settings, names: str) -> None:
    """What ppocr reads needs none, also in company of a language that does."""
    wiring.check_languages(auto, parse(names))


def test_every_engine_that_settings_allow_is_there(auto: Settings) -> None:
    """The setting names one of them; none loads a model before its first page."""
    assert set(wiring.engines(auto)) == {"auto", "ppocr", "tesseract", "stub"}
