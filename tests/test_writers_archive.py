"""What the formats of programs and archives say of each word, and pictures of pages."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from numpy.typing import NDArray

from app import wiring
from app.config import Settings
from app.document import (
    Align,
    Block,
    Box,
    Cell,
    Document,
    Kind,
    Line,
    Page,
    Paragraph,
    Picture,
    Style,
    Table,
    Word,
)
from app.errors import InvalidFile
from app.interfaces import Writer
from app.languages import parse
from app.page_model import page_span, schema
from app.pipeline import Order
from app.writers.alto import AltoWriter
from app.writers.hocr import HocrWriter
from app.writers.page_json import JsonWriter
from app.writers.pictures import PicturesWriter
from app.writers.text_limits import storable
from tests.test_writers import hostile_words, plain_words

WRITERS: dict[str, Writer] = {"json": JsonWriter(), "hocr": HocrWriter(), "alto": AltoWriter()}
# How far an edge may be from where it was: hOCR has whole pixels.
EXACT = {"json": 0.051, "hocr": 0.501, "alto": 0.051}
each_writer = pytest.mark.parametrize("name", WRITERS)

XHTML = "{http://www.w3.org/1999/xhtml}"
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"


class Found(NamedTuple):
    """A word as a reader of the format finds it."""

    text: str
    box: Box
    confidence: float


def line(text: str, top: float = 100, left: float = 100, **more: Any) -> Line:
    words, at = [], left
    for word in text.split(" "):
        words.append(Word(word, Box(at, top, at + 20 * len(word), top + 40), 0.75))
        at += 20 * len(word) + 14
    return Line(tuple(words), Box.around(word.box for word in words), **more)


def paragraph(*lines: Line | str, **more: Any) -> Paragraph:
    made = tuple(
        line(each, 100 + 50 * n) if isinstance(each, str) else each for n, each in enumerate(lines)
    )
    return Paragraph(made, Box.around(each.box for each in made), **more)


def page(*blocks: Block, number: int = 1, **more: Any) -> Page:
    return Page(number, 1240, 1754, 150, blocks, recognized=True, **more)


def table(*rows: str) -> Table:
    """Cells of one paragraph each, ``|`` between them; the first row is a heading."""
    cells = [
        Cell(row, column, 1, 1, (paragraph(text),), Box(9 * column, 9 * row, 99, 99))
        for row, texts in enumerate(rows)
        for column, text in enumerate(texts.split("|"))
    ]
    return Table(tuple(cells), len(rows), rows[0].count("|") + 1, Box(0, 0, 99, 99), heads=1)


def write(name: str, target: Path, *pages: Page, languages: tuple[str, ...] = ("zh-CN",)) -> Path:
    WRITERS[name].write(Document(iter(pages), languages=languages), target)
    return target


def read(name: str, path: Path) -> list[list[Found]]:
    """The words of each page."""
    if name == "json":
        return [list(_json_words(each)) for each in json.loads(path.read_bytes())["pages"]]
    root = etree.parse(str(path)).getroot()
    if name == "hocr":
        return [
            list(_hocr_words(each)) for each in root.iterfind(f".//{XHTML}div[@class='ocr_page']")
        ]
    check_alto(root)
    return [list(_alto_words(each)) for each in root.iter(ALTO + "Page")]


def _json_words(part: Any) -> Iterator[Found]:
    if isinstance(part, list):
        for each in part:
            yield from _json_words(each)
    elif isinstance(part, dict):
        for word in part.get("words", ()):
            yield Found(word["text"], Box(*word["box"]), word["confidence"])
        for key in ("blocks", "cells", "paragraphs", "lines"):
            yield from _json_words(part.get(key))


def _hocr_words(part: Any) -> Iterator[Found]:
    for word in part.iterfind(f".//{XHTML}span[@class='ocrx_word']"):
        # As strict as OCRmyPDF and the Internet Archive read it.
        said = re.match(r"bbox (\d+) (\d+) (\d+) (\d+); x_wconf (\d+)(; |$)", word.get("title"))
        assert said
        left, top, right, bottom, sure = map(int, said.groups()[:5])
        yield Found(word.text, Box(left, top, right, bottom), sure / 100)


def _alto_words(part: Any) -> Iterator[Found]:
    for word in part.iter(ALTO + "String"):
        left, top, width, height = (
            float(word.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")
        )
        hyphen = word.getnext() is not None and word.getnext().tag == ALTO + "HYP"
        text = word.get("CONTENT") + (word.getnext().get("CONTENT") if hyphen else "")
        yield Found(text, Box(left, top, left + width, top + height), float(word.get("WC")))


# Of the schema's types, those that are written: the elements in them as a regular expression, the
# attributes that have to be there, and those that may be.
PLACE = "HPOS VPOS WIDTH HEIGHT"
BLOCKS = "(TextBlock |Illustration |ComposedBlock )*"
SCHEMA = {
    "alto": ("Description (Styles )?(Tags )?Layout ", "", "SCHEMAVERSION schemaLocation"),
    "Description": ("MeasurementUnit (Processing )*", "", ""),
    "MeasurementUnit": ("", "", ""),
    "Processing": ("processingCategory processingSoftware ", "ID", ""),
    "processingCategory": ("", "", ""),
    "processingSoftware": ("softwareName softwareVersion ", "", ""),
    "softwareName": ("", "", ""),
    "softwareVersion": ("", "", ""),
    "Styles": ("(TextStyle )*(ParagraphStyle )*", "", ""),
    "TextStyle": ("", "", "ID FONTSIZE FONTTYPE FONTWIDTH FONTCOLOR FONTSTYLE"),
    "ParagraphStyle": ("", "ID", "ALIGN"),
    "Tags": ("((LayoutTag|StructureTag|RoleTag) )*", "", ""),
    "LayoutTag": ("", "ID LABEL", "TYPE"),
    "StructureTag": ("", "ID LABEL", "TYPE"),
    "RoleTag": ("", "ID LABEL", "TYPE"),
    "Layout": ("(Page )*", "", ""),
    "Page": ("PrintSpace ", "ID PHYSICAL_IMG_NR", "WIDTH HEIGHT LANG"),
    "PrintSpace": (BLOCKS, "", PLACE),
    "ComposedBlock": (BLOCKS, "ID", f"{PLACE} TYPE TAGREFS"),
    "Illustration": ("", "ID", PLACE),
    "TextBlock": ("(TextLine )*", "ID", f"{PLACE} STYLEREFS TAGREFS"),
    "TextLine": (
        "(String (SP )?)+(HYP )?",
        "",
        f"{PLACE} ID STYLEREFS BASEDIRECTION BASELINE",
    ),
    "String": ("", "CONTENT", f"{PLACE} WC SUBS_TYPE SUBS_CONTENT"),
    "SP": ("", "", ""),
    "HYP": ("", "CONTENT", ""),
}
NUMBER = r"-?\d+(\.\d+)?(e-\d+)?"
VALUES = {
    **dict.fromkeys(("HPOS", "VPOS", "WIDTH", "HEIGHT", "FONTSIZE", "PHYSICAL_IMG_NR"), NUMBER),
    "WC": r"0\.\d+|1\.0+",
    "ID": r"[A-Za-z_][\w.-]*",
    "FONTTYPE": "serif|sans-serif",
    "FONTWIDTH": "fixed|proportional",
    "FONTCOLOR": "[0-9A-F]{6}",
    "FONTSTYLE": "bold|italics|bold italics",
    "ALIGN": "Left|Right|Center|Block",
    "BASEDIRECTION": "ltr|rtl|ttb|btt",
    "BASELINE": f"({NUMBER} ?)+",
    "SUBS_TYPE": "HypPart1|HypPart2",
    "LANG": "[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*",
}


def check_alto(root: Any) -> None:
    """What https://www.loc.gov/standards/alto/v4/alto-4-4.xsd asks for."""
    names: Counter[str] = Counter()
    references: set[str] = set()
    for element in root.iter():
        children, needed, allowed = SCHEMA[etree.QName(element).localname]
        assert element.tag.startswith(ALTO)
        inside = "".join(etree.QName(child).localname + " " for child in element)
        assert re.fullmatch(children, inside), f"{element.tag}: {inside}"
        attributes = {etree.QName(key).localname: value for key, value in element.items()}
        assert set(needed.split()) <= attributes.keys() <= set(f"{needed} {allowed}".split())
        for key, value in attributes.items():
            assert re.fullmatch(VALUES.get(key, "(?s).*"), value), f"{key}={value!r}"
        names.update([attributes["ID"]] if "ID" in attributes else [])
        references.update(attributes.get("STYLEREFS", "").split())
        references.update(attributes.get("TAGREFS", "").split())
    assert set(names.values()) == {1}
    assert references <= names.keys()


