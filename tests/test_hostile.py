"""What a stranger's file can ask for, and what becomes of it: a clear end, soon, in little memory.

Each file goes the way of a task: pipeline, converter, stub engine, writer.
"""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import PIL.Image
import pytest

from app import languages, wiring
from app.config import Settings
from app.errors import AppError, State
from app.pipeline import Order, Outcome, Pipeline
from tests import bombs
from tests.bombs import docx, form, jpeg_with, page, png, rows, segment, stream, xlsx, zeros

pytestmark = pytest.mark.timeout(120)

BIG = 200 * 2**20
Make = Callable[[], bytes]


def jpeg(width: int, height: int, **how: bool) -> bytes:
    out = BytesIO()
    PIL.Image.new("L", (width, height), 255).save(out, "JPEG", **how)
    return out.getvalue()


def passes(count: int) -> bytes:
    """A progressive JPEG whose last pass is repeated."""
    data = jpeg(4000, 4000, progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def jpeg_of(width: int, height: int) -> bytes:
    """A small JPEG that says it is large."""
    data = bytearray(jpeg(8, 8))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = height.to_bytes(2) + width.to_bytes(2)
    return bytes(data)


def drawn(entries: str, data: bytes = b"\0" * 99) -> bytes:
    """A page that shows an image."""
    image = stream(data, f"/Type/XObject/Subtype/Image{entries}")
    show = b"q 600 0 0 700 5 5 cm /I Do Q"
    return page(show, "/XObject<</I 6 0 R>>", {6: image})


def nested_forms(depth: int) -> bytes:
    """Each draws the next ten times."""
    forms = {6 + n: form(b"/X Do\n" * 10, 7 + n) for n in range(depth)}
    return page(
        bombs.TEXT + b"/X Do",
        "/XObject<</X 6 0 R>>",
        {**forms, 6 + depth: form(b"0 0 m 9 9 l S")},
    )


TWO = "/Filter[/FlateDecode/FlateDecode]"
GRAY = "/BitsPerComponent 8/ColorSpace/DeviceGray"
FONT = b"<</Type/Font/Subtype/TrueType/BaseFont/X/FontDescriptor 6 0 R>>"
PLAIN = zlib.compress((b"\0" + b"\xff" * 300) * 100)

TOO_LARGE: dict[str, Make] = {
    "content of 200 MB": lambda: page(
        zeros(BIG, 1, bombs.TEXT, b" "), content_entries="/Filter/FlateDecode"
    ),
    "content of 200 MB in 700 bytes": lambda: page(
        zeros(BIG, 3, bombs.TEXT, b" "),
        content_entries="/Filter[/Fl/Fl/Fl]",
    ),
    "content of 200 MB that says it is an image": lambda: page(
        zeros(BIG, 1, bombs.TEXT, b" "),
        content_entries="/Type/EmbeddedFile/Subtype/Image/Filter/FlateDecode",
    ),
    "content of 200 MB that says it is attached": lambda: page(
        zeros(BIG, 1, bombs.TEXT, b" "), content_entries="/Type/EmbeddedFile/Filter/FlateDecode"
    ),
    "content of 200 MB in a list that says it is an image": lambda: page(
        more={6: b"[4 0 R 7 0 R]", 7: stream(zeros(BIG), "/Subtype/Image/Filter/FlateDecode")}
    ).replace(b"/Contents 4 0 R", b"/Contents 6 0 R"),
    "form of 200 MB that says it is attached": lambda: page(
        b"/X Do",
        "/XObject<</X 6 0 R>>",
        {6: form(zeros(BIG), kind="/Subtype/Form/Type/EmbeddedFile/Filter/FlateDecode")},
    ),
    "appearance of 200 MB that says it is an image": lambda: page(
        entries="/Annots[6 0 R]",
        more={
            6: b"<</Type/Annot/Subtype/Stamp/Rect[9 9 99 99]/AP<</N<</On 7 0 R>>>>/AS/On>>",
            7: form(zeros(BIG), kind="/Subtype/Image/Filter/FlateDecode"),
        },
    ),
    "content of 200 MB of a wrong length": lambda: page(
        zeros(BIG, 1, bombs.TEXT, b" "), content_entries="/Filter/FlateDecode"
    ).replace(b"/Length ", b"/Length 1 /Was ", 1),
    "font of 200 MB": lambda: page(
        more={
            5: FONT,
            6: b"<</Type/FontDescriptor/FontName/X/Flags 4/FontFile2 7 0 R>>",
            7: stream(zeros(BIG, 2), TWO),
        }
    ),
    "colour profile of 200 MB": lambda: page(
        resources="/ColorSpace<</C[/ICCBased 6 0 R]>>",
        more={6: stream(zeros(BIG, 2), f"/N 3{TWO}")},
    ),
    "objects of 200 MB": lambda: bombs.packed_objects(
        zeros(BIG, 2, b"1 0 <</Type/Catalog/Pages 2 0 R>>", b" "), TWO
    ),
    "run-length bomb": lambda: page(
        zlib.compress(b"\x81 " * 2**21), content_entries="/Filter[/FlateDecode/RunLengthDecode]"
    ),
    "LZW bomb": lambda: page(_lzw_bomb(), content_entries="/Filter/LZWDecode"),
    "ten thousand pages": lambda: bombs.pages(10_000),
    "ten thousand million pages": lambda: page().replace(b"/Count 1", b"/Count 9999999999"),
    "forms to the tenth power": lambda: nested_forms(9),
    "PNG of 65,535 x 65,535": lambda: png(65535, 65535, PLAIN),
    "JPEG of 65,535 x 65,535": lambda: jpeg_of(65535, 65535),
    "GIF of 65,535 x 65,535": lambda: bombs.gif(1, 65535, 65535),
    "BMP of 65,535 x 65,535": lambda: bombs.bmp(65535, 65535),
    "TIFF of 65,535 x 65,535": lambda: bombs.tiff(65535, 65535, b"\0" * 99),
    "TIFF of 4,294,967,295 x 4,294,967,295": lambda: bombs.tiff(2**32 - 1, 2**32 - 1),
    "BMP of the lowest height": lambda: bombs.bmp(10, -(2**31)),
    "too many frames": lambda: bombs.gif(5001, 10, 10),
    "frames on a huge sheet": lambda: bombs.gif(1000, 14000, 14000),
    "39 MB of EXIF": lambda: jpeg_with(
        jpeg(99, 99), segment(0xE1, b"Exif\0\0" + bytes(65000)) * 600
    ),
    "a hundred thousand comments": lambda: jpeg_with(jpeg(99, 99), segment(0xFE, b"") * 100_000),
    "a million fill bytes": lambda: jpeg_with(jpeg(99, 99), b"\xff" * 1_000_000),
    "two hundred passes": lambda: passes(200),
    "part of 200 MB": lambda: docx(parts={"word/x.bin": bytes(BIG)}),
    "small parts of 160 MB": lambda: docx(
        parts={f"word/{n}.bin": bytes(8 * 2**20) for n in range(20)}
    ),
    "overlapping parts": lambda: bombs.overlapping(9 * 2**20, 90),
    "eleven thousand parts": lambda: docx(parts={f"x/{n}": "" for n in range(11_000)}),
    "six thousand slides": lambda: bombs.pptx(6000),
    "cells of 500 MB": lambda: xlsx(
        rows(50_000, lambda n: f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>'),
        strings=f"<si><t>{'x y ' * 2500}</t></si>",
    ),
    "diagonal of a sheet": lambda: xlsx(rows(16_000, _diagonal)),
}

INVALID: dict[str, Make] = {
    "no byte": lambda: b"",
    "one byte": lambda: b"%",
    "PDF header alone": lambda: b"%PDF-",
    "circle of pages": lambda: bombs.pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[2 0 R 2 0 R]>>",
        }
    ),
    "no pages": lambda: bombs.pages(0),
    "GIF without frames": lambda: bombs.gif(0, 10, 10),
    "half a JPEG": lambda: jpeg(999, 999)[:600],
    "PNG with a profile of 200 MB": lambda: bombs.with_chunk(
        png(100, 100, PLAIN), b"iCCP", b"a\0\0" + zeros(BIG)
    ),
    "PNG with texts of 200 MB": lambda: bombs.with_chunk(
        png(100, 100, PLAIN), b"zTXt", b"a\0\0" + zeros(BIG)
    ),
    "TIFF with 65,535 bits": lambda: bombs.tiff(50, 50, b"\0" * 99, bits=65535),
    "empty archive": lambda: b"PK\5\6" + bytes(18),
    "half an archive": lambda: docx()[:400],
    "RTF": lambda: b"{\\rtf1 hello}",
    "circle of encrypted sectors": lambda: bombs.compound("EncryptedPackage"),
}

