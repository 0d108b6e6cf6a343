"""PDF/A, as veraPDF sees it, and what is left of the sources."""

import re
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2
import pytest
import reportlab
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.ttLib import TTFont as Program
from PIL import Image
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from starlette.testclient import TestClient

from app import languages, wiring
from app.config import Settings
from app.document import Block, Box, Cell, Document, Kind, Page, Picture, Table
from app.errors import InvalidFile
from app.pipeline import Order
from app.writers.pdfa import ArchivalPdfWriter
from tests.pictures import LATIN, drawn, picture
from tests.test_documents import paragraph
from tests.test_pdf_writer import LINES, RTL_LINES, line, page, pdfium_text, poppler_text
from tests.verapdf import violations

Change = Callable[[pikepdf.Pdf], object]
WORDS = "What was written in the document"
FONTS = Path(reportlab.__file__).parent / "fonts"


@pytest.fixture
def archived(settings: Settings, tmp_path: Path) -> Callable[..., Path]:
    """Makes a PDF/A of a source as the server does; recognition is the stub's."""

    def run(source: Path | bytes, password: str | None = None) -> Path:
        if isinstance(source, bytes):
            (tmp_path / "source").write_bytes(source)
            source = tmp_path / "source"
        order = Order("pdf", languages.parse("ChinesePRC,English"), password, pdfa=True)
        target = tmp_path / "made.pdf"
        wiring.pipeline(settings).run(order, source, tmp_path, target, lambda *_: None)
        return target

    return run


def written(tmp_path: Path, *pages: Page) -> Path:
    ArchivalPdfWriter().write(Document(pages, languages=("en",)), tmp_path / "made.pdf")
    return tmp_path / "made.pdf"


def level(path: Path) -> str:
    """What the file claims to be, which it is."""
    with pikepdf.open(path) as pdf:
        found = re.search(rb"<pdfaid:conformance>(.)<", pdf.Root.Metadata.read_bytes())
    assert found is not None
    claimed = found[1].decode()
    assert violations(path, f"PDFA-2{claimed}") == []
    return claimed


def born_digital(
    path: Path, fonts: tuple[str, ...] = ("Embedded",), change: Change | None = None
) -> Path:
    """A PDF with a page for each font, and on each the words, a rectangle and a link."""
    pdfmetrics.registerFont(TTFont("Embedded", LATIN))
    canvas = Canvas(str(path), invariant=True)
    for n, font in enumerate(fonts):
        canvas.setFont(font, 14)
        canvas.drawString(72, 700, WORDS)
        canvas.setFillColorRGB(0.2, 0.4, 0.6)
        canvas.rect(72, 500, 100, 60, fill=1)
        canvas.bookmarkPage(f"p{n}")
        canvas.addOutlineEntry(f"Page {n + 1}", f"p{n}")
        canvas.linkURL("https://example.org/", (72, 690, 300, 715))
        canvas.showPage()
    canvas.setTitle("A <title> & more")
    canvas.setAuthor("An author")
    canvas.save()
    if change is not None:
        with pikepdf.open(path, allow_overwriting_input=True) as pdf:
            change(pdf)
            pdf.save(path, compress_streams=False)
    return path


def is_picture(path: Path, number: int = 0) -> bool:
    with pikepdf.open(path) as pdf:
        return "/Picture" in pdf.pages[number].obj.Resources.get("/XObject", {})


def tree(path: Path) -> str:
    """The kinds of the structure, nested in brackets, with the text of their marks."""
    with pikepdf.open(path) as pdf:
        texts = [words_of(each) for each in pdf.pages]
        numbers = {each.obj.objgen: n for n, each in enumerate(pdf.pages)}

        def told(found: Any) -> str:
            kids = []
            for kid in found.get("/K", []):
                if not isinstance(kid, int) and kid.get("/Type") == "/OBJR":
                    assert nums[nums.index(kid.Obj.StructParent) + 1] == found
                elif isinstance(kid, int):
                    assert parents[numbers[found.Pg.objgen]][kid] == found
                    kids.append(texts[numbers[found.Pg.objgen]][kid])
                else:
                    kids.append(told(kid))
            more = [str(found.Alt)] if "/Alt" in found else []
            for key, value in found.get("/A", {}).items():
                more += [f"{key[1:]}={value}"] if key != "/O" else []
            return f"{str(found.S)[1:]}({' '.join([*more, *kids])})"

        nums = list(pdf.Root.StructTreeRoot.ParentTree.Nums)
        parents = [nums[nums.index(each.obj.StructParents) + 1] for each in pdf.pages]
        assert pdf.Root.MarkInfo.Marked
        return told(pdf.Root.StructTreeRoot.K[0])


