"""What Excel shows of a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.converters.number_formats import BUILT_IN, shown, shown_text


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        ("17500", "General", "17500"),
        ("8.381538461538465", "General", "8.381538462"),
        ("123456789012", "General", "1.23457E+11"),
        ("0.1", "General", "0.1"),
        ("-3.5", "General", "-3.5"),
        ("1234567.891", "#,##0.00", "1,234,567.89"),
        ("1234567", "#,##0,", "1,235"),
        ("1234", "# ##0", "1 234"),
        ("0.256", "0.0%", "25.6%"),
        ("-5", "0;(0)", "(5)"),
        ("-5", "0.0", "-5.0"),
        ("-0.001", "0.0", "0.0"),
        ("0", '0;-0;"-"', "-"),
        ("0", "#", ""),
        ("0.5", ".00", ".50"),
        ("5", '000"-"00', "000-05"),
        ("5", "[Red]0", "5"),
        ("1234.5", "[$€-407] #,##0.00", "€ 1,234.50"),
        ("12345", "0.00E+00", "1.23E+04"),
        ("0.00012", "0.00E+00", "1.20E-04"),
        ("0.5", "# ?/?", "1/2"),
        ("2.25", "# ?/?", "2 1/4"),
        ("1.5", '[<10]#" Wow"', "2 Wow"),
        ("10", '[<10]#" Wow"', "10"),
        ("45000", "yyyy-mm-dd", "2023-03-15"),
        ("45000", BUILT_IN[14], "3/15/2023"),
        ("45000", 'yyyy"年"m"月"d"日"', "2023年3月15日"),
        ("45000.75", "m/d/yyyy h:mm AM/PM", "3/15/2023 6:00 PM"),
        ("1.5", "[h]:mm:ss", "36:00:00"),
        ("0.00069444", "mm:ss.0", "01:00.0"),
        ("1", "m/d/yyyy", "1/1/1900"),
    ],
)
def test_numbers(number: str, code: str, text: str) -> None:
    """Each as in Excel."""
    assert shown(number, code) == text


def test_other_calendar() -> None:
    """Workbooks of old Macintoshes count from 1904."""
    assert shown("0", "yyyy-mm-dd", date1904=True) == "1904-01-01"


def test_texts() -> None:
    """A format may add to texts."""
    assert shown_text("a", "General") == "a"
    assert shown_text("a", '"x"@') == "xa"
    assert shown_text("a", '0;0;0;"t: "@') == "t: a"


@given(st.floats(allow_nan=True).map(repr) | st.text(), st.text('0#?.,%;E+-/ymdhsAP@[]<>="\\_*a1'))
def test_nothing_is_an_error(number: str, code: str) -> None:
    """Whatever number and format a file has, there is a text."""
    assert isinstance(shown(number, code), str)
    assert isinstance(shown_text(number, code), str)


@given(st.integers(-(10**10), 10**10))
def test_whole_numbers_stay(number: int) -> None:
    """All their figures are shown."""
    assert shown(str(number), "General") == str(number)
    assert shown(str(number), "#,##0").replace(",", "") == str(number)