edges = st.floats(0, 3000, allow_nan=False)
sides = st.floats(1, 500, allow_nan=False)
boxes = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), edges, edges, sides, sides)
words = st.builds(
    Word, plain_words | hostile_words, boxes, st.floats(0, 1).map(np.float32), st.booleans()
)
looks = st.builds(
    Style,
    st.floats(1, 300),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 0xFFFFFF),
    st.sampled_from([None, "serif", "sans", "mono"]),
)
lines = st.builds(
    Line,
    st.lists(words, min_size=1, max_size=4).map(tuple),
    boxes,
    st.booleans(),
    st.sampled_from([0.0, 0.02, -0.3]),
    st.none() | looks,
)
paragraphs = st.builds(
    Paragraph,
    st.lists(lines, min_size=1, max_size=3).map(tuple),
    boxes,
    st.sampled_from(Kind),
    st.integers(1, 3),
    st.sampled_from(Align),
    st.none() | st.just(Box(0, 0, 9, 9)),
)
several = st.lists(paragraphs, max_size=2).map(tuple)
numbers: list[Any] = [np.int64(0), np.int32(1), np.int64(2)]  # As layout counts, at times.
tables = st.builds(
    lambda texts, box: Table(
        tuple(
            Cell(numbers[n // 2], numbers[n % 2], numbers[1], 1, text, box)
            for n, text in enumerate(texts)
        ),
        numbers[2],
        numbers[2],
        box,
    ),
    st.lists(several, min_size=4, max_size=4),
    boxes,
)
pictures = st.builds(Picture, boxes, st.just(b""), several)
contents = st.lists(st.lists(paragraphs | tables | pictures, max_size=3), min_size=1, max_size=2)


@each_writer
@settings(max_examples=25, deadline=None)
@given(blocks=contents)
def test_every_word_is_in_its_place(name: str, blocks: list[list[Block]]) -> None:
    """No word is lost, invented or moved, whatever it consists of."""
    pages = [page(*each, number=number) for number, each in enumerate(blocks, 1)]

    with TemporaryDirectory() as folder:
        found = read(name, write(name, Path(folder, "out"), *pages))

    assert len(found) == len(pages)
    for each, wanted in zip(found, pages, strict=True):
        expected = [
            (text, word)
            for one in wanted.lines
            for word in one.words
            if (text := storable(word.text))
        ]
        assert [word.text for word in each] == [text for text, _ in expected]
        for word, (_, given_) in zip(each, expected, strict=True):
            assert word.box == pytest.approx(given_.box, abs=EXACT[name])
            assert word.confidence == pytest.approx(float(given_.confidence), abs=0.0051)


@each_writer
def test_a_document_may_have_little_in_it(name: str, tmp_path: Path) -> None:
    """Pages without text, a sheet without end, and no pages at all."""
    sheet = page(table("a|b"), number=2, endless=True)

    assert [len(each) for each in read(name, write(name, tmp_path / "a", page(), sheet))] == [0, 2]
    assert read(name, write(name, tmp_path / "b")) == []


@each_writer
def test_pages_are_taken_one_at_a_time(name: str, tmp_path: Path) -> None:
    """A writer walks through the pages once and keeps none."""
    alive: list[int] = []

    class Counted(Page):
        def __del__(self) -> None:
            alive.remove(self.number)

    def pages() -> Iterator[Page]:
        for number in range(1, 4):
            made = Counted(number, 100, 100, 72, (paragraph("Text"),), recognized=True)
            alive.append(number)
            assert len(alive) <= 2
            yield made
            del made

    WRITERS[name].write(Document(pages()), tmp_path / "out")


# JSON.


def test_json_is_what_its_schema_says(tmp_path: Path) -> None:
    """Names as in the document; what has its default is left out."""
    style = Style(20.04, bold=True, colour=0xFF0000, family="serif")
    text = paragraph(line("a contin-", style=style), line("ued", slope=0.01), kind=Kind.HEADING)
    inside = (paragraph(line("图", vertical=True)),)
    blocks = (text, table("x|y"), Picture(Box(1, 2, 3, 4), b"", inside))

    target = write("json", tmp_path / "a", page(*blocks), languages=("zh-CN", "en"))

    found = json.loads(target.read_bytes())
    check_json(found, {"$ref": "DocumentModel"})
    assert found["languages"] == ["zh-CN", "en"]
    (one,) = found["pages"]
    assert one.keys() == {"number", "width", "height", "dpi", "recognized", "turns", "blocks"}
    head, grid, drawing = one["blocks"]
    assert (head["type"], head["kind"], head["text"]) == ("paragraph", "heading", "a continued")
    first, second = head["lines"]
    assert first["style"] == {"size": 20.0, "bold": True, "colour": "#ff0000", "family": "serif"}
    assert second == {
        "box": [100.0, 100.0, 160.0, 140.0],
        "text": "ued",
        "confidence": 0.75,
        "words": [{"text": "ued", "box": [100.0, 100.0, 160.0, 140.0], "confidence": 0.75}],
        "slope": 0.01,
    }
    assert (grid["rows"], grid["columns"], grid["heads"], len(grid["cells"])) == (1, 2, 1, 2)
    assert drawing["paragraphs"][0]["lines"][0]["vertical"] is True


PARTS = schema("{name}")[1]


def check_json(value: Any, kind: dict[str, Any]) -> None:
    """As far as the schema uses the language of schemas."""
    if "$ref" in kind:
        return check_json(value, PARTS[kind["$ref"]])
    if "discriminator" in kind:
        return check_json(value, PARTS[kind["discriminator"]["mapping"][value["type"]]])
    if "anyOf" in kind:
        return check_json(value, kind["anyOf"][0])
    if kind.get("type") == "object":
        assert set(kind["required"]) <= value.keys() <= kind["properties"].keys()
        for name, inside in value.items():
            check_json(inside, kind["properties"][name])
    elif kind.get("type") == "array":
        assert kind.get("minItems", 0) <= len(value) <= kind.get("maxItems", len(value))
        for inside in value:
            check_json(inside, kind["items"])
    elif "enum" in kind:
        assert value in kind["enum"]
    else:
        expected: dict[str, Any] = {
            "string": str,
            "number": (int, float),
            "integer": int,
            "boolean": bool,
        }
        assert isinstance(value, expected[kind["type"]])
    return None


def test_json_has_a_page_a_line(tmp_path: Path) -> None:
    """One is cut out as it stands in the whole; the text of another cannot pass for it."""
    trap = paragraph('\n{"number":2,\u2028x' + "x" * 200_000)
    target = write("json", tmp_path / "a", page(trap), page(number=2), page(trap, number=12))

    whole = target.read_bytes()
    spans = [page_span(target, number) or (0, 0) for number in (1, 2, 12)]

    cut = [json.loads(whole[start : start + length]) for start, length in spans]
    assert cut == json.loads(whole)["pages"]
    assert [page_span(target, number) for number in (0, 3, -1)] == [None] * 3


# hOCR.


def hocr(path: Path) -> Any:
    return etree.parse(str(path)).getroot()


def classes(root: Any) -> list[str]:
    """Those below the page and above the line, in their order."""
    return [
        each.get("class") for each in root.iterfind(f".//{XHTML}div[@class='ocr_page']//*[@class]")
    ]


def test_hocr_names_what_stands_on_a_page(tmp_path: Path) -> None:
    """Paragraphs of one column are one area; floats, tables and pictures are what they are."""
    column = Box(0, 0, 500, 900)
    blocks = (
        paragraph("head", kind=Kind.HEADER),
        paragraph("Title", kind=Kind.HEADING, level=2, column=column),
        paragraph("text", column=column),
        Picture(Box(1, 2, 3, 4), b"", (paragraph("label"),)),
        paragraph("Figure 1", kind=Kind.CAPTION),
        paragraph("7", kind=Kind.FOOTER),
    )

    root = hocr(write("hocr", tmp_path / "a", page(*blocks)))

    found = [name for name in classes(root) if name not in ("ocr_line", "ocrx_word")]
    assert found == [
        *("ocr_header", "ocr_par"),
        *("ocr_carea", "ocr_par", "ocr_par"),
        *("ocr_photo", "ocr_textfloat", "ocr_par"),
        *("ocr_caption", "ocr_par"),
        *("ocr_footer", "ocr_par"),
    ]
    promised = root.find(f".//{XHTML}meta[@name='ocr-capabilities']").get("content").split()
    assert set(classes(root)) <= set(promised)
    (title,) = root.iterfind(".//*[@role='heading']")
    assert (title.tag, title.get("aria-level")) == (XHTML + "p", "2")
    names = [each.get("id") for each in root.iterfind(".//*[@id]")]
    assert len(set(names)) == len(names)
    sheet = root.find(f".//{XHTML}div[@class='ocr_page']")
    assert sheet.get("title") == "bbox 0 0 1240 1754; ppageno 0; scan_res 150 150"


def test_hocr_tables_are_tables(tmp_path: Path) -> None:
    """With headings and spans; every element has an end of its own, as browsers want it."""
    made = table("a|b", "c|d")
    first = replace(made.cells[0], column_span=2)
    merged = replace(made, cells=(first, *made.cells[2:]))

    target = write("hocr", tmp_path / "a", page(merged))

    rows = hocr(target).findall(f".//{XHTML}table[@class='ocr_table']/{XHTML}tr")
    assert [[(cell.tag, cell.get("colspan")) for cell in row] for row in rows] == [
        [(XHTML + "th", "2")],
        [(XHTML + "td", None), (XHTML + "td", None)],
    ]
    assert set(re.findall(r"<(\w+)[^>]*/>", target.read_text("utf-8"))) == {"meta"}


def test_hocr_tells_ways_and_looks(tmp_path: Path) -> None:
    """Right to left, top to bottom, along a slope; fonts as CSS; spaces only where they are."""
    style = Style(25, bold=True, italic=True, colour=0x0000FF, family="mono")
    chinese = Line(
        (Word("今天", Box(0, 0, 40, 20)), Word("很好", Box(40, 0, 80, 20), spaced=False)),
        Box(0, 0, 80, 20),
    )
    blocks = (
        paragraph(line("مرحبا بالعالم")),
        paragraph(line("图", vertical=True)),
        paragraph(line("slanted text", slope=0.1, style=style)),
        paragraph(chinese),
    )

    root = hocr(write("hocr", tmp_path / "a", page(*blocks)))

    directions = [each.get("dir") for each in root.iter(XHTML + "p")]
    rows = list(root.iterfind(f".//{XHTML}span[@class='ocr_line']"))
    assert root.get("lang") == "zh-CN"
    assert directions == ["rtl", None, None, None]
    assert rows[1].get("title").endswith("; textangle 270")
    assert rows[2].get("title").endswith("; baseline 0.1000 -23; x_size 25.0")
    assert rows[2].get("style") == (
        "font-weight:bold;font-style:italic;color:#0000ff;font-family:monospace"
    )
    assert rows[2][0].get("title").endswith("; x_fsize 12.0")
    assert ["".join(row.itertext()) for row in rows[2:]] == ["slanted text", "今天很好"]


# ALTO.


def alto(path: Path) -> Any:
    root = etree.parse(str(path)).getroot()
    check_alto(root)
    return root


def labels(root: Any, element: Any) -> list[tuple[str, str]]:
    """The tags of an element."""
    names = element.get("TAGREFS", "").split()
    return [
        (each.get("TYPE"), each.get("LABEL"))
        for name in names
        for each in root.iterfind(f"{ALTO}Tags/*[@ID='{name}']")
    ]


def test_alto_names_what_stands_on_a_page(tmp_path: Path) -> None:
    """Kinds and places in tables are tags; text in a picture stands beside it."""
    blocks = (
        paragraph("Title", kind=Kind.HEADING, level=2),
        paragraph("text", align=Align.JUSTIFY),
        table("a|b", "c|d"),
        Picture(Box(1, 2, 3, 4), b"", (paragraph("label"),)),
        Picture(Box(1, 2, 3, 4), b""),
        paragraph("7", kind=Kind.FOOTER),
    )

    root = alto(write("alto", tmp_path / "a", page(*blocks), page(number=2)))

    space = root.find(f".//{ALTO}PrintSpace")
    names = [etree.QName(each).localname for each in space]
    assert names == [
        *("TextBlock", "TextBlock", "ComposedBlock", "ComposedBlock", "Illustration", "TextBlock")
    ]
    assert [each.get("TYPE") for each in space][2:4] == ["table", "picture"]
    assert labels(root, space[0]) == [("paragraph", "heading"), ("level", "2")]
    assert labels(root, space[1]) == []
    assert space[1].get("STYLEREFS") == "alignBlock"
    assert labels(root, space[2][1]) == [("row", "0"), ("column", "1"), ("cell", "heading")]
    assert labels(root, space[2][2]) == [("row", "1"), ("column", "0")]
    assert [etree.QName(each).localname for each in space[3]] == ["Illustration", "TextBlock"]
    assert labels(root, space[5]) == [("paragraph", "footer")]
    first = root.find(f".//{ALTO}Page")
    assert (first.get("LANG"), first.get("WIDTH")) == ("zh-CN", "1240.0")


def test_alto_tells_ways_and_looks(tmp_path: Path) -> None:
    """Directions and fonts of lines; spaces only where they are."""
    style = Style(25, bold=True, italic=True, colour=0xFF, family="mono")
    words_ = (Word("今", Box(0, 0, 40, 20)), Word("天", Box(40, 0, 80, 20), spaced=False))
    blocks = (
        paragraph(line("مرحبا بالعالم")),
        paragraph(line("图", vertical=True)),
        paragraph(line("slanted text", slope=0.1, style=style)),
        paragraph(Line(words_, Box(0, 0, 80, 20))),
    )

    root = alto(write("alto", tmp_path / "a", page(*blocks), languages=("zh-CN", "ar")))

    rows = list(root.iter(ALTO + "TextLine"))
    assert [row.get("BASEDIRECTION") for row in rows] == ["rtl", "ttb", None, None]
    assert rows[2].get("BASELINE") == "100.0 116.6 334.0 140.0"
    (font,) = root.iter(ALTO + "TextStyle")
    assert rows[2].get("STYLEREFS") == font.get("ID")
    assert {key: value for key, value in font.items() if key != "ID"} == {
        "FONTSIZE": "12.0",
        "FONTTYPE": "sans-serif",
        "FONTWIDTH": "fixed",
        "FONTCOLOR": "0000FF",
        "FONTSTYLE": "bold italics",
    }
    inside = [[etree.QName(each).localname for each in row] for row in rows[2:]]
    assert inside == [["String", "SP", "String"], ["String", "String"]]
    assert root.find(f".//{ALTO}Page").get("LANG") is None


def test_alto_puts_divided_words_together(tmp_path: Path) -> None:
    """Each part says how the whole word is written; the hyphen is told apart."""
    root = alto(write("alto", tmp_path / "a", page(paragraph("one contin-", "ued non-", "stop"))))

    found = [
        (each.get("CONTENT"), each.get("SUBS_TYPE"), each.get("SUBS_CONTENT"))
        for each in root.iter(ALTO + "String", ALTO + "HYP")
    ]
    assert found == [
        ("one", None, None),
        ("contin", "HypPart1", "continued"),
        ("-", None, None),
        ("ued", "HypPart2", "continued"),
        ("non-", None, None),
        ("stop", None, None),
    ]


# Pictures.


def jpegs(path: Path) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    with ZipFile(path) as archive:
        for name in archive.namelist():
            image = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            found[name] = image
    return found


@pytest.mark.parametrize("turns", range(4))
def test_pictures_are_upright(turns: int, tmp_path: Path) -> None:
    """A page that lay on its side is turned; red stays red."""
    upright = np.full((300, 200, 3), 255, np.uint8)
    upright[:100, :100] = (255, 0, 0)
    shown = page(turns=turns, load=lambda: np.rot90(upright, -turns))

    PicturesWriter().write(Document([shown]), tmp_path / "a.zip")

    found = jpegs(tmp_path / "a.zip")["1.jpg"]
    assert found.shape == upright.shape
    assert np.abs(found[..., ::-1].astype(int) - upright).mean() < 5


def test_pictures_are_not_too_large(tmp_path: Path) -> None:
    """The longer side has 2000 pixels at most, the other one at least."""
    sizes = {1: (5000, 3000), 2: (30, 20_000), 3: (5, 20_000), 4: (700, 500)}
    pages = [
        page(number=n, load=lambda size=size: np.zeros((*size, 3), np.uint8))
        for n, size in sizes.items()
    ]

    PicturesWriter().write(Document(pages), tmp_path / "a.zip")

    found = {name: each.shape[:2] for name, each in jpegs(tmp_path / "a.zip").items()}
    assert found == {
        "1.jpg": (2000, 1200),
        "2.jpg": (3, 2000),
        "3.jpg": (1, 2000),
        "4.jpg": (700, 500),
    }


def test_pages_that_cannot_be_shown_have_no_picture(tmp_path: Path) -> None:
    """The others have theirs, by their numbers."""

    def fail() -> NDArray[np.uint8]:
        raise InvalidFile("It is damaged.")

    white = np.full((9, 9, 3), 255, np.uint8)
    pages = [
        page(load=fail),
        page(number=2),
        page(number=3, load=lambda: white),
        page(number=4, load=lambda: white, endless=True),
    ]

    PicturesWriter().write(Document(pages), tmp_path / "a.zip")

    assert list(jpegs(tmp_path / "a.zip")) == ["3.jpg"]


def test_each_can_be_ordered(settings: Settings, tmp_path: Path) -> None:
    """Through the whole pipeline, from an image."""
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), np.repeat([[[0]], [[255]]], 150, 0).repeat(200, 1))
    pipeline = wiring.pipeline(settings)

    for form in (*WRITERS, "pictures"):
        order = Order(form, parse("ChinesePRC,English"))
        outcome = pipeline.run(order, source, tmp_path, tmp_path / form, lambda *_: None)
        assert (outcome.pages, outcome.failed) == (1, ())

    assert all(len(read(name, tmp_path / name)[0]) > 0 for name in WRITERS)
    assert jpegs(tmp_path / "pictures")["1.jpg"].shape == (300, 200, 3)
