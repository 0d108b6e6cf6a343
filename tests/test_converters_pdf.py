import io
import re
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pikepdf
import PIL.Image
import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from app import sandbox
from app.converters import poppler
from app.converters.pdf import PdfConverter
from app.converters.pdfium import PdfiumDocument, Refused
from app.errors import EncryptedDocument, InvalidFile, TooLarge
from app.interfaces import SourcePage

Draw = Callable[[Canvas], None]


@pytest.fixture
def converter() -> PdfConverter:
    return PdfConverter(max_pixels=40_000_000, max_pages=20, page_timeout_s=30)


def make(path: Path, *pages: Draw, size: tuple[float, float] = (400, 300)) -> Path:
    canvas = Canvas(str(path), pagesize=size)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return path


def write(text: str, x: float = 50, y: float = 200, size: float = 12) -> Draw:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", size)
        canvas.drawString(x, y, text)

    return draw


def scan(pixels: tuple[int, int] = (800, 600), text: str = "", *, hidden: bool = True) -> Draw:
    """A page-wide picture, with a text layer as an earlier recognition leaves it."""

    def draw(canvas: Canvas) -> None:
        noise = np.random.default_rng(1).integers(0, 255, pixels[::-1], dtype=np.uint8)
        canvas.drawImage(ImageReader(PIL.Image.fromarray(noise)), 0, 0, 400, 300)
        layer = canvas.beginText(50, 200)
        layer.setTextRenderMode(3 if hidden else 0)
        layer.textLine(text)
        canvas.drawText(layer)

    return draw


def open_pages(
    converter: PdfConverter, path: Path, password: str | None = None
) -> list[SourcePage]:
    """All pages; each is rendered, and the document is closed again."""
    with converter.open(path, path.parent, password) as source:
        pages = list(source.pages())
        assert source.page_count == len(pages)
        for page in pages:
            assert page.load().shape == (page.height, page.width, 3)
    return pages


def texts(page: SourcePage) -> list[str]:
    assert page.lines is not None
    return [line.text for line in page.lines]


def ink(page: SourcePage, converter: PdfConverter, path: Path) -> tuple[int, int, int, int]:
    """The box of all that is dark on the rendered page."""
    with converter.open(path, path.parent, None) as source:
        dark = np.argwhere(next(source.pages()).load().max(axis=2) < 128)
    (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0)
    return int(left), int(top), int(right), int(bottom)


def test_text_layer(converter: PdfConverter, tmp_path: Path) -> None:
    """A page with text needs no recognition: its lines and words are in the file."""

    def draw(canvas: Canvas) -> None:
        write("The quick brown fox", y=200)(canvas)
        write("jumps over it.", y=180)(canvas)

    path = make(tmp_path / "a.pdf", draw)

    [page] = open_pages(converter, path)

    assert texts(page) == ["The quick brown fox", "jumps over it."]
    assert page.dpi == 200
    assert (page.width, page.height) == (1111, 833)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_boxes_are_where_the_ink_is(converter: PdfConverter, tmp_path: Path, rotation: int) -> None:
    """That is so on rotated pages with a crop box too."""

    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(rotation)
        canvas.setCropBox((20, 40, 380, 280))
        write("Somewhere on the page", x=60, y=200)(canvas)

    path = make(tmp_path / "a.pdf", draw)

    [page] = open_pages(converter, path)

    [line] = page.lines or ()
    left, top, right, bottom = ink(page, converter, path)
    assert line.text == "Somewhere on the page"
    assert line.box.left - 5 <= left
    assert line.box.top - 5 <= top
    assert right <= line.box.right + 5
    assert bottom <= line.box.bottom + 5
    assert line.box.width < right - left + 30
    assert line.box.height < bottom - top + 30


def test_columns_are_lines_of_their_own(converter: PdfConverter, tmp_path: Path) -> None:
    """Words far apart on one base line do not belong together."""

    def draw(canvas: Canvas) -> None:
        write("Left cell", x=50)(canvas)
        write("right cell", x=200)(canvas)

    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert texts(page) == ["Left cell", "right cell"]


