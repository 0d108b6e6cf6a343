import random

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import FileResult, Run
from benchmarks.metrics import character_error_rate, token_f1
from benchmarks.report import rows

texts = st.text(st.sampled_from("aB1 ,。中文かナ\n"))


@given(texts, texts)
def test_the_error_rate_is_a_share(found: str, truth: str) -> None:
    """Between 0 and 1, and 0 for the truth itself."""
    assert 0 <= character_error_rate(found, truth) <= 1
    assert character_error_rate(truth, truth) == 0


def test_an_edit_counts_for_its_share_of_the_true_characters() -> None:
    """Whether a character is wrong, missing or too many."""
    assert [
        character_error_rate(found, "文字认识") for found in ("文宇认识", "文认识", "文字字认识")
    ] == [0.25] * 3


def test_white_space_and_width_are_no_errors() -> None:
    """Nor is the place where a line breaks."""
    assert character_error_rate("ＯＣＲ 识\n别", "OCR识别") == 0


@given(st.lists(st.sampled_from(["word", "2026", "中", "文", "か"])), st.randoms())
def test_the_order_of_tokens_does_not_matter(tokens: list[str], order: random.Random) -> None:
    """Every token read, and none beside: 1, or 0 where there is none."""
    shuffled = order.sample(tokens, len(tokens))

    assert token_f1(" ".join(shuffled), " ".join(tokens)) == bool(tokens)


def test_a_token_read_once_is_not_read_twice() -> None:
    """F1 counts tokens as often as they stand there."""
    assert token_f1("中", "中中中") == 0.5


def test_groups_of_pages_add_up() -> None:
    """Pages by the seconds of all groups; errors by file."""
    runs = [_run("zh", 2, 1.0, 0.1), _run("en", 2, 3.0, 0.3), _run("phone", 5, 1.0, 0.9)]

    together, *_ = rows(runs, ("zh", "en"))

    assert (together.group, together.pages_per_s) == ("all pages", 1.0)
    assert (together.cer, together.worst_file) == (0.2, "en.png")


def _run(group: str, pages: int, seconds: float, cer: float) -> Run:
    file = FileResult(f"{group}.png", pages, cer, 1 - cer, "")
    return Run("tesseract", group, pages, seconds, seconds, (seconds,), 0, {}, (file,))
