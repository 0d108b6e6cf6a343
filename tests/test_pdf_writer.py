import io
import re
import struct
import subprocess
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from app.document import Box, Document, Line, Page, Paragraph, Word
from app.errors import InvalidFile
from app.interfaces import Writer
from app.writers.pdf import PdfWriter
from app.writers.pdf_reportlab import ReportlabPdfWriter

WIDTH, HEIGHT, DPI = 1240, 1754, 150

# Left to right, or top to bottom, as the words stand.
ENGLISH = ["The", "quick", "brown", "-", "fox."]
CHINESE = ["今天天气", "非常好，", "我们去", "公园。"]
THAI = ["ภาษาไทย", "เป็นภาษา"]
HINDI = ["हिन्दी", "भाषा"]
EMOJI = ["smile", "😀", "𠮷野家"]
HEBREW = ["שלום", "עולם,", "מחיר", "1,234.50", "ב-2024", "(סוף)."]
ARABIC = ["مرحبا", "بالعالم،", "سنة", "٢٠٢٤", "كِتَابٌ"]
JAPANESE = ["吾輩は", "猫である。"]


def line(words: list[str], top: float, rtl: bool = False, spaced: bool = True) -> Line:
    """A line of boxes 40 pixels high that starts 100 pixels from its side."""
    found, at = [], 100.0
    for text in words:
        width = 36.0 * len(text) if not spaced else 20.0 * len(text)
        left, right = (WIDTH - at - width, WIDTH - at) if rtl else (at, at + width)
        found.append(Word(text, Box(left, top, right, top + 40), spaced=spaced))
        at += width + (14 if spaced else 3)
    return Line(tuple(found), Box.around(word.box for word in found))


def column(words: list[str], left: float) -> Line:
    """A vertical line."""
    found, at = [], 600.0
    for text in words:
        found.append(Word(text, Box(left, at, left + 40, at + 40 * len(text)), spaced=False))
        at += 40 * len(text) + 3
    return Line(tuple(found), Box.around(word.box for word in found), vertical=True)


LINES = [
    line(ENGLISH, 100),
    line(CHINESE, 160, spaced=False),
    line(THAI, 220),
    line(HINDI, 280),
    line(EMOJI, 340),
    line(HEBREW, 400, rtl=True),
    line(ARABIC, 460, rtl=True),
    column(JAPANESE, 200),
]
RTL_LINES = LINES[5:7]


def page(lines: list[Line], number: int = 1, turned: bool = False, **changes: object) -> Page:
    width, height = (HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)
    paragraphs = tuple(Paragraph((one,), one.box) for one in lines)
    values = {"recognized": True, **changes}
    return Page(number, width, height, DPI, paragraphs, **values)  # type: ignore[arg-type]


def pdfium_text(path: Path, number: int = 0) -> str:
    with pypdfium2.PdfDocument(path) as pdf:
        text = pdf[number].get_textpage().get_text_range()
    return str(text).replace("\r\n", "\n")


def poppler_text(path: Path, *options: str) -> str:
    found = subprocess.run(
        ["pdftotext", *options, str(path), "-"], capture_output=True, check=True, text=True
    ).stdout
    return re.sub("[\u200e\u200f\u202a-\u202e]", "", found)


def comparable(text: str) -> str:
    """Poppler gives combining marks in another, equal order, and brackets as drawn."""
    swapped = text.translate(str.maketrans("()", ")("))
    return unicodedata.normalize("NFC", min(text, swapped))


def selections(path: Path, words: list[Word]) -> Iterator[Box]:
    """What PDFium selects for each word, in pixels of the page as PDFium renders it."""
    with pypdfium2.PdfDocument(path) as pdf:
        seen = pdf[0]
        place = seen.render(scale=DPI / 72).get_posconv(seen)
        text = seen.get_textpage()
        for word in words:
            index, count = text.search(word.text).get_next()
            corners = []
            for n in range(index, index + count):
                left, bottom, right, top = text.get_charbox(n)
                corners += [place.to_bitmap(left, bottom), place.to_bitmap(right, top)]
            xs, ys = zip(*corners, strict=True)
            yield Box(min(xs), min(ys), max(xs), max(ys))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    common = max(width, 0.0) * max(height, 0.0)
    return common / (a.width * a.height + b.width * b.height - common)


