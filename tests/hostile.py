"""Office files that ask for what is not in them: files of the server, and addresses."""

import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import docx
import openpyxl
import PIL.Image
import pptx
from pptx.util import Inches

INK = (255, 0, 255)
"""The colour of the picture that no result may show."""

WORDS = "Forbidden words"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def secrets(folder: Path) -> None:
    """Make the picture and the text that are not to be had."""
    PIL.Image.new("RGB", (200, 200), INK).save(folder / "secret.png")
    (folder / "secret.txt").write_text(WORDS)
    document = docx.Document()
    document.add_paragraph(WORDS)
    document.save(str(folder / "secret.docx"))


def word_picture(path: Path, base: str) -> Path:
    """A picture that is linked."""
    document = docx.Document()
    document.add_paragraph("Harmless")
    document.add_picture(str(_seed(path)), width=Inches(2))
    document.save(str(path))
    return _changed(
        path,
        {
            "word/document.xml": lambda text: text.replace("r:embed=", "r:link="),
            "word/_rels/document.xml.rels": lambda text: text.replace(
                'Target="media/image1.png"', f'Target="{base}/secret.png" TargetMode="External"'
            ),
        },
    )


def word_relations(path: Path, base: str) -> Path:
    """A template, an object, and a frame of another document."""
    document = docx.Document()
    document.add_paragraph("Harmless")
    document.save(str(path))
    kinds = {"oleObject": "secret.docx", "frame": "secret.docx", "aFChunk": "secret.txt"}
    main = "".join(
        f'<Relationship Id="x{kind}" Type="{_OFFICE}/{kind}" Target="{base}/{name}" '
        'TargetMode="External"/>'
        for kind, name in kinds.items()
    )
    template = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="t" Type="{_OFFICE}/attachedTemplate" Target="{base}/secret.docx" '
        'TargetMode="External"/></Relationships>'
    )
    ole = (
        '<w:p><w:r><w:object><o:OLEObject xmlns:o="urn:schemas-microsoft-com:office:office" '
        'Type="Link" ProgID="Word.Document.12" ShapeID="s" DrawAspect="Content" ObjectID="1" '
        'r:id="xoleObject" UpdateMode="Always"/></w:object></w:r></w:p>'
        '<w:altChunk r:id="xaFChunk"/>'
    )
    return _changed(
        path,
        {
            "word/_rels/document.xml.rels": lambda text: text.replace(
                "</Relationships>", f"{main}</Relationships>"
            ),
            "word/settings.xml": lambda text: text.replace(
                "<w:zoom", f'<w:attachedTemplate xmlns:r="{_OFFICE}" r:id="t"/><w:zoom', 1
            ),
            "word/document.xml": lambda text: text.replace("<w:sectPr", f"{ole}<w:sectPr", 1),
        },
        {"word/_rels/settings.xml.rels": template},
    )


def word_fields(path: Path, base: str) -> Path:
    """Fields that take in text, a picture and a cell; they are no relationships."""
    document = docx.Document()
    document.add_paragraph("Harmless")
    document.save(str(path))
    commands = (
        f'INCLUDETEXT "{base}/secret.txt"',
        f'INCLUDEPICTURE "{base}/secret.png"',
        f'LINK Word.Document.12 "{base}/secret.docx" "" \\a \\r',
        f'DDEAUTO soffice "{base}/secret.docx" all',
    )
    runs = "".join(
        '<w:p><w:r><w:fldChar w:fldCharType="begin" w:dirty="true"/></w:r>'
        f'<w:r><w:instrText xml:space="preserve"> {command.replace(chr(34), "&quot;")} '
        '</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        '<w:r><w:t>old</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
        for command in commands
    )
    return _changed(
        path, {"word/document.xml": lambda text: text.replace("<w:sectPr", f"{runs}<w:sectPr", 1)}
    )


def excel_formulas(path: Path, base: str) -> Path:
    """Functions that ask the network, and another workbook."""
    with closing(openpyxl.Workbook()) as book:
        sheet = book.worksheets[0]
        sheet["A1"] = "Harmless"
        sheet["A2"] = f'=_xlfn.WEBSERVICE("{base}/secret.txt")'
        sheet["A3"] = f"='{base}/[secret.xlsx]Sheet'!A1"
        sheet["A4"] = f"=INDIRECT(\"'{base}/secret.txt'#$Sheet1.A1\")"
        sheet["A5"] = f'=DDE("soffice","{base}/secret.txt","A1")'
        book.save(path)
    return path


def powerpoint_media(path: Path, base: str) -> Path:
    """A picture and a film that are linked."""
    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[5])
    slide.shapes.title.text = "Harmless"
    seed = str(_seed(path))
    slide.shapes.add_picture(seed, 0, 0, Inches(2))
    slide.shapes.add_movie(seed, 0, 0, Inches(2), Inches(2), mime_type="video/mp4")
    slides.save(str(path))
    names = ("../media/media1.png", "../media/media1.mp4", "../media/image1.png")

    def linked(text: str) -> str:
        for name in names:
            text = text.replace(
                f'Target="{name}"', f'Target="{base}/secret.png" TargetMode="External"'
            )
        return text

    return _changed(
        path,
        {
            "ppt/slides/_rels/slide1.xml.rels": linked,
            "ppt/slides/slide1.xml": lambda text: text.replace("r:embed=", "r:link="),
        },
    )


Maker = Callable[[Path, str], Path]

MAKERS: dict[Maker, str] = {
    word_picture: ".docx",
    word_relations: ".docx",
    word_fields: ".docx",
    excel_formulas: ".xlsx",
    powerpoint_media: ".pptx",
}
"""What makes them, of a path and the base of addresses, and the ends of their names."""


SHARP: set[tuple[Maker, str]] = {
    (word_picture, "file"),
    (word_picture, "network"),
    (excel_formulas, "network"),
    (powerpoint_media, "file"),
    (powerpoint_media, "network"),
}
"""What LibreOffice follows if it is let; the others are for versions that follow more."""

UNREFERENCED: set[Maker] = {excel_formulas}
"""What needs no relationship, so that to remove them does not help."""


def _seed(path: Path) -> Path:
    """A picture to begin with, unlike the secret one."""
    seed = path.with_name("seed.png")
    PIL.Image.new("RGB", (20, 20), "white").save(seed)
    return seed


def _changed(
    path: Path, changes: dict[str, Callable[[str], str]], added: dict[str, str] | None = None
) -> Path:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        before = parts[name].decode()
        after = change(before)
        assert after != before, name
        parts[name] = after.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**parts, **{n: t.encode() for n, t in (added or {}).items()}}.items():
            archive.writestr(name, data)
    return path