def test_a_line_that_is_drawn_font_by_font_keeps_its_order(
    converter: PdfConverter, tmp_path: Path
) -> None:
    """As LibreOffice draws the characters that a font does not have."""

    def draw(canvas: Canvas) -> None:
        for x in (50, 110):
            write("X", x)(canvas)
        for x, text in ((65, "first"), (125, "second")):
            canvas.setFont("Courier", 12)
            canvas.drawString(x, 200, text)

    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert texts(page) == ["X first X second"]


def test_raised_and_lowered_characters_stay_in_their_line(
    converter: PdfConverter, tmp_path: Path
) -> None:
    """The reader begins lines with what is raised; it belongs to the word that it stands at."""

    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(50, 200)
        for part, size, rise in [
            ("A map H", 12, 0), ("1", 8, 5), (" : S", 12, 0), ("n", 8, 5), (" to R", 12, 0),
            ("m", 12, 7), (" of x", 12, 0), ("0", 7, -4), (" is given.", 12, 0),
        ]:  # fmt: skip
            text.setFont("Helvetica", size)
            text.setRise(rise)
            text.textOut(part)
        canvas.drawText(text)
        write("The next line.", y=184)(canvas)

    (page,) = open_pages(converter, make(tmp_path / "in.pdf", draw))

    assert texts(page) == ["A map H1 : Sn to Rm of x0 is given.", "The next line."]


def test_the_number_of_a_note_is_a_word(converter: PdfConverter, tmp_path: Path) -> None:
    """It begins a line, raised; elsewhere a raised number belongs to the word before it."""

    def draw(canvas: Canvas) -> None:
        for y, parts in (
            (200, [("12", 5), ("Preliminary report, see x", 0), ("2", 5), ("and", 0), ("3", 5)]),
            (180, [("2", 5), ("/3 of all", 0)]),
            (160, [("14", 5), ("C is an isotope", 0)]),
        ):
            text = canvas.beginText(50, y)
            for part, rise in parts:
                text.setFont("Helvetica", 8 if rise else 12)
                text.setRise(rise)
                text.textOut(part)
            canvas.drawText(text)

    [page] = open_pages(converter, make(tmp_path / "in.pdf", draw))

    assert texts(page) == [
        "12 Preliminary report, see x2and3",
        "2/3 of all",
        "14C is an isotope",
    ]


@pytest.mark.parametrize("angle", [30, 90, 180, 270])
def test_turned_text_is_not_lost(converter: PdfConverter, tmp_path: Path, angle: int) -> None:
    """Text that runs upwards or aslant stays together."""

    def draw(canvas: Canvas) -> None:
        canvas.translate(200, 150)
        canvas.rotate(angle)
        write("Turned around here", x=-60, y=0)(canvas)

    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert texts(page) == ["Turned around here"]


def test_hyphens_at_the_end_of_lines(converter: PdfConverter, tmp_path: Path) -> None:
    """A divided word stays divided, with its hyphen."""

    def draw(canvas: Canvas) -> None:
        write("this is an exam-", y=200)(canvas)
        write("ple of that", y=186)(canvas)

    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert texts(page) == ["this is an exam-", "ple of that"]