def words_of(sheet: pikepdf.Page) -> dict[int, str]:
    """The text of each marked content of a page, decoded by its font's map."""
    meanings = {}
    data = sheet.obj.Resources.Font.Ocr.ToUnicode.read_bytes()
    for code, text in re.findall(rb"<(\w{4})> <(\w+)>", data):
        meanings[bytes.fromhex(code.decode())] = bytes.fromhex(text.decode()).decode("utf-16-be")
    found: dict[int, str] = {}
    number = None
    for instruction in pikepdf.parse_content_stream(sheet):
        operator = str(instruction.operator)
        if operator == "BDC":
            number = instruction.operands[1].get("/MCID")
        elif operator == "EMC":
            number = None
        if number is not None:
            found.setdefault(int(number), "")
        if operator == "Tj" and number is not None:
            codes = bytes(instruction.operands[0])
            found[int(number)] += "".join(
                meanings[codes[n : n + 2]] for n in range(0, len(codes), 2)
            )
    return found


def saved(kind: str, mode: str) -> bytes:
    image, out = drawn(WORDS), BytesIO()
    if mode == "noise":
        image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8))
    else:
        image = image.convert(mode)
    image.save(out, kind)
    return out.getvalue()


PICTURES = {
    "RGB": saved("PNG", "RGB"),
    "grey": saved("PNG", "L"),
    "palette": saved("PNG", "P"),
    "bilevel": saved("PNG", "1"),
    "transparent": saved("PNG", "RGBA"),
    "JPEG": saved("JPEG", "RGB"),
    "grey JPEG": saved("JPEG", "L"),
    "CMYK JPEG": saved("JPEG", "CMYK"),
    "TIFF": saved("TIFF", "RGB"),
    "noise": saved("PNG", "noise"),
    "of a few pixels": picture(size=(2, 3)),
    "very long": picture(size=(3, 9000)),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_become_level_a(kind: str, archived: Callable[..., Path]) -> None:
    """With a structure; the text reads back once."""
    made = archived(PICTURES[kind])

    assert level(made) == "A"
    assert pdfium_text(made).count("stub 1") <= 1
    with pikepdf.open(made) as pdf:
        assert str(pdf.Root.Lang) == "zh-CN"


def test_marks_do_not_change_the_text(tmp_path: Path) -> None:
    """Vertical lines, right-to-left ones, an empty page: two readers give what was written."""
    made = written(tmp_path, page(LINES), page([], 2), page(RTL_LINES, 3))

    assert level(made) == "A"
    assert pdfium_text(made).splitlines() == [one.text for one in LINES]
    assert [pdfium_text(made, n) for n in (1, 2)] == ["", "\n".join(o.text for o in RTL_LINES)]
    assert LINES[0].text in poppler_text(made)


def test_the_same_document_makes_the_same_file(tmp_path: Path) -> None:
    """Nothing in it is random or tells the time."""
    first = written(tmp_path, page(LINES)).read_bytes()

    assert written(tmp_path, page(LINES)).read_bytes() == first


def test_private_characters_are_not_called_accessible(tmp_path: Path) -> None:
    """Nobody can say what they mean, which level A demands."""
    assert level(written(tmp_path, page([line(["\ue123"], 100)]))) == "U"


def test_byte_order_marks_are_left_out(tmp_path: Path) -> None:
    """They are no text."""
    made = written(tmp_path, page([line(["\ufeffwords", "\ufeff"], 100)]))

    assert level(made) == "A"
    assert pdfium_text(made).strip() == "words"


def cell(row: int, column: int, text: str, rows: int = 1, columns: int = 1) -> Cell:
    box = Box(100 + 200 * column, 600 + 40 * row, 300 + 200 * column, 640 + 40 * row)
    return Cell(row, column, rows, columns, (paragraph(text, top=box.top, left=box.left),), box)


def test_the_structure_tells_what_is_what(tmp_path: Path) -> None:
    """Headings, lists, tables with spans, pictures with their words; heads are passed over."""
    grid = Table(
        (
            cell(0, 0, "head", columns=2),
            cell(1, 0, "tall", rows=2),
            cell(1, 1, "b"),
            cell(2, 1, "c"),
        ),
        *(3, 2, Box(100, 600, 500, 720)),
        heads=1,
    )
    inside = (paragraph("axis", top=420),)
    blocks: list[Block] = [
        paragraph("running", top=10, kind=Kind.HEADER),
        paragraph("Title", top=50, kind=Kind.HEADING, level=1),
        paragraph("Deep", top=80, kind=Kind.HEADING, level=3),
        paragraph("some text", top=110),
        paragraph("- one", top=140, kind=Kind.ITEM),
        paragraph("- two", top=170, kind=Kind.ITEM),
        Picture(Box(300, 400, 700, 600), b"", inside),
        paragraph("Figure 1", top=560, kind=Kind.CAPTION),
        paragraph("Table 1", top=580, kind=Kind.CAPTION),
        grid,
        Picture(Box(300, 800, 700, 900), b""),
        paragraph("alone", top=1000),
        paragraph("a caption of nothing", top=1100, kind=Kind.CAPTION),
    ]
    later = paragraph("later", top=100, kind=Kind.HEADING, level=2)

    made = written(
        tmp_path,
        Page(1, 1000, 1400, 120, tuple(blocks), recognized=True),
        Page(2, 1000, 1400, 120, (later,), recognized=True),
    )

    assert level(made) == "A"
    assert tree(made) == (
        "Document(H1(Title) H2(Deep) P(some text) L(LI(LBody(- one)) LI(LBody(- two)))"
        " Figure(axis axis Caption(Figure 1)) Table(Caption(Table 1)"
        " TR(TH(ColSpan=2 Scope=/Column P(head))) TR(TD(RowSpan=2 P(tall)) TD(P(b))) TR(TD(P(c))))"
        " Figure(Picture ) P(alone) P(a caption of nothing) H2(later))"
    )
    # It is no PDF/UA only because it does not say so, and has no title.
    missed = {rule.split()[0] for rule in violations(made, "PDFUA-1")}
    assert missed <= {"5-1", "7.1-8", "7.1-9", "7.1-10", "7.3-1"}
    assert "running" in pdfium_text(made)


def test_a_scan_stays_as_it_is(tmp_path: Path, archived: Callable[..., Path]) -> None:
    """Its picture is not packed anew, and its text is tagged."""
    scan = tmp_path / "scan.pdf"
    Image.open(BytesIO(saved("JPEG", "RGB"))).save(scan, "PDF", resolution=100)
    with pikepdf.open(scan) as pdf:
        before = pdf.pages[0].obj.Resources.XObject.image.read_raw_bytes()

    made = archived(scan)

    with pikepdf.open(made) as pdf:
        assert pdf.pages[0].obj.Resources.XObject.image.read_raw_bytes() == before
    assert level(made) == "A"
    assert pdfium_text(made).count("stub 1") == 1
    assert tree(made).startswith("Document(P(stub 1")


def test_a_page_with_its_fonts_stays_as_it_is(
    tmp_path: Path, archived: Callable[..., Path]
) -> None:
    """With its links, outline, title and author."""
    source = born_digital(tmp_path / "source.pdf")
    with pikepdf.open(source) as pdf:
        before = pdf.pages[0].Contents.read_bytes()

    made = archived(source)

    assert level(made) == "U"
    assert pdfium_text(made) == WORDS
    with pikepdf.open(made) as pdf:
        assert pdf.pages[0].Contents.read_bytes() == before
        assert str(pdf.pages[0].Annots[0].A.URI) == "https://example.org/"
        with pdf.open_outline() as outline:
            assert outline.root[0].title == "Page 1"
        metadata = pdf.open_metadata()
        assert metadata["dc:title"] == "A <title> & more"
        assert metadata["dc:creator"] == ["An author"]
        assert "/Info" not in pdf.trailer
        assert "/StructTreeRoot" not in pdf.Root


def test_a_page_without_its_fonts_becomes_its_picture(
    tmp_path: Path, archived: Callable[..., Path]
) -> None:
    """The text reads back once, where it stood; the link still leads on."""
    made = archived(born_digital(tmp_path / "source.pdf", ("Helvetica",)))

    assert is_picture(made)
    assert level(made) == "A"
    assert pdfium_text(made) == WORDS
    assert tree(made) == f"Document(P({WORDS}) Link())"
    with pikepdf.open(made) as pdf:
        assert str(pdf.pages[0].Annots[0].A.URI) == "https://example.org/"


def test_pages_are_judged_one_by_one(tmp_path: Path, archived: Callable[..., Path]) -> None:
    """A structure of some pages alone would be worse than none."""
    made = archived(born_digital(tmp_path / "source.pdf", ("Embedded", "Helvetica", "Embedded")))

    assert [is_picture(made, n) for n in range(3)] == [False, True, False]
    assert level(made) == "U"
    assert [pdfium_text(made, n) for n in range(3)] == [WORDS] * 3
    with pikepdf.open(made) as pdf:
        assert "/StructTreeRoot" not in pdf.Root
        assert b"MCID" not in pdf.pages[1].Contents[0].read_bytes()


def test_a_structure_stays_if_all_pages_do(tmp_path: Path, archived: Callable[..., Path]) -> None:
    """It is the source's own."""

    def change(pdf: pikepdf.Pdf) -> None:
        found = b"<</Type /StructTreeRoot /K <</Type /StructElem /S /Document>>>>"
        pdf.Root.StructTreeRoot = pdf.make_indirect(pikepdf.Object.parse(found))
        pdf.Root.MarkInfo = pikepdf.Dictionary(Marked=True)

    for font, stays in (("Embedded", True), ("Helvetica", False)):
        made = archived(born_digital(tmp_path / "source.pdf", (font, "Embedded"), change))

        assert level(made) == "U"
        with pikepdf.open(made) as pdf:
            assert ("/StructTreeRoot" in pdf.Root) is stays


def type1(path: Path) -> Path:
    face = pdfmetrics.EmbeddedType1Face(str(FONTS / "_er_____.afm"), str(FONTS / "_er_____.pfb"))
    pdfmetrics.registerTypeFace(face)
    pdfmetrics.registerFont(pdfmetrics.Font("Type1", face.name, "WinAnsiEncoding"))
    return born_digital(path, ("Type1",))


def compact(path: Path) -> Path:
    """A font in the Compact Font Format, with squares for letters."""
    names = {ord(letter): "space" if letter == " " else letter for letter in WORDS}
    builder = FontBuilder(1000, isTTF=False)
    builder.setupGlyphOrder([".notdef", *dict.fromkeys(names.values())])
    builder.setupCharacterMap(names)
    pen = T2CharStringPen(600, None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 0))
    pen.lineTo((500, 700))
    pen.closePath()
    shape = pen.getCharString()
    shapes = dict.fromkeys(builder.font.getGlyphOrder(), shape)
    builder.setupCFF("Squares", {}, shapes, {})
    widths = {name: (600, 0) for name in shapes}
    builder.setupHorizontalMetrics(widths)
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupPost()
    out = BytesIO()
    builder.save(out)
    out.seek(0)
    program = Program(out).reader["CFF "]

    def change(pdf: pikepdf.Pdf) -> None:
        (name, _), *_ = pdf.pages[0].Resources.Font.items()
        stream = pikepdf.Stream(pdf, program, Subtype=pikepdf.Name.Type1C)
        font = pikepdf.Object.parse(
            b"<</Type /Font /Subtype /Type1 /BaseFont /Squares /Encoding /WinAnsiEncoding"
            b" /FirstChar 32 /LastChar 122 /FontDescriptor <</Type /FontDescriptor"
            b" /FontName /Squares /Flags 32 /FontBBox [0 0 500 700] /ItalicAngle 0 /Ascent 700"
            b" /Descent 0 /CapHeight 700 /StemV 80>>>>"
        )
        font.Widths = pikepdf.Array([600] * 91)
        font.FontDescriptor.FontFile3 = pdf.make_indirect(stream)
        pdf.pages[0].Resources.Font[name] = pdf.make_indirect(font)

    return born_digital(path, ("Helvetica",), change)