def blank(
    path: Path, rotation: int = 0, box: tuple[float, ...] = (), count: int = 1, **keys: object
) -> Path:
    """A PDF of empty pages, each as large as ``page`` when it is looked at."""
    width, height = WIDTH / DPI * 72, HEIGHT / DPI * 72
    with pikepdf.new() as pdf:
        for _ in range(count):
            pdf.add_blank_page(page_size=(width, height))
        for each in pdf.pages:
            each.obj.Rotate = rotation
            if box:
                each.obj.MediaBox = pikepdf.Array([*box])
            for key, value in keys.items():
                each.obj[f"/{key}"] = value
        pdf.save(path)
    return path


# How a page may say that it is 595.2 points wide and 841.92 points high.
W, H = WIDTH / DPI * 72, HEIGHT / DPI * 72
BOXES = {
    "plain": (0, 0, W, H),
    "moved": (-100, 50, W - 100, 50 + H),
    "swapped": (W, H, 0, 0),
}


WRITERS: dict[str, Writer] = {"own": PdfWriter(), "reportlab": ReportlabPdfWriter()}


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest) -> Writer:
    """Each writer that makes PDF from pictures."""
    return WRITERS[request.param]


@pytest.fixture(params=[*WRITERS, 0, 90, 180, 270], ids=str)
def searchable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A PDF with all the lines, made from nothing or put onto a page that is turned."""
    target = tmp_path / "out.pdf"
    original, turned = None, False
    if request.param not in WRITERS:
        original = blank(tmp_path / "in.pdf", request.param, BOXES["moved"], count=2)
        turned = request.param in (90, 270)
    pages = [page(LINES, 1, turned), page(RTL_LINES, 2, turned)]
    writer = WRITERS.get(request.param, PdfWriter())
    writer.write(Document(iter(pages), original), target)
    return target


def test_pdfium_gives_exactly_the_lines(searchable: Path) -> None:
    """Copying a line gives its text, whatever its script, direction or the page's rotation."""
    found = pdfium_text(searchable).splitlines()

    assert found == [one.text for one in LINES]


def test_poppler_gives_the_lines(searchable: Path) -> None:
    """A second reader agrees, where most of a page runs in the direction of the line."""
    mixed, rtl = (
        {comparable(text) for text in found.split("\n") if text}
        for found in poppler_text(searchable).split("\f")[:2]
    )

    assert mixed >= {comparable(one.text) for one in LINES if one not in RTL_LINES}
    assert rtl == {comparable(one.text) for one in RTL_LINES}


def test_every_word_is_found_by_search(searchable: Path) -> None:
    """Search in PDFium finds each word."""
    with pypdfium2.PdfDocument(searchable) as pdf:
        text = pdf[0].get_textpage()
        missing = [
            word.text
            for one in LINES
            for word in one.words
            if max(word.text) <= "\uffff"  # PDFium extracts what is beyond, but cannot search it.
            and text.search(word.text, match_case=True).get_next() is None
        ]

    assert missing == []


def test_selection_covers_the_word(searchable: Path) -> None:
    """What is highlighted when a word is selected is the word's box."""
    words = [word for one in LINES for word in one.words if one is not LINES[4]]

    poor = {
        word.text: round(common, 2)
        for word, found in zip(words, selections(searchable, words), strict=True)
        if (common := overlap(word.box, found)) < 0.8
    }

    assert poor == {}


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, 450])
@pytest.mark.parametrize("box", BOXES)
def test_text_lies_on_what_is_seen(box: str, rotation: int, tmp_path: Path) -> None:
    """A word is selected where its ink is rendered, wherever the page's box begins."""
    original = blank(tmp_path / "in.pdf", rotation, BOXES[box])
    left, bottom = min(BOXES[box][0], BOXES[box][2]), min(BOXES[box][1], BOXES[box][3])
    with pikepdf.open(original, allow_overwriting_input=True) as pdf:
        # The rest of the content is out of balance: it must not move the text.
        ink = f"q q 0.5 0 0 0.5 9 9 cm Q {left + 72} {bottom + 144} 200 50 re f 3 0 0 3 7 7 cm"
        pdf.pages[0].obj.Contents = pdf.make_stream(ink.encode())
        pdf.save(original)
    with pypdfium2.PdfDocument(original) as seen:
        pixels = seen[0].render(scale=DPI / 72).to_numpy()[..., 0]
    rows, columns = np.nonzero(pixels < 128)
    ink_box = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    word = Word("ink", ink_box)
    one = Line((word,), ink_box)
    seen_page = page([one], turned=pixels.shape[1] > pixels.shape[0])
    target = tmp_path / "out.pdf"

    PdfWriter().write(Document([seen_page], original), target)

    assert overlap(next(selections(target, [word])), ink_box) > 0.95