def test_han_text_has_no_spaces(converter: PdfConverter, tmp_path: Path) -> None:
    """Characters set a little apart are still one text."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))

    def draw(canvas: Canvas) -> None:
        canvas.setFont("STSong-Light", 12)
        canvas.drawString(50, 200, "你好，世界。", charSpace=4)

    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert texts(page) == ["你好，世界。"]


def test_form_values_are_text(converter: PdfConverter, tmp_path: Path) -> None:
    """What is filled in in a form is on the page, so it is in the layer."""

    def draw(canvas: Canvas) -> None:
        write("Name of the applicant:", y=200)(canvas)
        canvas.acroForm.textfield(name="name", value="Alice Filled", x=50, y=150, width=150)

    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert "Alice Filled" in texts(page)


def test_blank_page(converter: PdfConverter, tmp_path: Path) -> None:
    """A page with nothing on it has no text, and there is nothing to recognize."""

    def draw(canvas: Canvas) -> None:
        canvas.setFillGray(1)
        canvas.rect(0, 0, 400, 300, stroke=0, fill=1)
        write(" ")(canvas)

    [empty, white] = open_pages(converter, make(tmp_path / "a.pdf", lambda canvas: None, draw))

    assert empty.lines == ()
    assert white.lines == ()


@pytest.mark.parametrize(
    "draw",
    [
        scan(),
        scan(text="What somebody else recognized here, with mistakes"),
        scan(text="page 7", hidden=False),
    ],
    ids=["no text", "invisible text", "only a page number"],
)
def test_scans_are_recognized(converter: PdfConverter, tmp_path: Path, draw: Draw) -> None:
    """The layer of a scan is missing, another program's guess, or not what the page says."""
    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert page.lines is None


def test_text_on_a_background_picture_is_trusted(converter: PdfConverter, tmp_path: Path) -> None:
    """Slides have page-wide pictures behind text that can be seen."""
    draw = scan(text="A slide with quite a lot of text on it", hidden=False)

    [page] = open_pages(converter, make(tmp_path / "a.pdf", draw))

    assert texts(page) == ["A slide with quite a lot of text on it"]


def test_text_without_meaning_is_not_trusted(converter: PdfConverter, tmp_path: Path) -> None:
    """A font without names for its characters says nothing."""
    path = make(tmp_path / "a.pdf", write("abcdefghij klmnopqrst"))
    with pikepdf.open(path, allow_overwriting_input=True) as document:
        font = next(iter(document.pages[0].Resources.Font.values()))
        names = [pikepdf.Name(f"/g{number}") for number in range(26)]
        font.Encoding = pikepdf.Dictionary(
            Type=pikepdf.Name.Encoding, Differences=pikepdf.Array([97, *names])
        )
        document.save(path)

    [page] = open_pages(converter, path)

    assert page.lines is None


@pytest.mark.parametrize(
    ("pixels", "expected"), [((1000, 750), 180), ((400, 300), 150), ((4000, 3000), 300)]
)
def test_a_scan_keeps_its_resolution(
    converter: PdfConverter, tmp_path: Path, pixels: tuple[int, int], expected: float
) -> None:
    """Within what is useful: 150 to 300 dots per inch."""
    [page] = open_pages(converter, make(tmp_path / "a.pdf", scan(pixels)))

    assert page.dpi == pytest.approx(max(expected, 180), rel=0.01)


@pytest.mark.parametrize("size", [(14_400, 14_400), (14_400, 20), (3, 3), (0.5, 14_400)])
def test_absurd_pages(converter: PdfConverter, tmp_path: Path, size: tuple[float, float]) -> None:
    """No page takes more pixels than a quarter of the limit, or more than 10,000 on a side."""
    path = make(tmp_path / "a.pdf", lambda canvas: canvas.line(0, 0, *size), size=size)

    [page] = open_pages(converter, path)

    assert page.width * page.height <= 10_100_000
    assert min(page.width, page.height) >= 1
    assert max(page.width, page.height) <= 10_000


KINDS = [(2, False), (3, False), (4, False), (4, True), (5, True), (6, True)]


@pytest.mark.parametrize(("revision", "aes"), KINDS)
@pytest.mark.parametrize("password", ["user", "owner"])
def test_passwords(
    converter: PdfConverter, tmp_path: Path, revision: int, aes: bool, password: str
) -> None:
    """Both passwords open the document, and a copy without them is made."""
    path = protect(make(tmp_path / "a.pdf", write("Now it can be read")), "user", revision, aes)

    with converter.open(path, tmp_path, password) as source:
        assert [texts(page) for page in source.pages()] == [["Now it can be read"]]
        original = source.original

    assert original is not None
    with pikepdf.open(original) as document:
        assert not document.is_encrypted


