"""Any document at all: every writer makes a file of it that opens again, with its text."""

import re
import zipfile
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docx
import openpyxl
import pikepdf
import pptx
import pypdfium2
import pytest
from docx.oxml.ns import qn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

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
from app.interfaces import Writer
from app.writers.docx import DocxWriter
from app.writers.pdf import PdfWriter
from app.writers.pdfa import ArchivalPdfWriter
from app.writers.pptx import PptxWriter
from app.writers.text_limits import storable
from app.writers.txt import TextWriter
from app.writers.xlsx import XlsxWriter
from tests.pictures import picture

WRITERS: dict[str, Writer] = {
    "txt": TextWriter(),
    "pdf": PdfWriter(),
    "pdfa": ArchivalPdfWriter(),
    "docx": DocxWriter(),
    "xlsx": XlsxWriter(),
    "pptx": PptxWriter(),
}
PICTURE = picture("AB", size=(60, 30), points=20)

ODD = [
    "=cmd|' /C calc'!A0", '=HYPERLINK("http://x/","y")', "+1+1", "-2+3", "@SUM(A1:A9)", "\t=1+1",
    "=1+1", "#REF!", "TRUE", "1e400", "-1e400", "9" * 400, "0x10", "NaN", "1/2", "1-2-3", "'=1",
    "_x0041_", "_x005F_", "<w:p/>", "&amp;", "]]>", "{{x}}", "\0", "\ud800", "\udfff\ud800",
    "\ufffe", "\u202eabc", "שלום", "مرحبا", "عالم١٢٣", "😀", "👨\u200d👩", "e\u0301" * 50,
    "\u0e33\u0e33", "𠮷野家", "\u2028", "\r\n", "\x1b[31m", "\ufeff", "\u200d", "x" * 3000,
    "今天" * 500, "-", "·", "1.", "(", "",
]  # fmt: skip
texts = st.sampled_from(ODD) | st.text(max_size=12)

sizes = st.sampled_from([0.0, 0.001, 1.0, 20.0, 300.0, 1e5])
places = st.sampled_from([-1e6, -50.0, 0.0, 0.5, 100.0, 700.0, 1e6]) | st.floats(-2000, 4000)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(places), draw(places)
    return Box(left, top, left + draw(sizes), top + draw(sizes))


words = st.builds(Word, texts, boxes(), st.floats(0, 1), st.booleans())
styles = st.builds(
    Style,
    st.sampled_from([0.001, 1.0, 12.0, 40.0, 1e5]),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 0xFFFFFF),
    st.sampled_from([None, "serif", "sans", "mono"]),
)
lines = st.builds(
    Line,
    st.lists(words, max_size=3).map(tuple),
    boxes(),
    vertical=st.booleans(),
    slope=st.sampled_from([0.0, 0.0, 0.1, -5.0]),
    style=st.none() | styles,
    given=st.booleans(),
)
paragraphs = st.builds(
    Paragraph,
    st.lists(lines, min_size=1, max_size=3).map(tuple),
    boxes(),
    st.sampled_from(Kind),
    st.integers(1, 3),
    st.sampled_from(Align),
    st.none() | boxes(),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Each place of the grid belongs to one cell, which takes as many free ones as it likes."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    taken: set[tuple[int, int]] = set()
    cells = []
    for row in range(rows):
        for column in range(columns):
            if (row, column) in taken:
                continue
            down, across = draw(st.integers(1, rows - row)), draw(st.integers(1, columns - column))
            while any((row, column + n) in taken for n in range(across)):
                across -= 1
            taken |= {(row + m, column + n) for m in range(down) for n in range(across)}
            inside = draw(st.lists(paragraphs, max_size=2))
            cells.append(Cell(row, column, down, across, tuple(inside), draw(boxes())))
    return Table(
        tuple(cells), rows, columns, draw(boxes()), draw(st.booleans()), draw(st.integers(0, rows)),
        draw(st.none() | boxes()),
    )  # fmt: skip


pictures = st.builds(
    Picture, boxes(), st.just(PICTURE), st.lists(paragraphs, max_size=1).map(tuple)
)


@st.composite
def pages(draw: st.DrawFn) -> list[Page]:
    blocks: st.SearchStrategy[Block] = st.one_of(paragraphs, tables(), pictures)
    return [
        Page(
            number,
            draw(st.sampled_from([1.0, 3.5, 800.0, 1240.0, 30_000.0])),
            draw(st.sampled_from([1.0, 3.5, 800.0, 1754.0, 30_000.0])),
            draw(st.sampled_from([1.0, 72.0, 150.0, 1200.0])),
            tuple(draw(st.lists(blocks, max_size=4))),
            recognized=True,
            endless=draw(st.booleans()),
        )
        for number in range(1, draw(st.integers(1, 2)) + 1)
    ]


@pytest.mark.parametrize("name", WRITERS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(made=pages())
def test_any_document_can_be_written_and_read(name: str, made: list[Page]) -> None:
    """The file opens again and has all characters, whatever they would mean elsewhere."""
    with TemporaryDirectory() as folder:
        target = Path(folder, f"out.{name}")
        WRITERS[name].write(Document(iter(made)), target)
        found = read(name, target)

    if found is not None:
        wanted = "".join(
            text
            for page in made
            for block in page.blocks
            for part in ([block] if isinstance(block, Paragraph) else page_of(block))
            for text in part.line_texts
        )
        assert characters(found) == characters(storable(wanted))


def page_of(block: Block) -> tuple[Paragraph, ...]:
    """The paragraphs within a table or picture."""
    return Page(1, 1, 1, 1, (block,), recognized=True).paragraphs


def characters(text: str) -> Counter[str]:
    """How often each is there, but for white space."""
    return Counter(re.sub(r"[\s\ufeff]", "", text))


def read(name: str, path: Path) -> str | None:
    """All text of the file; None if it can be had in another order or shape only."""
    if name == "txt":
        return path.read_bytes().decode("utf-8")
    if name in ("pdf", "pdfa"):
        with pikepdf.open(path) as pdf, pypdfium2.PdfDocument(path) as opened:
            assert len(opened) == len(pdf.pages) > 0
            assert pdf.get_warnings() == []
        return None
    with zipfile.ZipFile(path) as archive:
        for part in archive.namelist():
            if part.endswith((".xml", ".rels")):
                etree.fromstring(archive.read(part))
        if name == "docx":
            docx.Document(str(path))
            body = etree.fromstring(archive.read("word/document.xml"))
            heads = [
                etree.fromstring(archive.read(part))
                for part in archive.namelist()
                if re.fullmatch(r"word/(header|footer)\d*\.xml", part)
            ]
            return "".join(written(each) for each in [body, *heads])
        if name == "xlsx":
            assert not any(b"<f>" in archive.read(part) for part in archive.namelist())
            return cells(path)
    return "".join(
        written(shape._element, "a") for slide in pptx.Presentation(str(path)).slides
        for shape in slide.shapes
    )  # fmt: skip


def written(element: Any, prefix: str = "w") -> str:
    tag = qn("w:t") if prefix == "w" else "{http://schemas.openxmlformats.org/drawingml/2006/main}t"
    return "".join(each.text or "" for each in element.iter(tag))


def cells(path: Path) -> str | None:
    """The texts of all cells; None if there are numbers among them."""
    found = []
    for sheet in openpyxl.load_workbook(path):
        for row in sheet:
            for cell in row:
                if cell.value is not None:
                    assert cell.data_type in ("s", "n", "d"), cell.data_type
                    if cell.data_type != "s":
                        return None
                    found.append(str(cell.value).replace("_x005F_", "_"))
    return "".join(found)