def turned_left(box: Box, turns: int) -> Box:
    """Where ``box`` of a page of WIDTH x HEIGHT stands after so many quarter turns to the left."""
    width, height = WIDTH, HEIGHT
    for _ in range(turns):
        box = Box(box.top, width - box.right, box.bottom, width - box.left)
        width, height = height, width
    return box


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("pdf", [True, False])
def test_text_of_pages_set_upright_lies_on_the_page_as_it_was(
    pdf: bool, turns: int, tmp_path: Path, writer: Writer
) -> None:
    """The page is not turned, but its text is where it was read."""
    shown = Box(300, 500, 420, 900) if turns % 2 else Box(300, 500, 700, 620)
    word = Word("turned", turned_left(shown, turns))
    one = page([Line((word,), word.box)], turned=turns % 2 == 1, turns=turns)
    original = blank(tmp_path / "in.pdf") if pdf else None
    target = tmp_path / "out.pdf"

    writer.write(Document([one], original), target)

    with pypdfium2.PdfDocument(target) as made:
        assert made[0].get_size() == pytest.approx((W, H), abs=0.1)
    assert overlap(next(selections(target, [word])), shown) > 0.9


def test_crop_box_is_what_counts(tmp_path: Path) -> None:
    """Pixels count from the corner of the part that is shown, which may stick out of the page."""
    crop = pikepdf.Array([100, -50, 100 + W, H + 900])
    original = blank(tmp_path / "in.pdf", 0, (0, 0, W + 100, H), CropBox=crop)
    target = tmp_path / "out.pdf"

    PdfWriter().write(Document([page(LINES)], original), target)

    word = LINES[0].words[1]
    assert overlap(next(selections(target, [word])), word.box) > 0.8


def tree(path: Path, contents: str, resources: str, pages: int = 2) -> Path:
    """A PDF whose pages inherit everything and share their resources."""
    with pikepdf.new() as pdf:
        for _ in range(pages):
            pdf.add_blank_page()
        for each in pdf.pages:
            for key in ("/MediaBox", "/Resources", "/Contents"):
                if key in each.obj:
                    del each.obj[key]
            if contents:
                each.obj.Contents = pikepdf.Object.parse(contents.encode())
        pdf.Root.Pages.MediaBox = pikepdf.Array([0, 0, 600, 800])
        pdf.Root.Pages.Rotate = 0
        if resources:
            found = pikepdf.Object.parse(resources.encode())
            pdf.Root.Pages.Resources = (
                pdf.make_indirect(found) if isinstance(found, pikepdf.Dictionary) else found
            )
        pdf.save(path)
    return path


@pytest.mark.parametrize("contents", ["", "[]", "[null 7]", "42"])
@pytest.mark.parametrize("resources", ["", "<<>>", "<</Font 5>>", "7", "<</Font <</OcrText 3>>>>"])
def test_odd_pages_get_their_text(contents: str, resources: str, tmp_path: Path) -> None:
    """Missing, shared, inherited or senseless entries are no obstacle."""
    original = tree(tmp_path / "in.pdf", contents, resources)
    target = tmp_path / "out.pdf"
    pages = [page([LINES[0]], number) for number in (1, 2)]

    PdfWriter().write(Document(iter(pages), original), target)

    assert [pdfium_text(target, n) for n in (0, 1)] == [LINES[0].text] * 2