@pytest.mark.parametrize("revision", [5, 6])
@pytest.mark.parametrize(
    ("password", "sent"),
    [
        ("пароль密码", "пароль密码"),
        ("hôtel", "ho\u0302tel"),
        ("pass 1", "ｐａｓｓ\u3000１"),
        ("ｐａｓｓ", "ｐａｓｓ"),
        ("x" * 32, "x" * 32),
    ],
)
def test_passwords_in_unicode(
    converter: PdfConverter, tmp_path: Path, revision: int, password: str, sent: str
) -> None:
    """Newer documents have passwords in any language, prepared (RFC 4013) or as they were typed."""
    path = protect(make(tmp_path / "a.pdf", write("x")), password, revision)

    assert len(open_pages(converter, path, sent)) == 1


@pytest.mark.parametrize("revision", [2, 3, 4])
@pytest.mark.parametrize(
    ("password", "encoding"),
    [
        ("hôtel", "latin-1"),
        ("€uro—œ", "pdfdoc_pikepdf"),
        ("€uro—œ", "cp1252"),
        ("密码", "gb18030"),
        ("密碼", "big5"),
        ("パスワード", "cp932"),
        ("пароль", "cp1251"),
        ("пароль密码", "utf-8"),
    ],
)
def test_passwords_in_bytes(
    converter: PdfConverter, tmp_path: Path, revision: int, password: str, encoding: str
) -> None:
    """Older documents have them in PDFDocEncoding, or in what the system had that made them."""
    spelled = password.encode(encoding).decode("pdfdoc_pikepdf")  # Which pikepdf turns back.
    path = protect(make(tmp_path / "a.pdf", write("x")), spelled, revision)

    assert len(open_pages(converter, path, password)) == 1


@pytest.mark.parametrize(("revision", "aes"), KINDS)
def test_missing_and_wrong_password_are_told_apart(
    converter: PdfConverter, tmp_path: Path, revision: int, aes: bool
) -> None:
    """The caller learns what to do."""
    path = protect(make(tmp_path / "a.pdf", write("secret")), "user", revision, aes)

    for missing in (None, ""):
        with pytest.raises(EncryptedDocument, match=r"^The document is protected: send its pass"):
            open_pages(converter, path, missing)
    for wrong in ("guess", "密码"):
        with pytest.raises(EncryptedDocument, match=r"^The password is wrong"):
            open_pages(converter, path, wrong)


@pytest.mark.parametrize(("revision", "aes"), KINDS)
@pytest.mark.parametrize("password", [None, "", "owner", "not needed", "多余"])
def test_protection_without_a_user_password(
    converter: PdfConverter, tmp_path: Path, revision: int, aes: bool, password: str | None
) -> None:
    """What opens without a password opens with any."""
    path = protect(make(tmp_path / "a.pdf", write("No printing")), "", revision, aes)

    [page] = open_pages(converter, path, password)

    assert texts(page) == ["No printing"]


def test_a_damaged_document_keeps_its_password(converter: PdfConverter, tmp_path: Path) -> None:
    """What has to be repaired is unlocked as well, and not without its password."""
    path = protect(make(tmp_path / "a.pdf", write("Still to be read")), "user", 4)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"startxref")])

    [page] = open_pages(converter, path, "user")

    assert texts(page) == ["Still to be read"]
    with pytest.raises(EncryptedDocument, match=r"^The document is protected"):
        open_pages(converter, path)
    with pytest.raises(EncryptedDocument, match=r"^The password is wrong"):
        open_pages(converter, path, "guess")


@pytest.mark.parametrize("password", [None, "any"])
def test_certificates(converter: PdfConverter, tmp_path: Path, password: str | None) -> None:
    """No password opens a document that was made for certain readers; nobody is asked for one."""
    path = protect(make(tmp_path / "a.pdf", write("secret")), "", 4)
    path.write_bytes(path.read_bytes().replace(b"/Filter /Standard", b"/Filter /Adobe.PubSec"))

    with pytest.raises(EncryptedDocument, match="something else than a password"):
        open_pages(converter, path, password)


