"""What ``doctor`` tries: Tesseract, Poppler, LibreOffice and the recognition of a page."""

import shutil
import time
import zipfile
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from app import languages, proc, sandbox, wiring
from app.cli.finding import Finding, fault, ok, warning
from app.config import Settings
from app.errors import AppError, ToolFailed
from app.pipeline import Order
from app.runner import SAMPLE


def tesseract(settings: Settings) -> Finding:
    """Its models."""
    installed = wiring.installed_models()
    if settings.engine not in ("auto", "tesseract"):
        return ok(f"OCR_ENGINE={settings.engine} does without it")
    readable = [each for each in map(languages.known, languages.names()) if each.engine]
    lacking = [
        each
        for each in readable
        if (settings.engine == "tesseract" or each.engine == "tesseract")
        and not installed.issuperset(each.tesseract)
    ]
    text = f"{len(installed)} models"
    if settings.tesseract_binding == "pytesseract":
        try:
            proc.run(["tesseract", "--version"], timeout_s=10)
        except ToolFailed as error:
            return fault(str(error).rstrip("."), "`apt-get install tesseract-ocr`.")
    if not lacking:
        return ok(f"{text}, for all languages")
    few = ", ".join(each.name for each in lacking[:5]) + (", …" if len(lacking) > 5 else "")
    mend = "`apt-get install tesseract-ocr-all`; `ocr-server languages` tells each one's package."
    return warning(f"{text}; {len(lacking)} languages lack theirs: {few}", mend)


def poppler(settings: Settings) -> Finding:
    """Whether it starts behind its walls; it reads PDFs that PDFium refuses."""
    with TemporaryDirectory(prefix="ocr-doctor-") as name:
        try:
            for program in ("pdfinfo", "pdftoppm"):
                confined = sandbox.strongest().around([program, "-v"], Path(name))
                proc.run(confined, timeout_s=10, cwd=Path(name))
        except ToolFailed as error:
            return fault(str(error).rstrip("."), "`apt-get install poppler-utils`.")
    return ok("it starts within its sandbox")


def office_program(settings: Settings) -> Finding:
    """Whether LibreOffice is there."""
    if not settings.office:
        return _WITHOUT_OFFICE
    found = shutil.which("soffice") or shutil.which("libreoffice")
    if found is None:
        return fault("there is no program soffice: Office documents cannot be read", _OFFICE_MEND)
    return ok(f"{found} is there, and was not tried")


def office(settings: Settings) -> Finding:
    """Whether LibreOffice converts a document, behind its walls."""
    if not settings.office:
        return _WITHOUT_OFFICE
    alone = settings.model_copy(update={"engine": "stub"})
    begun = time.monotonic()
    with TemporaryDirectory(prefix="ocr-doctor-") as name, closing(wiring.pipeline(alone)) as parts:
        folder = Path(name)
        source, target = folder / "a.docx", folder / "a.txt"
        _write_document(source)
        (folder / "work").mkdir()
        try:
            parts.run(Order("txt", ()), source, folder / "work", target, lambda *_: None)
        except AppError as error:
            return fault(
                str(error).rstrip("."), f"{_OFFICE_MEND} The walls may lack a permission, too."
            )
        if _TEXT not in target.read_text(encoding="utf-8"):
            return fault("it lost a document's text", "Install Debian's LibreOffice and fonts.")
    return ok(f"it converts a document within its sandbox, in {time.monotonic() - begun:.1f} s")


def recognition(settings: Settings) -> Finding:
    """Whether the engine reads the sample page."""
    if settings.engine == "stub":
        return warning("OCR_ENGINE=stub invents all text", "Leave it out to recognize documents.")
    devices = ", ".join(f"{name} ({what})" for name, what in wiring.devices().items())
    order = Order("txt", languages.parse("ChinesePRC,English"))
    with TemporaryDirectory(prefix="ocr-doctor-") as name:
        folder = Path(name)
        if not settings.data_dir.is_dir():  # It is not for a doctor to make it.
            settings = settings.model_copy(update={"data_dir": folder})
        times = []
        with closing(wiring.pipeline(settings)) as parts:
            for _ in range(2):
                begun = time.monotonic()
                try:
                    parts.run(order, SAMPLE, folder, folder / "a.txt", lambda *_: None)
                except AppError as error:
                    return fault(f"{str(error).rstrip('.')}; OpenVINO sees {devices}", _REINSTALL)
                times.append(time.monotonic() - begun)
        text = (folder / "a.txt").read_text(encoding="utf-8")
    if _SAMPLE_TEXT not in "".join(text.split()):
        return fault("the sample page was read wrongly", _REINSTALL)
    return ok(
        f"{settings.engine} reads the sample page in {times[1]:.2f} s, after {times[0]:.1f} s for "
        f"the first time; OpenVINO sees {devices}"
    )


_WITHOUT_OFFICE = ok("OCR_OFFICE=0 does without it: documents that need it are refused")
_OFFICE_MEND = (
    "`apt-get install --no-install-recommends libreoffice-writer-nogui libreoffice-calc-nogui "
    "libreoffice-impress-nogui libreoffice-math-nogui python3-uno`."
)
_REINSTALL = "Install the packages anew, as `doctor` says of them; OCR_LOG_LEVEL=debug tells more."
_SAMPLE_TEXT = "文档识别"
_TEXT = "It works."
_MAIN = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/word/document.xml" ContentType="{_WORD}"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="a" '
    f'Type="{_OFFICE}" Target="word/document.xml"/></Relationships>',
    "word/document.xml": f'<w:document xmlns:w="{_MAIN}"><w:body><w:p><w:r><w:t>{_TEXT}</w:t>'
    "</w:r></w:p></w:body></w:document>",
}


def _write_document(path: Path) -> None:
    """The least that is a Word document."""
    with zipfile.ZipFile(path, "w") as package:
        for name, content in _PARTS.items():
            package.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{content}')
