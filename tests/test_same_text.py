"""The same content gives the same text, whatever kind of file it comes in."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docx
import PIL.Image
import pypdfium2
import pytest
from docx.oxml.ns import qn
from docx.shared import Pt

from app import media, wiring
from app.config import Settings
from app.converters.office_program import OfficeProgram
from app.languages import parse
from app.pipeline import Order, Pipeline
from benchmarks.metrics import character_error_rate

pytestmark = pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)

TEXTS = [
    "关于加强档案管理工作的通知",
    "各部门应当在每年的第一季度完成上一年度文件的整理与归档，并于四月三十日之前将目录报送办公室。"
    "逾期未报的，由办公室统一催办；确有困难的，可以书面申请延期，最长不超过三十天。",
    "The archive keeps every document for at least ten years after the end of the contract, unless "
    "the law asks for a longer time. Copies on paper are destroyed once they have been scanned and "
    "checked by two persons.",
    "联系人：王晓明，电话 010-62345678，地址：北京市海淀区中关村大街 27 号。",
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with closing(wiring.pipeline(Settings(data_dir=tmp_path_factory.mktemp("data")))) as built:
        yield built


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page as Word's format, as a PDF with text, as a scanned one, and as a picture."""
    folder = tmp_path_factory.mktemp("files")
    document = docx.Document()
    for text in TEXTS:
        run = document.add_paragraph().add_run(text)
        run.font.size, run.font.name = Pt(12), "Liberation Serif"
        run._r.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), "Noto Sans CJK SC")
    word = folder / "page.docx"
    document.save(str(word))
    with closing(OfficeProgram(timeout_s=60)) as office:
        pdf = office.convert(word, media.DOCX, media.PDF, folder)
    with closing(pypdfium2.PdfDocument(pdf)) as opened:
        image: PIL.Image.Image = opened[0].render(scale=200 / 72).to_pil()
    scan, picture = folder / "scan.pdf", folder / "page.png"
    image.save(scan, resolution=200)
    image.save(picture, dpi=(200, 200))
    return {"docx": word, "pdf": pdf, "scan": scan, "png": picture}


@pytest.mark.parametrize("kind", ["docx", "pdf", "scan", "png"])
def test_one_character_in_a_hundred_differs_at_most(
    kind: str, files: dict[str, Path], pipeline: Pipeline, tmp_path: Path
) -> None:
    target = tmp_path / "out.txt"

    outcome = pipeline.run(
        Order("txt", parse("ChinesePRC,English")), files[kind], tmp_path, target, lambda *_: None
    )

    found = target.read_text(encoding="utf-8")
    assert character_error_rate(found, "".join(TEXTS)) <= 0.01, found
    assert outcome.recognized == (kind in ("scan", "png"))