def test_original_of_an_open_document(converter: PdfConverter, tmp_path: Path) -> None:
    """It is the source itself, byte for byte."""
    path = make(tmp_path / "a.pdf", write("hello"))

    with converter.open(path, tmp_path, "superfluous") as source:
        assert source.original == path


def test_too_many_pages(converter: PdfConverter, tmp_path: Path) -> None:
    """The number of pages is known before any is rendered."""
    path = make(tmp_path / "a.pdf", *[write("x")] * 21)

    with pytest.raises(TooLarge, match="more than 20 pages"):
        open_pages(converter, path)


def test_no_pages(converter: PdfConverter, tmp_path: Path) -> None:
    """A document without pages is not one."""
    path = tmp_path / "a.pdf"
    with pikepdf.new() as document:
        document.save(path)

    with pytest.raises(InvalidFile):
        open_pages(converter, path)


@pytest.mark.parametrize(
    "content", [b"%PDF-", b"%PDF-1.7\n" + bytes(5000), b"%PDF-1.4\ntrailer<</Root 1 0 R>>"]
)
def test_garbage(converter: PdfConverter, tmp_path: Path, content: bytes) -> None:
    """A header makes no document."""
    path = tmp_path / "a.pdf"
    path.write_bytes(content)

    with pytest.raises(InvalidFile, match="damaged"):
        open_pages(converter, path)


@pytest.mark.parametrize("missing", [b"startxref", b"trailer"])
def test_damaged_directory_is_repaired(
    converter: PdfConverter, tmp_path: Path, missing: bytes
) -> None:
    """A wrong table of contents does not matter if the objects are there."""
    path = make(tmp_path / "a.pdf", write("Still to be read"))
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(missing)])

    [page] = open_pages(converter, path)

    assert texts(page) == ["Still to be read"]


def test_poppler_rasterizes(tmp_path: Path) -> None:
    """It stands in for a page that the first choice refuses."""
    path = make(tmp_path / "a.pdf", write("One", size=40), write("Two"))

    assert poppler.page_count(path, 30) == 2
    image = poppler.rasterize(path, 1, 800, 30)
    assert image.shape == (600, 800, 3)
    assert image.min() < 50
    with pytest.raises(InvalidFile, match="Page 7"):
        poppler.rasterize(path, 7, 800, 30)


def test_poppler_sees_its_document_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It has no environment of ours either, nor what a file beside it says."""
    path, secret = tmp_path / "a.pdf", tmp_path / "secret"
    secret.write_text("secret")
    monkeypatch.setenv("OCR_TOKENS", "sk-secret")
    with poppler._programs(path) as folder:
        script = Path(folder, "pdfinfo")
        words = script.read_text().replace("pdfinfo", "sh")
        script.write_text(words.replace('"$@"', f"-c 'env; cat {secret}'"))
        subprocess.run([script], check=False)

    said = capfd.readouterr()
    assert "LANG=C.UTF-8" in said.out
    assert "sk-secret" not in said.out
    assert ("secret" in said.out) == (sandbox.strongest() not in sandbox.WALLS[:2])


def protect(path: Path, password: str, revision: int, aes: bool | None = None) -> Path:
    """Encrypt in place; the owner's password is ``owner``."""
    aes = revision >= 4 if aes is None else aes
    encryption = pikepdf.Encryption(
        owner="owner",
        user=password,
        R=revision,  # type: ignore[arg-type]
        aes=aes,
        metadata=aes,
    )
    result = io.BytesIO()
    with pikepdf.open(path) as document, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Revision 5 should not be made any more.
        document.save(result, encryption=encryption)
    path.write_bytes(result.getvalue())
    return path