def test_everything_else_of_a_pdf_is_kept(tmp_path: Path) -> None:
    """Pages not recognized, streams, links, outline, metadata and form fields stay the same."""
    original, target = tmp_path / "in.pdf", tmp_path / "out.pdf"
    picture = zlib.compress(bytes(range(256)) * 4, 1)
    with pikepdf.new() as pdf:
        for _ in range(3):
            pdf.add_blank_page(page_size=(W, H))
        shown = pikepdf.Stream(
            pdf,
            picture,
            Type=pikepdf.Name.XObject,
            Subtype=pikepdf.Name.Image,
            Width=32,
            Height=32,
            ColorSpace=pikepdf.Name.DeviceGray,
            BitsPerComponent=8,
            Filter=pikepdf.Name.FlateDecode,
        )
        shared = pdf.make_indirect(
            pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=pdf.make_indirect(shown)))
        )
        link = pikepdf.Object.parse(
            b"<</Type /Annot /Subtype /Link /Rect [0 0 9 9] /A <</S /URI /URI (http://a.b)>>>>"
        )
        for each in pdf.pages:
            each.obj.Resources = shared
            each.obj.Contents = pdf.make_stream(b"/Im Do")
            each.obj.Annots = pikepdf.Array([pdf.make_indirect(link)])
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Chapter", 1))
        pdf.docinfo["/Title"] = "Kept"
        pdf.Root.AcroForm = pikepdf.Object.parse(b"<</Fields [] /NeedAppearances true>>")
        pdf.save(original, compress_streams=False)
    pages = [
        page([LINES[0]], 1),
        page([LINES[1]], 2, recognized=False),
        page([], 3),
    ]

    PdfWriter().write(Document(iter(pages), original), target)

    with pikepdf.open(target) as pdf, pikepdf.open(original) as before:
        assert not pdf.check_pdf_syntax()
        assert str(pdf.docinfo["/Title"]) == "Kept"
        assert pdf.Root.AcroForm.NeedAppearances
        with pdf.open_outline() as outline:
            assert outline.root[0].title == "Chapter"
        for new, old in zip(pdf.pages, before.pages, strict=True):
            assert new.obj.Annots[0].A.URI == old.obj.Annots[0].A.URI
            assert new.obj.Resources.XObject.Im.read_raw_bytes() == picture
        assert "/Font" not in pdf.pages[1].obj.Resources
        assert pdf.pages[1].obj.Contents.read_raw_bytes() == b"/Im Do"
        assert pdf.pages[0].obj.Contents[-1].read_raw_bytes() == b"/Im Do"
    assert [pdfium_text(target, n) for n in range(3)] == [LINES[0].text, "", ""]
    assert target.stat().st_size < original.stat().st_size + 5000


def test_an_earlier_recognition_is_replaced(tmp_path: Path) -> None:
    """Its unseen text would be found twice, and so would text that is seen, which stays drawn."""
    source = tmp_path / "source.pdf"
    with pikepdf.new() as pdf:
        sheet = pdf.add_blank_page(page_size=(400, 300))
        sheet.Resources = pikepdf.Dictionary(
            Font=pikepdf.Dictionary(
                F=pikepdf.Dictionary(
                    Type=pikepdf.Name.Font,
                    Subtype=pikepdf.Name.Type1,
                    BaseFont=pikepdf.Name.Helvetica,
                )
            )
        )
        sheet.Contents = pdf.make_stream(
            b"BT /F 9 Tf q 3 Tr /A Tr 10 10 Td (unseen) Tj Q ET BT /F 9 Tf 10 50 Td (seen) Tj ET"
        )
        pdf.save(source)

    PdfWriter().write(Document([page(LINES[:1])], source), tmp_path / "made.pdf")

    for text in (pdfium_text(tmp_path / "made.pdf"), poppler_text(tmp_path / "made.pdf")):
        assert "seen" not in text
        assert LINES[0].text in text
    with pikepdf.open(tmp_path / "made.pdf") as pdf:
        drawn = b"".join(part.read_bytes() for part in pdf.pages[0].obj.Contents)
    assert b"(seen)" in drawn
    assert b"(unseen)" not in drawn


