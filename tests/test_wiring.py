from contextlib import closing
from pathlib import Path

import docx
import openpyxl
import pytest

from app import wiring
from app.config import Settings
from app.errors import BadRequest, NotReadHere, State
from app.languages import parse
from app.pipeline import Order


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


def test_documents_are_refused_without_libreoffice(settings: Settings, tmp_path: Path) -> None:
    """OCR_OFFICE=0: as what cannot be read here, unless they can be read by themselves."""
    document, book = tmp_path / "a.docx", tmp_path / "a.xlsx"
    docx.Document().save(str(document))
    openpyxl.Workbook().save(book)
    alone = settings.model_copy(update={"office": False})

    with closing(wiring.pipeline(alone)) as pipeline:
        order = Order("txt", ())
        with pytest.raises(NotReadHere, match="send it as PDF") as refused:
            pipeline.run(order, document, tmp_path, tmp_path / "a.txt", lambda *_: None)
        pipeline.run(order, book, tmp_path, tmp_path / "b.txt", lambda *_: None)

    assert (refused.value.state, refused.value.code) == (State.INVALID_FILE, "not_read_here")
    assert (tmp_path / "b.txt").exists()


def test_every_engine_that_settings_allow_is_there(auto: Settings) -> None:
    """The setting names one of them; none loads a model before its first page."""
    assert set(wiring.engines(auto)) == {"auto", "ppocr", "tesseract", "stub"}