@pytest.mark.parametrize("rotation", [0, 90])
def test_rules_are_what_the_page_draws(
    converter: PdfConverter, tmp_path: Path, rotation: int
) -> None:
    """Lines, thin bars and the sides of boxes, in one piece; nothing white, bent or thick."""

    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(rotation)
        write("Words")(canvas)
        canvas.line(50, 250, 200, 250)
        canvas.line(200, 250, 350, 250)  # Goes on.
        canvas.rect(50, 100, 300, 1, stroke=0, fill=1)
        canvas.rect(60, 120, 100, 40)
        canvas.rect(200, 120, 100, 40, stroke=0, fill=1)
        canvas.bezier(50, 80, 100, 85, 150, 75, 200, 80)
        canvas.line(50, 20, 350, 60)
        canvas.setStrokeColorRGB(1, 1, 1)
        canvas.line(50, 60, 350, 60)

    # A page that is to be turned is laid down with its sides exchanged.
    size = (300, 400) if rotation else (400, 300)
    path = make(tmp_path / "in.pdf", draw, size=size)
    with converter.open(path, tmp_path, None) as source:
        (page,) = source.pages()
        assert page.rules is not None
        rules = page.rules()

    assert rules is not None
    scale = page.dpi / 72
    level, upright = (
        sorted(
            (round(rule.at / scale), round(rule.start / scale), round(rule.stop / scale))
            for rule in way
        )
        for way in (rules.level, rules.upright)
    )
    long = [(50, 50, 350), (140, 60, 160), (180, 60, 160), (200, 50, 350)]
    if rotation:
        assert [(300 - at, start, stop) for at, start, stop in upright[::-1]] == long
        assert level == [(60, 120, 160), (160, 120, 160)]
    else:
        assert level == long
        assert upright == [(60, 140, 180), (160, 140, 180)]


@pytest.mark.parametrize(("width", "alone"), [(300, True), (80, False)])
def test_a_ground_under_text_is_no_picture_but_a_bar_may_be_part_of_one(
    converter: PdfConverter, tmp_path: Path, width: float, alone: bool
) -> None:
    """A page with rules and grounds alone need not be looked at."""

    def draw(canvas: Canvas) -> None:
        canvas.setFillColorRGB(0.9, 0.9, 0.9)
        canvas.rect(50, 100, width, 40, stroke=0, fill=1)
        canvas.setFillColorRGB(0, 0, 0)
        write("Words")(canvas)

    with converter.open(make(tmp_path / "in.pdf", draw), tmp_path, None) as source:
        (page,) = source.pages()
        assert page.rules is not None
        rules = page.rules()

    assert rules is not None
    assert rules.alone is alone


def test_rules_that_are_too_many_are_looked_for_in_the_picture(
    converter: PdfConverter, tmp_path: Path
) -> None:
    """A hatching is not taken apart line by line."""

    def draw(canvas: Canvas) -> None:
        write("Words")(canvas)
        path = canvas.beginPath()
        for n in range(15_000):
            path.moveTo(50, n % 300)
            path.lineTo(350, n % 300)
        canvas.drawPath(path)

    with converter.open(make(tmp_path / "in.pdf", draw), tmp_path, None) as source:
        (page,) = source.pages()
        assert page.rules is not None
        assert page.rules() is None


def test_a_page_that_pdfium_cannot_render_is_popplers(
    converter: PdfConverter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large as it was to be."""

    def render(*_: object) -> None:
        raise Refused

    monkeypatch.setattr(PdfiumDocument, "render", render)

    with converter.open(make(tmp_path / "in.pdf", write("Words")), tmp_path, None) as source:
        (page,) = source.pages()
        image = page.load()

    assert image.shape == (page.height, page.width, 3)
    assert image.min() < 128


def test_a_protection_that_only_one_library_finds(converter: PdfConverter, tmp_path: Path) -> None:
    """Its pages look blank, and what repairs them wants a password."""
    path = tmp_path / "a.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        lock = pikepdf.Encryption(owner="o", user="u", R=3, aes=False, metadata=False)
        pdf.save(path, encryption=lock, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    data = path.read_bytes()
    number = int(re.search(rb"/Encrypt (\d+) 0 R", data)[1])  # type: ignore[index]
    entry = re.findall(rb"\d{10} \d{5} [nf]", data)[number]
    path.write_bytes(data.replace(entry, b"%010d 00000 n" % (int(entry[:10]) + 100)))

    with pytest.raises(EncryptedDocument):
        open_pages(converter, path)