def test_only_what_is_new_is_added_to_a_page_with_text(tmp_path: Path) -> None:
    """A page whose pictures were read as well keeps its own text."""
    source = tmp_path / "source.pdf"
    canvas = Canvas(str(source), pagesize=(400, 300))
    canvas.drawString(50, 200, "Its own text")
    canvas.save()
    own = replace(LINES[0], given=True)

    PdfWriter().write(Document([page([own, LINES[1]])], source), tmp_path / "made.pdf")

    text = pdfium_text(tmp_path / "made.pdf")
    assert "Its own text" in text
    assert own.text not in text
    assert LINES[1].text in text


@pytest.mark.parametrize("mode", ["disable", "generate"])
def test_the_bytes_of_a_pdf_stay_as_they_are(mode: str, tmp_path: Path) -> None:
    """What is new comes behind them, so that signatures hold; with either table of objects."""
    source = tmp_path / "source.pdf"
    with pikepdf.new() as pdf:
        for _ in range(3):
            pdf.add_blank_page(page_size=(400, 300))
        pdf.save(source, object_stream_mode=pikepdf.ObjectStreamMode[mode])
    pages = [page(LINES, n) for n in (1, 3)]

    PdfWriter().write(Document(pages, source), tmp_path / "made.pdf")
    PdfWriter().write(Document(pages[:1], tmp_path / "made.pdf"), tmp_path / "again.pdf")

    made = (tmp_path / "made.pdf").read_bytes()
    assert made.startswith(source.read_bytes())
    assert (tmp_path / "again.pdf").read_bytes().startswith(made)
    for name in ("made.pdf", "again.pdf"):
        with pikepdf.open(tmp_path / name) as pdf:
            assert not pdf.get_warnings()
            assert len(pdf.pages) == 3
        texts = [pdfium_text(tmp_path / name, n) for n in range(3)]
        assert texts[0]
        assert texts[1] == ""
        assert texts[0] == texts[2] or name == "again.pdf"


def test_a_pdf_whose_table_is_lost_is_written_anew(tmp_path: Path) -> None:
    """Its pages get their text all the same."""
    source = tmp_path / "source.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(400, 300))
        pdf.save(source)
    source.write_bytes(source.read_bytes().replace(b"startxref\n", b"startxref\n9"))

    PdfWriter().write(Document([page(LINES)], source), tmp_path / "made.pdf")

    with pikepdf.open(tmp_path / "made.pdf") as pdf:
        assert not pdf.get_warnings()
        assert "/Contents" in pdf.pages[0]


def test_pdf_without_recognized_pages_stays_byte_for_byte(tmp_path: Path) -> None:
    """Where nothing was recognized, there is nothing to add."""
    original = blank(tmp_path / "in.pdf")
    target = tmp_path / "out.pdf"

    PdfWriter().write(Document([page(LINES, recognized=False)], original), target)

    assert target.read_bytes() == original.read_bytes()


def test_damaged_original_is_the_callers_fault(tmp_path: Path) -> None:
    """A file that is no PDF gives an error that can be shown."""
    original = tmp_path / "in.pdf"
    original.write_bytes(b"no pdf")

    with pytest.raises(InvalidFile):
        PdfWriter().write(Document([], original), tmp_path / "out.pdf")