ODD: dict[str, Make] = {
    "page of 14,400 points": lambda: page(box="[0 0 14400 14400]"),
    "page of a thousand million points": lambda: page(box="[0 0 1000000000 1000000000]"),
    "page without height": lambda: page(box="[0 0 612 0]"),
    "page turned inside out": lambda: page(box="[612 792 0 0]"),
    "page of no number": lambda: page(box="[0 0 NaN NaN]"),
    "page of infinite width": lambda: page(box="[-1e40 0 1e40 9]"),
    "hair of a page": lambda: page(box="[0 0 0.001 14400]"),
    "box with two sides": lambda: page(box="[0 0]"),
    "UserUnit of 75,000": lambda: page(entries="/UserUnit 75000"),
    "turned by 45 degrees": lambda: page(entries="/Rotate 45"),
    "circle of tables": lambda: page().replace(b"/Root", b"/Prev 600/Root"),
    "2,147,483,647 objects": lambda: page().replace(b"/Size 6", b"/Size 2147483647"),
    "form that draws itself": lambda: page(
        bombs.TEXT + b"/X Do", "/XObject<</X 6 0 R>>", {6: form(b"/X Do /X Do", 6)}
    ),
    "length that is itself": lambda: page().replace(b"/Length 62", b"/Length 4 0 R"),
    "resources that are a list": lambda: page().replace(
        b"/Resources<</Font<</F 5 0 R>>>>", b"/Resources[1 2 3]"
    ),
    "circles of outlines and names": lambda: page(
        catalog="/Outlines 6 0 R/Names<</Dests 6 0 R/EmbeddedFiles 6 0 R>>/PageLabels 6 0 R",
        more={6: b"<</Kids[6 0 R 6 0 R]/First 6 0 R/Next 6 0 R/Last 6 0 R/Title(a)>>"},
    ),
    "a hundred thousand notes": lambda: page(
        entries=f"/Annots[{'6 0 R ' * 100_000}]",
        more={
            6: b"<</Type/Annot/Subtype/FreeText/Rect[9 9 99 99]/AP<</N 7 0 R>>>>",
            7: form(b"0 0 m 50 50 l S"),
        },
    ),
    "two hundred thousand paths": lambda: page(bombs.TEXT + b"0 0 m 9 9 l S\n" * 200_000),
    "half a million states": lambda: page(b"q " * 500_000 + bombs.TEXT),
    "filters without end": lambda: page(content_entries=f"/Filter[{'/ASCIIHexDecode' * 50_000}]"),
    "lists in lists": lambda: page(entries=f"/X {'[' * 300_000}{']' * 300_000}"),
    "table of objects of 200 MB": lambda: (
        page().replace(b"xref", b"XREF")
        + stream(zeros(BIG, 2), f"/Type/XRef/Size 99/W[1 4 3]/Root 1 0 R{TWO}")
    ),
    "image that is not there": lambda: drawn(f"/Width 2000000000/Height 2000000000{GRAY}"),
    "image of 9,000 x 9,000": lambda: drawn(
        f"/Width 9000/Height 9000{GRAY}{TWO}", zeros(9000 * 9000, 2)
    ),
    "JBIG2 of 60,000 x 60,000": lambda: drawn(
        "/Width 60000/Height 60000/BitsPerComponent 1/ColorSpace/DeviceGray/Filter/JBIG2Decode"
    ),
    "one pixel": lambda: png(1, 1, zlib.compress(b"\0\0\0\0")),
    "1 x 30,000": lambda: png(1, 30_000, zeros(2 * 30_000), kind=0),
    "30,000 x 1": lambda: png(30_000, 1, zeros(30_001), kind=0),
    "PNG with data for a larger one": lambda: png(10, 10, zeros(BIG)),
    "TIFF with data for a larger one": lambda: bombs.tiff(99, 99, zeros(BIG), packing=8),
    "circle of TIFF pages": lambda: bombs.tiff(50, 50, b"\xff" * 2500, after=8),
    "BMP from the top": lambda: bombs.bmp(10, -10, b"\xff" * 320),
}