@pytest.mark.parametrize("made_by", [type1, compact])
def test_fonts_of_every_kind_are_understood(
    made_by: Callable[[Path], Path], tmp_path: Path, archived: Callable[..., Path]
) -> None:
    """What is embedded and whole stays."""
    made = archived(made_by(tmp_path / "source.pdf"))

    assert not is_picture(made)
    assert level(made) == "U"
    assert pdfium_text(made) == WORDS


def wrong_widths(pdf: pikepdf.Pdf) -> None:
    for font in pdf.pages[0].Resources.Font.values():
        if "/Widths" in font:
            font.Widths = pikepdf.Array([float(width) + 50 for width in font.Widths])


def damaged_font(pdf: pikepdf.Pdf) -> None:
    for font in pdf.pages[0].Resources.Font.values():
        if "/FontFile2" in font.get("/FontDescriptor", {}):
            font.FontDescriptor.FontFile2.write(b"no font")


def drawing(content: str, **resources: object) -> Change:
    def change(pdf: pikepdf.Pdf) -> None:
        sheet = pdf.pages[0]
        for kind, value in resources.items():
            sheet.Resources[f"/{kind}"] = pikepdf.Object.parse(str(value).encode())
        sheet.contents_add(content.encode())

    return change


def external(pdf: pikepdf.Pdf) -> None:
    image = pdf.make_stream(b"", Subtype=pikepdf.Name.Image, Width=1, Height=1)
    image.F = pikepdf.String("elsewhere.jpg")
    pdf.pages[0].Resources.XObject = pikepdf.Dictionary(E=image)
    pdf.pages[0].contents_add(b"/E Do")