PIXELS = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PICTURES = {
    "bilevel.png": (Image.fromarray(PIXELS).convert("1"), 1, "/FlateDecode"),
    "grey.png": (Image.fromarray(PIXELS).convert("L"), 8, "/FlateDecode"),
    "colour.png": (Image.fromarray(PIXELS), 8, "/FlateDecode"),
    "palette.png": (Image.fromarray(PIXELS).quantize(16), 4, "/FlateDecode"),
    "alpha.png": (Image.fromarray(PIXELS).convert("RGBA"), 8, "/FlateDecode"),
    "grey.jpg": (Image.fromarray(PIXELS).convert("L"), 8, "/DCTDecode"),
    "colour.jpg": (Image.fromarray(PIXELS), 8, "/DCTDecode"),
    "cmyk.jpg": (Image.fromarray(PIXELS).convert("CMYK"), 8, "/FlateDecode"),
    "colour.tif": (Image.fromarray(PIXELS), 8, "/FlateDecode"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_kept_without_loss(name: str, tmp_path: Path) -> None:
    """The page's picture shows the same pixels, with as many bits as it had."""
    image, bits, packing = PICTURES[name]
    picture, target = tmp_path / name, tmp_path / "out.pdf"
    image.save(picture)

    PdfWriter().write(Document([page(LINES, picture=picture)]), target)

    with pikepdf.open(target) as pdf:
        assert not pdf.check_pdf_syntax()
        found: Any = pdf.pages[0].obj.Resources.XObject.Picture
        assert (int(found.BitsPerComponent), str(found.Filter)) == (bits, packing)
        if name.endswith(".jpg") and packing == "/DCTDecode":
            assert found.read_raw_bytes() == picture.read_bytes()
        with Image.open(picture) as wanted:
            shown = pikepdf.PdfImage(found).as_pil_image().convert("RGB")
            assert shown.tobytes() == wanted.convert("RGB").tobytes()
        assert float(pdf.pages[0].mediabox[2]) == pytest.approx(WIDTH / DPI * 72)


def test_png_goes_in_without_being_decoded(tmp_path: Path) -> None:
    """What is packed inside a PNG is copied, even in several pieces."""
    picture, target = tmp_path / "in.png", tmp_path / "out.pdf"
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    packed = zlib.compress(rows, 1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    picture.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", packed[:100])
        + chunk(b"IDAT", packed[100:])
        + chunk(b"IEND", b"")
    )

    PdfWriter().write(Document([page([], picture=picture)]), target)

    with pikepdf.open(target) as pdf:
        assert pdf.pages[0].obj.Resources.XObject.Picture.read_raw_bytes() == packed


def test_damaged_picture_is_the_callers_fault(tmp_path: Path, writer: Writer) -> None:
    """A picture that must be decoded, and cannot be, gives an error that can be shown."""
    picture, target = tmp_path / "in.png", tmp_path / "out.pdf"
    Image.fromarray(PIXELS).save(picture)
    data = bytearray(picture.read_bytes())
    data[28] = 1  # Says that it is interlaced, which it is not.
    picture.write_bytes(data)

    with pytest.raises(InvalidFile):
        writer.write(Document([page([], picture=picture)]), target)


def test_absurdly_large_pages_shrink_to_the_limit(tmp_path: Path, writer: Writer) -> None:
    """A page that would be larger than readers show keeps its proportions."""
    target = tmp_path / "out.pdf"
    huge = Page(1, 100_000, 50_000, 72, (), recognized=True)

    writer.write(Document([huge]), target)

    with pikepdf.open(target) as pdf:
        assert [float(side) for side in pdf.pages[0].mediabox] == [0, 0, 14_400, 7_200]


def test_text_layer_stays_small(tmp_path: Path, writer: Writer) -> None:
    """Two thousand distinct characters take a few kilobytes, font and all."""
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + 2000)]
    lines = [
        line(["".join(characters[n : n + 25])], 20 * n / 25, spaced=False)
        for n in range(0, 2000, 25)
    ]
    target = tmp_path / "out.pdf"

    writer.write(Document([page(lines)]), target)

    assert target.stat().st_size < 20_000


def test_words_touching_each_other_stay_apart(tmp_path: Path, writer: Writer) -> None:
    """Both readers see a space that is hardly there, and none where there is none."""
    target = tmp_path / "out.pdf"
    apart = ["Where", "words", "touch", "-", "still", "words"]
    together = ["今天", "天气", "ABC", "非常", "好。"]
    lines = []
    for n, (texts, gap, spaced) in enumerate(
        [(apart, 0, True), (apart, -4, True), (apart, 6, True), (together, 30, False)]
    ):
        words, at = [], 100.0
        for text in texts:
            words.append(
                Word(text, Box(at, 100 + 80 * n, at + 22 * len(text), 140 + 80 * n), 1, spaced)
            )
            at += 22 * len(text) + gap
        lines.append(Line(tuple(words), Box.around(word.box for word in words)))

    writer.write(Document([page(lines)]), target)

    wanted = [one.text for one in lines]
    assert pdfium_text(target).splitlines() == wanted
    assert [text for text in poppler_text(target).split("\n") if text.strip("\f")] == wanted