ODD_SHEETS: dict[str, Make] = {
    "cells far apart": lambda: xlsx(
        '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1"><v>1</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>2</v></c></row></sheetData>'
    ),
    "16,384 columns": lambda: xlsx(
        f'<sheetData><row r="1">{"".join("<c><v>1</v></c>" for _ in range(16_384))}</row>'
        "</sheetData>"
    ),
    "65,536 rows": lambda: xlsx(rows(65_536, lambda n: f'<row r="{n}"><c><v>{n}</v></c></row>')),
    "widths upon widths": lambda: xlsx(
        "<cols>"
        + '<col min="1" max="2" width="9"/>' * 20_000
        + "</cols>"
        + rows(5000, lambda n: f'<row r="{n}"><c r="C{n}"><v>{n}</v></c></row>')
    ),
    "merged cells upon merged cells": lambda: xlsx(
        rows(5000, lambda n: f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>')
        + "<mergeCells>"
        + '<mergeCell ref="A1:B1048576"/>' * 20_000
        + "</mergeCells>"
    ),
}


def _diagonal(number: int) -> str:
    """A row with one cell, in the column with its number."""
    column, letters = number, ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return f'<row r="{number}"><c r="{letters}{number}"><v>1</v></c></row>'


def _lzw_bomb() -> bytes:
    """Codes of which each stands for one byte more than the last, again and again."""
    codes = [f"{0:09b}", *(f"{n:0{min(12, (n + 1).bit_length())}b}" for n in range(258, 4095))]
    text = f"{256:09b}" + f"{256:012b}".join(["".join(codes)] * 30)
    return int(text.ljust(-len(text) // 8 * -8, "0"), 2).to_bytes(-(-len(text) // 8))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("data")
    made = wiring.pipeline(Settings(data_dir=folder, engine="stub"))
    yield made
    made.close()


def run(pipeline: Pipeline, data: bytes, folder: Path, form: str = "txt") -> Outcome | AppError:
    """What comes of a file."""
    source, target = folder / "source", folder / "result"
    source.write_bytes(data)
    order = Order(form, languages.parse("English"))
    try:
        return pipeline.run(order, source, folder, target, lambda *_: None)
    except AppError as error:
        return error


def check_message(error: AppError) -> None:
    """It is for a person: what is wrong, and nothing of our insides."""
    text = str(error)
    assert text.endswith(".")
    assert text[0].isupper()
    for inside in ("/", "0x", "Error", "PDFium", "Pillow", "qpdf", "LibreOffice", "source"):
        assert inside not in text


def form_of(data: bytes) -> str:
    """Word and PowerPoint stay what they are, for other formats they would be laid out."""
    return "docx" if b"word/" in data[:2000] else "pptx" if b"ppt/" in data[:2000] else "txt"


@pytest.mark.parametrize("name", TOO_LARGE)
def test_files_that_ask_for_too_much_are_too_large(
    name: str, pipeline: Pipeline, tmp_path: Path
) -> None:
    """The end is -5, and the message says what to do."""
    data = TOO_LARGE[name]()

    error = run(pipeline, data, tmp_path, form_of(data))

    assert isinstance(error, AppError), error
    assert error.state == State.TOO_LARGE
    check_message(error)


@pytest.mark.parametrize("name", INVALID)
def test_files_that_make_no_sense_are_invalid(
    name: str, pipeline: Pipeline, tmp_path: Path
) -> None:
    """The end is -7, and the message says what is wrong."""
    error = run(pipeline, INVALID[name](), tmp_path)

    assert isinstance(error, AppError), error
    assert error.state == State.INVALID_FILE
    check_message(error)


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for name in ODD for form in ("txt", "pdf", "docx")]
    + [(name, form) for name in ODD_SHEETS for form in ("txt", "docx", "xlsx")],
)
def test_odd_files_are_read(name: str, form: str, pipeline: Pipeline, tmp_path: Path) -> None:
    """They are odd, but ask for no more than others; or are refused as others are."""
    data = (ODD | ODD_SHEETS)[name]()

    outcome = run(pipeline, data, tmp_path, form)

    if isinstance(outcome, AppError):
        assert outcome.state in (State.TOO_LARGE, State.INVALID_FILE)
        check_message(outcome)
    else:
        assert outcome.pages >= 1


def test_bombs_take_little_memory(tmp_path: Path) -> None:
    """In a process of its own, all of them take less than 300 MB more than a good file."""
    names = [name for name in TOO_LARGE if "cells" not in name and "sheet" not in name]
    script = (
        "import json, resource, sys\n"
        "from pathlib import Path\n"
        "from app import wiring\n"
        "from app.config import Settings\n"
        "from tests import test_hostile as these\n"
        "work = Path(sys.argv[1])\n"
        "made = wiring.pipeline(Settings(data_dir=work, engine='stub'))\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "these.run(made, these.page(), work)\n"
        "peaks = {'good': peak()}\n"
        "for path in sorted(work.glob('*.bomb')):\n"
        "    data = path.read_bytes()\n"
        "    these.run(made, data, work, these.form_of(data))\n"
        "    peaks[path.name] = peak()\n"
        "made.close()\n"
        "print(json.dumps(peaks))\n"
    )
    for number, name in enumerate(names):
        (tmp_path / f"{number:02} {name}.bomb").write_bytes(TOO_LARGE[name]())

    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )

    peaks = json.loads(found.stdout)
    assert max(peaks.values()) < peaks["good"] + 300, peaks