def huge(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].MediaBox = pikepdf.Array([0, 0, 20_000, 900])


FAULTS: dict[str, Change] = {
    "ink of a press": drawing("0 0 0 1 k 10 10 20 20 re f"),
    "operator": drawing("1 2 nonsense"),
    "missing": drawing("/Nothing Do"),
    "transfer": drawing("/G gs", ExtGState="<</G <</TR /Identity>>>>"),
    "blending": drawing("/G gs", ExtGState="<</G <</BM /Own>>>>"),
    "depth": drawing("q " * 40),
    "spot colour": drawing(
        "/S cs 1 scn", ColorSpace="<</S [/Separation /Gold /DeviceCMYK <</FunctionType 2>>]>>"
    ),
    "inline": drawing("BI /W 1 /H 1 /CS /CMYK /BPC 8 ID abcd EI"),
    "widths": wrong_widths,
    "damaged font": damaged_font,
    "external": external,
    "huge": huge,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_forbidden_on_a_page_makes_it_a_picture(
    fault: str, tmp_path: Path, archived: Callable[..., Path]
) -> None:
    """So the result is always valid."""
    made = archived(born_digital(tmp_path / "source.pdf", change=FAULTS[fault]))

    assert is_picture(made)
    assert level(made) == "A"
    assert pdfium_text(made).count(WORDS) == 1


def script(pdf: pikepdf.Pdf) -> None:
    action = b"<</S /JavaScript /JS (app.alert\\(1\\))>>"
    pdf.Root.OpenAction = pikepdf.Object.parse(action)
    pdf.Root.Names = pikepdf.Dictionary(
        JavaScript=pikepdf.Dictionary(Names=pikepdf.Array(["a", pikepdf.Object.parse(action)]))
    )
    pdf.pages[0].AA = pikepdf.Dictionary(O=pikepdf.Object.parse(action))
    pdf.pages[0].Annots[0].A = pikepdf.Object.parse(action)


def attachment(pdf: pikepdf.Pdf) -> None:
    pdf.attachments["secret.txt"] = b"something"


def form(pdf: pikepdf.Pdf) -> None:
    shown = pdf.make_stream(b"0 0 1 rg 0 0 50 20 re f", Subtype=pikepdf.Name.Form)
    shown.BBox = pikepdf.Array([0, 0, 50, 20])
    field = pikepdf.Object.parse(
        b"<</Type /Annot /Subtype /Widget /FT /Tx /T (field) /V (x) /Rect [300 300 350 320] /F 4"
        b" /AA <</K <</S /JavaScript /JS (1)>>>>>>"
    )
    field.AP = pikepdf.Dictionary(N=shown)
    field = pdf.make_indirect(field)
    pdf.pages[0].Annots.append(field)
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]), XFA=pikepdf.String("x"))