@pytest.mark.parametrize("gap", [-4, 0, 3])
def test_touching_words_that_run_left_stay_apart(gap: int, tmp_path: Path, writer: Writer) -> None:
    """The same holds where the words run from right to left."""
    target = tmp_path / "out.pdf"
    words, at = [], 900.0
    for text in ["שלום", "עולם", "טוב"]:
        words.append(Word(text, Box(at - 22 * len(text), 100, at, 140)))
        at -= 22 * len(text) + gap
    one = Line(tuple(words), Box.around(word.box for word in words))

    writer.write(Document([page([one])]), target)

    assert pdfium_text(target) == poppler_text(target).strip() == one.text


def test_words_of_uneven_height_stay_on_their_line(tmp_path: Path, writer: Writer) -> None:
    """On a page that lies slightly askew, boxes step down and differ in height."""
    target = tmp_path / "out.pdf"
    texts = ["a", "line", "that", "was", "scanned", "-", "a", "little", "askew", ".", "Yes"]
    words, at = [], 100.0
    for n, text in enumerate(texts):
        height = 4 if text in "-." else 28 if text.isalpha() and min(text) in "as" else 40
        top = 100 + n + (40 - height)
        words.append(Word(text, Box(at, top, at + 20 * len(text), top + height)))
        at += 20 * len(text) + 14
    one = Line(tuple(words), Box.around(word.box for word in words))

    writer.write(Document([page([one])]), target)

    assert pdfium_text(target) == poppler_text(target).strip() == one.text


@pytest.mark.parametrize("box", [Box(5, 5, 5, 5), Box(9, 9, 3, 3), Box(-50, -50, 9e6, 9e6)])
def test_senseless_boxes_break_nothing(box: Box, tmp_path: Path, writer: Writer) -> None:
    """A box without extent, or beyond the page, still makes a valid file."""
    target = tmp_path / "out.pdf"
    words = (Word("one", box), Word("two", box), Word("三", box, spaced=False))

    writer.write(
        Document([page([Line(words, box), Line(words, box, vertical=True), Line((), box)])]), target
    )

    with pikepdf.open(target) as pdf:
        assert not pdf.check_pdf_syntax()
        assert len(pikepdf.parse_content_stream(pdf.pages[0])) > 10


def test_same_text_makes_the_same_file(tmp_path: Path, writer: Writer) -> None:
    """Nothing in a file depends on when it was made."""
    for name in ("a.pdf", "b.pdf"):
        writer.write(Document([page(LINES)]), tmp_path / name)

    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_a_file_of_no_pages_is_valid(tmp_path: Path, writer: Writer) -> None:
    """A document without pages still gives a file that opens."""
    target = tmp_path / "out.pdf"

    writer.write(Document([]), target)

    with pikepdf.open(io.BytesIO(target.read_bytes())) as pdf:
        assert len(pdf.pages) == 0


@pytest.mark.parametrize(
    ("content", "packed"),
    [(b"BT 3 Tr (x) Tj ET \xff\xfe\x80", None), (b"q 5 0 R Q", None), (b"x", "/JBIG2Decode")],
    ids=["operator", "reference", "packed as a picture"],
)
def test_contents_that_cannot_be_told(tmp_path: Path, content: bytes, packed: str | None) -> None:
    """The page stays as it is, and gets its text."""
    original, target = tmp_path / "in.pdf", tmp_path / "out.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(600, 800))
        pdf.pages[0].Contents = pdf.make_stream(content)
        if packed is not None:
            pdf.pages[0].obj.Contents.Filter = pikepdf.Name(packed)
        pdf.save(original)

    PdfWriter().write(Document([page(LINES)], original), target)

    assert LINES[0].words[0].text in pdfium_text(target)


def test_an_original_of_which_nothing_is_as_it_should_be(tmp_path: Path) -> None:
    """What cannot be changed is damaged; that is no fault of ours."""
    original = tmp_path / "in.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(600, 800))
        pdf.save(original)

    with pytest.raises(InvalidFile, match="damaged"):
        PdfWriter().write(Document([page(LINES, number=7)], original), tmp_path / "out.pdf")