def test_documents_in_documents_stay_packed(pipeline: Pipeline, tmp_path: Path) -> None:
    """A document inside another is a part like any other: nobody opens it."""
    inner = docx("<w:p><w:r><w:t>inside</w:t></w:r></w:p>", {"word/x.bin": bytes(30 * 2**20)})
    related = ("r9", "package", "embeddings/inner.docx")
    outer = docx(bombs.PARAGRAPH, {"word/embeddings/inner.docx": inner}, related)

    outcome = run(pipeline, outer, tmp_path, "docx")

    assert isinstance(outcome, Outcome)
    assert (tmp_path / "result").read_bytes() == outer
    assert not any("inner" in path.name for path in tmp_path.rglob("*"))


def test_names_in_archives_lead_nowhere(pipeline: Pipeline, tmp_path: Path) -> None:
    """A part that is called like a place outside is not written there."""
    work = tmp_path / "deep" / "work"
    work.mkdir(parents=True)
    slip = docx(parts={"../../slipped": "x", f"{tmp_path}/slipped": "x", "..\\..\\slipped": "x"})

    run(pipeline, slip, work, "docx")

    assert not list(tmp_path.glob("*slipped*"))


def test_results_are_bounded(tmp_path: Path) -> None:
    """A result that grows beyond the limit ends the task, and says what to do."""
    settings = Settings(data_dir=tmp_path, engine="stub", max_result_bytes=1000)
    pipeline = wiring.pipeline(settings)

    error = run(pipeline, jpeg(500, 500), tmp_path, "pdf")
    pipeline.close()

    assert isinstance(error, AppError)
    assert error.state == State.TOO_LARGE
    assert "send the document in parts" in str(error)


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        ({"max_pages": 2}, bombs.pages(3)),
        ({"max_pages": 2}, bombs.gif(3, 9, 9)),
        ({"max_pixels": 99}, png(10, 10, PLAIN)),
        ({"max_document_pixels": 299}, bombs.gif(3, 10, 10)),
    ],
)
def test_limits_are_settings(limit: dict[str, int], data: bytes, tmp_path: Path) -> None:
    """What is beyond a limit by one is too large, and the message tells the limit."""
    pipeline = wiring.pipeline(Settings(data_dir=tmp_path, engine="stub", **limit))  # type: ignore[arg-type]

    error = run(pipeline, data, tmp_path)
    pipeline.close()

    assert isinstance(error, AppError)
    assert error.state == State.TOO_LARGE
    assert str(next(iter(limit.values()))) in str(error)


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        ({"max_unpacked_bytes": 10_000}, docx(parts={"word/x.bin": os.urandom(10_000)})),
        ({"max_unpacked_ratio": 2}, docx(parts={"word/x.bin": bytes(101 * 2**20)})),
        ({"max_archive_parts": 9}, docx(parts={f"word/{n}.bin": b"" for n in range(10)})),
    ],
)
def test_limits_of_archives_are_settings(
    limit: dict[str, int], data: bytes, tmp_path: Path
) -> None:
    """What unpacks to too much is too large."""
    pipeline = wiring.pipeline(Settings(data_dir=tmp_path, engine="stub", **limit))  # type: ignore[arg-type]

    error = run(pipeline, data, tmp_path, "docx")
    pipeline.close()

    assert isinstance(error, AppError)
    assert error.state == State.TOO_LARGE
