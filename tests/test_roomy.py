"""Documents of which only the text matters."""

from pathlib import Path
from typing import Any

import docx
import pptx
import pytest
from docx.document import Document
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml.parser import parse_xml
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from app.converters.charts import MAX_VALUES
from app.converters.roomy import make_roomy

CATEGORIES: Any = CategoryChartData
POINTS: Any = XyChartData
NAMES = " ".join(
    f'xmlns:{prefix}="http://schemas.openxmlformats.org/{name}"'
    for prefix, name in {
        "a": "drawingml/2006/main",
        "m": "officeDocument/2006/math",
        "c": "drawingml/2006/chart",
        "r": "officeDocument/2006/relationships",
        "w": "wordprocessingml/2006/main",
        "wp": "drawingml/2006/wordprocessingDrawing",
    }.items()
)
CHART = f"""<c:chartSpace {NAMES}><c:chart>
<c:title><c:tx><c:rich><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:rich></c:tx></c:title>
<c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache><c:pt idx="0"><c:v>2024</c:v></c:pt>
</c:strCache></c:strRef></c:tx><c:cat><c:multiLvlStrRef><c:multiLvlStrCache>
<c:lvl><c:pt idx="0"><c:v>Q1</c:v></c:pt><c:pt idx="1"><c:v>Q2</c:v></c:pt></c:lvl>
<c:lvl><c:pt idx="0"><c:v>East</c:v></c:pt></c:lvl></c:multiLvlStrCache></c:multiLvlStrRef></c:cat>
<c:val><c:numRef><c:numCache><c:formatCode>0.0%</c:formatCode>
<c:pt idx="0"><c:v>0.25</c:v></c:pt><c:pt idx="1"><c:v>0.5</c:v></c:pt></c:numCache></c:numRef>
</c:val></c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>"""


def word(folder: Path, *paragraphs: str) -> Document:
    """What becomes of a Word document with these paragraphs, and maybe a chart."""
    document = docx.Document()
    part = Part(PackURI("/word/charts/chart1.xml"), "text/xml", CHART.encode())
    relation = document.part.relate_to(
        part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/chart"
    )
    for inside in paragraphs:
        text = f"<w:p {NAMES}>{inside}</w:p>".replace("rIdC", relation)
        document.element.body.append(parse_xml(text))
    document.save(str(folder / "a.docx"))
    return docx.Document(str(make_roomy(folder / "a.docx", folder / "b.docx")))


def test_a_chart_in_word_is_its_values(tmp_path: Path) -> None:
    """Under its title, in the formats of the numbers; outer categories hold for all inner ones."""
    chart = '<a:graphicData><c:chart r:id="rIdC"/></a:graphicData>'
    run = f"<w:r><w:drawing><wp:inline><a:graphic>{chart}</a:graphic></wp:inline></w:drawing></w:r>"

    document = word(tmp_path, f"<w:r><w:t>See </w:t></w:r>{run}")

    (table,) = document.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["", "2024"],
        ["East Q1", "25.0%"],
        ["East Q2", "50.0%"],
    ]
    assert [each.text for each in document.paragraphs if each.text] == ["Sales", "See "]
    assert "<w:drawing>" not in document.element.xml


def slide(folder: Path, kind: XL_CHART_TYPE, data: Any) -> Path:
    slides = pptx.Presentation()
    shapes = slides.slides.add_slide(slides.slide_layouts[6]).shapes
    frame = shapes.add_chart(kind, Inches(1), Inches(1), Inches(8), Inches(5), data)
    frame.chart.has_title = True
    frame.chart.chart_title.text_frame.text = "Of trees"
    slides.save(str(folder / "a.pptx"))
    return make_roomy(folder / "a.pptx", folder / "b.pptx")


def cells(path: Path) -> list[list[str]]:
    (shape,) = pptx.Presentation(str(path)).slides[0].shapes
    return [[cell.text for cell in row.cells] for row in shape.table.rows]


def test_a_chart_on_a_slide_is_its_values(tmp_path: Path) -> None:
    """A column for each series, a row for each category; what is missing is empty."""
    data = CATEGORIES()
    data.categories = ["North", "South"]
    data.add_series("Oak", (1.5, 2))
    data.add_series("Elm", (3, None))

    path = slide(tmp_path, XL_CHART_TYPE.COLUMN_CLUSTERED, data)

    assert cells(path) == [
        ["Of trees", "", ""],
        ["", "Oak", "Elm"],
        ["North", "1.5", "3"],
        ["South", "2", ""],
    ]


