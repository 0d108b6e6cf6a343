import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.document import Box, Line, Word
from app.engines.mixing import Taste, doubtful, mix
from app.engines.pieces import Pieces
from app.languages import parse

PIECE = Pieces.straight(np.array([[[0, 0], [400, 0], [400, 30], [0, 30]]], np.float32))


def word(text: str, left: float, right: float, confidence: float = 0.95) -> Word:
    return Word(text, Box(left, 0, right, 30), confidence)


def line(*words: Word) -> Line:
    return Line(words, Box.around(word.box for word in words))


def taste(names: str) -> Taste:
    return Taste.of(parse(names))


def mixed(names: str, ours: Line | None, *theirs: Line | None) -> str:
    read = mix(ours, theirs, taste(names))
    return read.text if read else ""


def test_nothing_from_both_is_nothing() -> None:
    """No line is invented."""
    assert mix(None, [None], taste("Korean")) is None
    assert mix(None, [line(word(".", 0, 10, 1.0))], taste("Korean")) is None


def test_letters_of_its_own_script_are_given_up_only_to_a_much_surer_reading() -> None:
    """A Russian word may look like a Latin one."""
    theirs = line(word("CCCP", 100, 200, 0.99))

    assert mixed("Russian", line(word("СССР", 100, 200, 0.93)), theirs) == "СССР"
    assert mixed("Russian", line(word("Мют", 100, 200, 0.7)), theirs) == "CCCP"


def test_a_reading_that_is_not_sure_is_left_out() -> None:
    """What ppocr sees in foreign scripts has low confidence."""
    ours = line(word("สวัสดี", 0, 300, 0.6))

    assert mixed("Thai", ours, line(word("vašua", 0, 300, 0.6))) == "สวัสดี"


def test_han_counts_only_where_it_was_asked_for() -> None:
    """In Korean text, ppocr takes Hangul for Han now and then."""
    ours = line(word("브브", 0, 60, 0.5))
    theirs = line(word("中文", 0, 60, 0.97))

    assert mixed("Korean", ours, theirs) == "브브"
    assert mixed("Korean,ChinesePRC", ours, theirs) == "中文"


def test_letters_with_marks_are_not_lost_to_ppocr() -> None:
    """It leaves out what it has no letters for and is sure of the rest, unlike where all fails."""
    theirs = line(word("tit", 0, 60, 1.0))

    assert mixed("Vietnamese", line(word("tiết", 0, 60, 0.8)), theirs) == "tiết"
    assert mixed("Vietnamese", line(word("}W)", 0, 60, 0.2)), theirs) == "tit"


def test_punctuation_comes_with_its_word() -> None:
    """Brackets beside Han have no letters of their own, and no spaces."""
    theirs = Line(
        (
            word("汤加语", 100, 190, 0.99),
            Word("(", Box(190, 0, 200, 30), 0.9, spaced=False),
            Word("汤加岛", Box(200, 0, 290, 30), 0.99, spaced=False),
            Word(")", Box(290, 0, 300, 30), 0.9, spaced=False),
        ),
        Box(100, 0, 300, 30),
    )

    ours = line(word("санскрит", 0, 95), word("УЙ", 110, 200, 0.3), word("ТЖ", 210, 300, 0.3))

    assert mixed("Russian,ChinesePRC", ours, theirs) == "санскрит 汤加语(汤加岛)"


def test_latin_words_run_to_the_right_in_a_line_that_runs_to_the_left() -> None:
    """The order of words is that in which they are read aloud."""
    ours = line(
        word("برنامج", 300, 390),
        word("09", 220, 280, 0.4),
        word("0", 160, 200, 0.4),
        word("هنا", 10, 90),
    )
    theirs = line(word("Open", 155, 205, 0.99), word("Office", 215, 285, 0.99))

    assert mixed("Arabic", ours, theirs) == "برنامج Open Office هنا"


def test_a_line_of_ppocr_alone_runs_to_the_right() -> None:
    """Whatever order Tesseract gave to the noise it read in its place."""
    ours = line(word("ضض", 200, 390, 0.3), word("صص", 10, 190, 0.3))
    theirs = line(word("Move", 10, 190, 0.99), word("files", 200, 390, 0.99))

    assert mixed("Arabic", ours, theirs) == "Move files"


def test_a_gap_is_looked_at() -> None:
    """Tesseract may leave out a word; a usual space is no such place."""
    ours = line(word("모든", 10, 100), word("스키마", 200, 390))

    (part,) = doubtful(ours, PIECE, taste("Korean"))

    expected = np.array([[[100, 0], [200, 0], [200, 30], [100, 30]]])
    assert part.corners == pytest.approx(expected)
    assert (
        doubtful(line(word("모든", 10, 190), word("a.", 210, 390)), PIECE, taste("Vietnamese"))
        == []
    )


def test_a_line_mostly_in_doubt_is_read_as_a_whole() -> None:
    """Parts of it would lack each other's context."""
    ours = line(word("모든", 10, 50), word("081", 60, 390, 0.4))

    (part,) = doubtful(ours, PIECE, taste("Korean"))

    assert part is PIECE


words = st.builds(
    lambda text, left, width, confidence: word(text, left, left + width, confidence),
    st.text("ab1.,中文привет", min_size=1, max_size=4),
    st.integers(0, 350),
    st.integers(1, 80),
    st.floats(0, 1),
)
lines = st.none() | st.lists(words, min_size=1, max_size=6).map(lambda found: line(*found))


@given(lines, st.lists(lines, max_size=3), st.sampled_from(["Russian", "Russian,ChinesePRC"]))
def test_no_word_is_invented(ours: Line | None, theirs: list[Line | None], names: str) -> None:
    """Each word of the mixed line was read by one of the two in its place."""
    read = mix(ours, theirs, taste(names))

    sources = [one for source in (ours, *theirs) if source for one in source.words]
    found = [(one.text, one.box) for one in read.words] if read else []
    assert set(found) <= {(one.text, one.box) for one in sources}
