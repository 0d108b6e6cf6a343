import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.document import Box, Line, Word
from app.engines.ppocr_context import in_context


def lines(*texts: str) -> list[Line]:
    box = Box(0, 0, 100, 20)
    return [Line(tuple(Word(word, box) for word in text.split()), box) for text in texts]


def read(*texts: str) -> list[str]:
    return [line.text for line in in_context(lines(*texts))]


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        ("the fi1e she11", "the file shell"),  # One inside a word gives those at ends away.
        ("a fi1e in 1ibc", "a file in libc"),
        ("caII it weII", "caII it weII"),  # Two at a word's end alone prove nothing.
        ("heIlo wor1d", "hello world"),
        ("n0thing", "nothing"),
        ("2O24", "2024"),
    ],
)
def test_look_alikes_between_letters(seen: str, meant: str) -> None:
    """Between small letters stands an l or an o, between digits a zero."""
    assert read(seen) == [meant]


@pytest.mark.parametrize("text", ["sha1 and base64", "x11 h1 1st 2nd", "v1.0 utf8 b0a1c2", "Il"])
def test_what_may_be_meant_stays(text: str) -> None:
    """Codes, versions and ordinals hold digits."""
    assert read(text) == [text]


def test_straight_quotes() -> None:
    """Closing quotes without any opening ones were straight; pairs stay as they are."""
    assert read("設定は”名前”と”値”です") == ['設定は"名前"と"値"です']
    assert read("他说“你好”。") == ["他说“你好”。"]


def test_quotes_of_a_pair_are_alike() -> None:
    """The first of two quotes tells how the second was set."""
    assert read('使用"m”命令 “a" “b”') == ['使用"m"命令 “a” “b”']


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        ("コンピュ一タ", "コンピュータ"),
        ("プ口グラム", "プログラム"),
        ("フアイル", "ファイル"),
        ("シエル", "シェル"),
        ("グループ一覧", "グループ一覧"),
    ],
)
def test_katakana(seen: str, meant: str) -> None:
    """Between kana stands kana, and a small one after those that need it."""
    assert read(seen) == [meant]


@given(st.lists(st.text(min_size=1).filter(str.split), max_size=5))
def test_nothing_moves(texts: list[str]) -> None:
    """One character takes the place of one: words keep their number and lengths."""
    before = lines(*texts)

    after = in_context(before)

    assert [[len(w.text) for w in line.words] for line in after] == [
        [len(w.text) for w in line.words] for line in before
    ]