def test_points_are_pairs(tmp_path: Path) -> None:
    """Series that stand at places of their own are below each other."""
    data = POINTS()
    for name, points in {"Oak": ((1, 2.5), (2, 3)), "Elm": ((7, 8),)}.items():
        series = data.add_series(name)
        for point in points:
            series.add_data_point(*point)

    path = slide(tmp_path, XL_CHART_TYPE.XY_SCATTER, data)

    assert cells(path)[1:] == [["", "Oak"], ["1", "2.5"], ["2", "3"], ["", "Elm"], ["7", "8"]]


@pytest.mark.parametrize("count", [500, MAX_VALUES + 1])
def test_a_chart_of_many_values_is_drawn(tmp_path: Path, count: int) -> None:
    """A slide has no room for them."""
    data = CATEGORIES()
    data.categories = list(map(str, range(count)))
    data.add_series("Noise", range(count))

    path = slide(tmp_path, XL_CHART_TYPE.LINE, data)

    (shape,) = pptx.Presentation(str(path)).slides[0].shapes
    assert shape.has_chart


def sign(font: str, code: str) -> str:
    return f'<w:r><w:sym w:font="{font}" w:char="{code}"/></w:r>'


def box(settings: str) -> str:
    data = f"<w:ffData><w:checkBox>{settings}</w:checkBox></w:ffData>"
    return f'<w:r><w:fldChar w:fldCharType="begin">{data}</w:fldChar></w:r>'


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (sign("Wingdings", "F0FE") + sign("Wingdings", "F0A8"), "☑☐"),
        (sign("Wingdings 2", "0052") + sign("Wingdings 2", "F0A3"), "☑☐"),
        (sign("Symbol", "F0B1") + sign("Symbol", "F06D"), "±μ"),
        (box('<w:default w:val="0"/><w:checked/>') + box('<w:default w:val="0"/>'), "☒☐"),
        (box('<w:default w:val="1"/>') + box('<w:checked w:val="0"/>'), "☒☐"),
        (
            '<w:r><w:rPr><w:rFonts w:ascii="Wingdings 2" w:hAnsi="Wingdings 2"/></w:rPr>'
            "<w:t>R\uf0a3</w:t></w:r>",
            "☑☐",
        ),
        ('<w:r><w:rPr><w:rFonts w:ascii="Arial"/></w:rPr><w:t>R</w:t></w:r>', "R"),
    ],
)
def test_signs_are_text(tmp_path: Path, inside: str, text: str) -> None:
    """Those of symbol fonts, and check boxes of forms."""
    assert [each.text for each in word(tmp_path, inside).paragraphs] == [text]


def test_signs_that_nobody_knows_stay(tmp_path: Path) -> None:
    """Another font may draw anything."""
    document = word(tmp_path, sign("My Logos", "F041") + sign("Wingdings", "zz"))

    assert document.element.xml.count("<w:sym ") == 2


def m(name: str, *inside: str) -> str:
    return f"<m:{name}>{''.join(inside)}</m:{name}>"


def t(text: str) -> str:
    return m("r", m("t", text))


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (m("f", m("num", t("a+b")), m("den", t("c"))) + t("=x"), "(a+b)/c=x"),
        (m("sSubSup", m("e", t("x")), m("sub", t("i")), m("sup", t("2"))), "x_i^2"),
        (m("sSup", m("e", m("d", m("e", t("a+b")))), m("sup", t("n+1"))), "(a+b)^(n+1)"),
        (m("rad", m("deg"), m("e", t("x"))), "√x"),
        (m("rad", m("deg", t("3")), m("e", t("x+1"))), "√(3&x+1)"),
        (
            m(
                *("nary", '<m:naryPr><m:chr m:val="∑"/></m:naryPr>', m("sub", t("i=1"))),
                *(m("sup", t("n")), m("e", t("i"))),
            ),
            "∑_(i=1)^n i",
        ),
        (
            m(
                *("d", '<m:dPr><m:begChr m:val="{"/><m:endChr m:val=""/></m:dPr>'),
                m("e", m("eqArr", m("e", t("a")), m("e", t("b")))),
            ),
            "{a; b",
        ),
        (m("m", m("mr", m("e", t("1")), m("e", t("0"))), m("mr", m("e", t("2")))), "1, 0; 2"),
        (m("func", m("fName", t("sin")), m("e", t("x"))), "sin x"),
        (m("limLow", m("e", t("lim")), m("lim", t("x→0"))), "lim_(x→0)"),
        (m("borderBox", m("e", t("y"))), "y"),
    ],
)
def test_formulas_are_lines(tmp_path: Path, formula: str, text: str) -> None:
    """With brackets where places told what belongs together; also those in the middle of a line."""
    inside = f"<w:r><w:t>Let </w:t></w:r>{m('oMath', formula)}<w:r><w:t>.</w:t></w:r>"

    document = word(tmp_path, inside, m("oMathPara", m("oMath", formula)))

    assert [each.text for each in document.paragraphs] == [f"Let {text}.", text]