def lzw(pdf: pikepdf.Pdf) -> None:
    packed = pikepdf.Stream(pdf, b"\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01")
    packed.Filter = pikepdf.Name.LZWDecode
    for key, value in {"Subtype": pikepdf.Name.Image, "Width": 9, "Height": 1}.items():
        packed[f"/{key}"] = value
    packed.ColorSpace, packed.BitsPerComponent = pikepdf.Name.DeviceGray, 8
    packed.Interpolate = True
    pdf.pages[0].Resources.XObject = pikepdf.Dictionary(L=pdf.make_indirect(packed))
    pdf.pages[0].contents_add(b"q 20 0 0 20 300 300 cm /L Do Q")


def transparency(pdf: pikepdf.Pdf) -> None:
    drawing("/G gs 300 300 9 9 re f", ExtGState="<</G <</ca 0.5 /BM /Multiply>>>>")(pdf)
    pdf.pages[0].Group = pikepdf.Object.parse(b"<</S /Transparency /CS /DeviceRGB>>")


def metadata(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Metadata = pdf.make_stream(b"<not xml", Type=pikepdf.Name.Metadata)
    pdf.pages[0].Metadata = pdf.Root.Metadata


def layers(pdf: pikepdf.Pdf) -> None:
    group = pdf.make_indirect(pikepdf.Object.parse(b"<</Type /OCG /Name (one)>>"))
    pdf.Root.OCProperties = pikepdf.Dictionary(
        OCGs=pikepdf.Array([group]), D=pikepdf.Dictionary(Order=pikepdf.Array([]))
    )


TAKEN: dict[str, Change] = {
    change.__name__: change
    for change in (script, attachment, form, lzw, transparency, metadata, layers)
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_forbidden_beside_the_pages_is_taken_out(
    what: str, tmp_path: Path, archived: Callable[..., Path]
) -> None:
    """The page stays, and scripts, attached files and fields are nowhere in the file."""
    made = archived(born_digital(tmp_path / "source.pdf", change=TAKEN[what]))

    assert not is_picture(made)
    assert level(made) == "U"
    assert pdfium_text(made) == WORDS
    with pikepdf.open(made) as pdf:
        pdf.save(tmp_path / "plain.pdf", object_stream_mode=pikepdf.ObjectStreamMode.disable)
    plain = (tmp_path / "plain.pdf").read_bytes()
    for trace in (b"JavaScript", b"EmbeddedFile", b"Widget", b"AcroForm", b"LZW", b"/XFA"):
        assert trace not in plain


def test_what_is_in_a_form_is_drawn(tmp_path: Path, archived: Callable[..., Path]) -> None:
    """As it looked, though it can no longer be filled in."""
    made = archived(born_digital(tmp_path / "source.pdf", change=form))

    with pypdfium2.PdfDocument(made) as pdf:
        pixels = pdf[0].render().to_numpy()
    assert tuple(pixels[round(pixels.shape[0] - 310), 325]) in ((255, 0, 0), (0, 0, 255))


def test_a_damaged_file_is_put_together(tmp_path: Path, archived: Callable[..., Path]) -> None:
    """Also one that does not say how many objects it has."""
    data = born_digital(tmp_path / "source.pdf").read_bytes()

    made = archived(data.replace(b"/Size", b"/Seize"))

    assert level(made) == "U"
    assert pdfium_text(made) == WORDS


def test_a_note_that_cannot_be_drawn_makes_its_page_a_picture(
    tmp_path: Path, archived: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it showed is not lost."""

    def fail(*_: object) -> None:
        raise RuntimeError("no such form")

    monkeypatch.setattr(pikepdf.Pdf, "flatten_annotations", fail)
    made = archived(born_digital(tmp_path / "source.pdf", change=form))

    assert is_picture(made)
    assert level(made) == "A"


def test_blank_pages_do_not_end_the_structure(
    tmp_path: Path, archived: Callable[..., Path]
) -> None:
    """They have nothing to say."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.add_blank_page()
        del pdf.pages[0].Annots

    made = archived(born_digital(tmp_path / "source.pdf", ("Helvetica",), change))

    assert level(made) == "A"
    assert tree(made) == f"Document(P({WORDS}))"


def test_a_protected_document_is_opened(tmp_path: Path, archived: Callable[..., Path]) -> None:
    """An archive holds no passwords."""
    source = born_digital(tmp_path / "plain.pdf")
    with pikepdf.open(source) as pdf:
        pdf.save(tmp_path / "locked.pdf", encryption=pikepdf.Encryption("owner", "user"))

    made = archived(tmp_path / "locked.pdf", "user")

    assert level(made) == "U"
    assert pdfium_text(made) == WORDS


def test_pages_set_upright_keep_their_picture(tmp_path: Path) -> None:
    """A page that becomes a picture looks as it did, whichever way it is turned."""
    for rotation in (0, 90, 180, 270):

        def turn(pdf: pikepdf.Pdf, by: int = rotation) -> None:
            pdf.pages[0].Rotate = by

        source = born_digital(tmp_path / "source.pdf", ("Helvetica",), turn)
        with pypdfium2.PdfDocument(source) as pdf:
            before = pdf[0].render(scale=1).to_numpy()[..., ::-1].copy()
        height, width, _ = before.shape
        shown = Page(1, width, height, 72, (), True, load=partial(np.asarray, before))

        ArchivalPdfWriter().write(Document([shown], source), tmp_path / "made.pdf")

        assert level(tmp_path / "made.pdf") == "A"
        with pypdfium2.PdfDocument(tmp_path / "made.pdf") as pdf:
            after = pdf[0].render(scale=1).to_numpy()[..., ::-1]
        assert np.abs(after.astype(int) - before).mean() < 3


def test_over_http(client: TestClient, tmp_path: Path) -> None:
    """The field asks for it; other formats and other values are as before."""
    fields = {"format": "pdf", "pdfa": "1"}
    file = {"image_file": ("a.png", picture(), "image/png")}

    data = client.post("/task/pic/ocr", data=fields, files=file).json()["data"]
    plain = client.post("/task/pic/ocr", data={"pdfa": "1"}, files=file).json()["data"]
    wrong = client.post("/task/pic/ocr", data={"pdfa": "yes"}, files=file)

    assert data["file"].endswith(".pdf")
    (tmp_path / "made.pdf").write_bytes(client.get(data["file"]).content)
    assert level(tmp_path / "made.pdf") == "A"
    assert plain["file"].endswith(".txt")
    assert client.get(plain["file"]).text.startswith("stub")
    assert wrong.status_code == 400


def test_a_page_that_is_the_root_too(tmp_path: Path) -> None:
    """What cannot be opened again is no result."""
    original = tmp_path / "in.pdf"
    original.write_bytes(
        b"%PDF-1.4\n1 0 obj\n<</Type /Page /MediaBox [0 0 612 792] /Resources <<>>"
        b" /Pages <</Type /Pages /Count 1 /Kids [1 0 R]>>>>\nendobj\n"
        b"trailer\n<</Root 1 0 R /Size 2>>\n%%EOF\n"
    )

    with pytest.raises(InvalidFile, match="damaged"):
        ArchivalPdfWriter().write(Document([page([])], original), tmp_path / "out.pdf")
