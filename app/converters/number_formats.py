"""Numbers, dates and texts as Excel shows them in a cell, by the cell's format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from fractions import Fraction
from functools import lru_cache

BUILT_IN = {
    0: "General",
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    5: '"$"#,##0;("$"#,##0)',
    6: '"$"#,##0;("$"#,##0)',
    7: '"$"#,##0.00;("$"#,##0.00)',
    8: '"$"#,##0.00;("$"#,##0.00)',
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    14: "m/d/yyyy",  # The order of the country; here that of the United States, as in Excel's file.
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    22: "m/d/yyyy h:mm",
    27: 'yyyy"年"m"月"',  # 27 to 58 as in the Chinese Excel, the only one that makes many files
    28: 'm"月"d"日"',  # with them.
    29: 'm"月"d"日"',
    30: "m-d-yy",
    31: 'yyyy"年"m"月"d"日"',
    32: 'h"时"mm"分"',
    33: 'h"时"mm"分"ss"秒"',
    36: 'yyyy"年"m"月"',
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
    48: "##0.0E+0",
    49: "@",
    50: 'yyyy"年"m"月"',
    51: 'm"月"d"日"',
    52: 'yyyy"年"m"月"',
    53: 'm"月"d"日"',
    54: 'm"月"d"日"',
    57: 'yyyy"年"m"月"',
    58: 'm"月"d"日"',
}


def shown(number: str, code: str, date1904: bool = False) -> str:
    """The ``number``, as it stands in the file, in the format ``code``.

    What the format does not understand is shown as if it had none.
    """
    if code == "General" and len(number) < 11 and number.isdecimal() and number[0] != "0":
        return number  # As most are: there is nothing to do.
    try:
        value = Decimal(number)
        if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
            return number
        # Excel keeps 15 digits; a file may have 17, for the last bit.
        with localcontext() as context:
            context.prec, context.rounding = 15, ROUND_HALF_UP
            value = +value
        return _number(value, code, date1904)
    except (InvalidOperation, ValueError, OverflowError):
        return number


def shown_text(text: str, code: str) -> str:
    """The ``text`` in the format ``code``, which may add to it."""
    sections = _sections(code)
    last = sections[-1]
    if "@" not in last.signs or (len(sections) < 4 and len(last.signs) == 1):
        return text
    return "".join(text if sign == "@" else sign[1:] for sign in last.signs if sign[0] in "@'")


_MOST_DIGITS = 308  # Of a floating-point number.


@dataclass(frozen=True, slots=True)
class _Section:
    """One of the parts that semicolons separate, in signs; a literal one begins with ``'``."""

    signs: tuple[str, ...]
    condition: tuple[str, Decimal] | None = None

    @property
    def is_date(self) -> bool:
        return any(sign[0] in "ymdhs[aA" and sign != "@" for sign in self.signs)


_SIGN = re.compile(
    r"""(?P<literal>"[^"]*"?|\\.|_.|\*.)
      | (?P<elapsed>\[(?:h+|m+|s+)\])
      | (?P<condition>\[(?:<=|>=|<>|<|>|=)\s*-?[0-9.]+(?:E[-+]?[0-9]+)?\])
      | (?P<currency>\[\$[^\]]*\])
      | (?P<other>\[[^\]]*\])
      | (?P<general>general)
      | (?P<noon>am/pm|a/p|上午/下午)
      | (?P<exponent>e[-+])
      | (?P<letters>y+|m+|d+|h+|s+|e+|b+|a{3,4})
      | (?P<digit>[0#?])
      | (?P<mark>[.,%@/])
      | (?P<end>;)
      | (?P<rest>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


@lru_cache(1024)
def _sections(code: str) -> tuple[_Section, ...]:
    found: list[_Section] = []
    signs: list[str] = []
    condition: tuple[str, Decimal] | None = None
    for match in _SIGN.finditer(code[:_LONGEST_CODE]):
        kind, text = match.lastgroup, match[0]
        if kind == "end":
            found.append(_Section(tuple(signs), condition))
            signs, condition = [], None
        elif kind == "literal":
            # "_x" is a room as wide as x, "*x" fills the cell.
            literal = {'"': text.strip('"'), "\\": text[1:], "_": " ", "*": ""}[text[0]]
            signs.append("'" + literal)
        elif kind == "condition":
            sign = re.match(r"[<>=]+", text[1:])
            if sign is not None:
                condition = sign[0], Decimal(text[1 + sign.end() : -1])
        elif kind == "currency":
            signs.append("'" + text[2:-1].partition("-")[0])
        elif kind in ("elapsed", "letters"):
            signs.append(text.lower())
        elif kind == "noon":
            signs.append("A" if len(text) > 3 else "a")
        elif kind == "general":
            signs.append("General")
        elif kind == "exponent":
            signs.append(text.upper())
        elif kind in ("digit", "mark"):
            signs.append(text)
        elif kind == "rest":
            signs.append("'" + text)
    return (*found, _Section(tuple(signs), condition))


_LONGEST_CODE = 255  # That Excel takes.


def _number(value: Decimal, code: str, date1904: bool) -> str:
    sections = _sections(code)
    section, is_negative = _choose(value, sections)
    if section is None:
        return _general(value)
    if section.is_date:
        return _date(value, section.signs, date1904)
    text = _filled(abs(value), section.signs)
    shows_nothing = not any(figure in "123456789" for figure in text) and "General" not in (
        section.signs
    )
    sign = "-" if value < 0 and not is_negative and not shows_nothing else ""
    return (sign + text).strip()


def _choose(value: Decimal, sections: Sequence[_Section]) -> tuple[_Section | None, bool]:
    """The section for ``value``, and whether it is one for negative numbers, with their sign."""
    numbers = [each for n, each in enumerate(sections) if n < 3 and each.signs != ("@",)]
    if not numbers:
        return None, False
    if any(each.condition for each in numbers[:2]):
        for n, each in enumerate(numbers):
            if each.condition is None:
                # The last takes the rest; a second one without a condition takes what is below 0.
                if n == len(numbers) - 1 or (n == 1 and value < 0):
                    return each, n == 1 and value < 0 and len(numbers) > 2
            elif _holds(value, *each.condition):
                sign, limit = each.condition
                return each, limit <= 0 and sign in ("<", "<=", "=")
        return None, False
    if value < 0 and len(numbers) > 1:
        return numbers[1], True
    if value == 0 and len(numbers) > 2:
        return numbers[2], False
    return numbers[0], False


def _holds(value: Decimal, sign: str, limit: Decimal) -> bool:
    return {
        "<": value < limit,
        "<=": value <= limit,
        ">": value > limit,
        ">=": value >= limit,
        "=": value == limit,
        "<>": value != limit,
    }[sign]


def _general(value: Decimal) -> str:
    """At most eleven characters, as in a cell that is wide enough."""
    if value and not -5 < value.adjusted() < 11:
        mantissa, exponent = f"{value:.5e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}E{exponent[0]}{exponent[1:].rjust(2, '0')}"
    decimals = max(0, 10 - max(1, value.adjusted() + 1)) if value else 0
    text = f"{_rounded(value, decimals):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rounded(value: Decimal, decimals: int) -> Decimal:
    with localcontext() as context:
        context.prec = 400
        return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def _filled(value: Decimal, signs: Sequence[str]) -> str:
    """The figures of ``value`` in the places for them."""
    if "General" in signs:
        return "".join(
            _general(value) if sign == "General" else sign[1:] if sign[0] == "'" else sign
            for sign in signs
            if sign != "@"
        )
    if not any(sign in "0#?" for sign in signs):
        return "".join(
            sign[1:] if sign[0] == "'" else sign for sign in signs if sign in "%'" or sign[0] == "'"
        )
    value *= 100 ** signs.count("%")
    if "/" in signs:
        return _fraction(value, signs)
    exponent = next((n for n, sign in enumerate(signs) if sign in ("E+", "E-")), None)
    end = len(signs) if exponent is None else exponent
    point = next((n for n, sign in enumerate(signs[:end]) if sign == "."), end)
    places = [n for n, sign in enumerate(signs[:end]) if sign in "0#?"]
    whole = [n for n in places if n < point]
    decimals = [n for n in places if n > point]
    last = whole[-1] if whole else -1
    thousands = any(sign == "," for sign in signs[whole[0] + 1 : last]) if whole else False
    for sign in signs[last + 1 : point] if whole else ():
        if sign != ",":
            break
        value /= 1000
    power = 0
    if exponent is not None:
        step = max(1, len(whole))
        power = value.adjusted() // step * step if value else 0
        value = value.scaleb(-power)
        if _rounded(value, len(decimals)).adjusted() >= step:
            power, value = power + step, value.scaleb(-step)
    figures, _, rest = f"{_rounded(value, len(decimals)):f}".partition(".")
    figures = figures.lstrip("0")
    return _placed(signs, whole, decimals, point, exponent, figures, rest, thousands, power)


def _placed(
    signs: Sequence[str],
    whole: Sequence[int],
    decimals: Sequence[int],
    point: int,
    exponent: int | None,
    figures: str,
    rest: str,
    thousands: bool,
    power: int,
) -> str:
    needed = next((len(whole) - n for n, at in enumerate(whole) if signs[at] == "0"), 0)
    figures = figures.rjust(needed, "0")
    kept = next(
        (
            n + 1
            for n in range(len(decimals) - 1, -1, -1)
            if signs[decimals[n]] == "0" or rest[n : n + 1] not in ("", "0")
        ),
        0,
    )
    parts: list[str] = []
    ahead = max(0, len(figures) - len(whole))  # Figures that have no place stand at the first.

    def grouped(index: int) -> str:
        left = len(figures) - index - 1
        return figures[index] + ("," if thousands and left and left % 3 == 0 else "")

    first, of_power = True, 0
    powers = [
        n for n, sign in enumerate(signs) if exponent is not None and n > exponent and sign in "0#?"
    ]
    for n, sign in enumerate(signs):
        if n in whole:
            index = len(figures) - (len(whole) - whole.index(n))
            if first:
                parts += [grouped(each) for each in range(ahead)]
                first = False
            if index >= 0 and index >= ahead:
                parts.append(grouped(index))
        elif n in decimals:
            index = decimals.index(n)
            if index < kept:
                parts.append(rest[index : index + 1])
        elif n == point and sign == ".":
            if first and not whole:
                parts.append(figures)
                first = False
            parts.append(".")
        elif sign in ("E+", "E-"):
            parts.append("E" + ("-" if power < 0 else "+" if sign == "E+" else ""))
        elif n in powers:
            if not of_power:
                parts.append(str(abs(power)).rjust(len(powers), "0"))
            of_power += 1
        elif sign == "%":
            parts.append("%")
        elif sign[0] == "'":
            parts.append(sign[1:])
    return "".join(parts)


def _fraction(value: Decimal, signs: Sequence[str]) -> str:
    slash = list(signs).index("/")
    below = [sign for sign in signs[slash + 1 :] if sign in "0#?"]
    fixed = "".join(sign[1:] for sign in signs[slash + 1 :] if sign[0] == "'").strip()
    before = "".join("'" if sign[0] == "'" else sign for sign in signs[:slash])
    mixed = re.search(r"[0#?]'+[0#?]", before) is not None
    exact = Fraction(value)
    if fixed.isdigit() and int(fixed):
        close = Fraction(round(exact * int(fixed)), int(fixed))
        bottom = int(fixed)
    else:
        close = exact.limit_denominator(10 ** max(1, min(len(below), 7)) - 1)
        bottom = close.denominator
    top = int(close * bottom)
    if not mixed:
        return f"{top}/{bottom}"
    whole, top = divmod(top, bottom)
    if not top:
        return str(whole)
    return f"{whole} {top}/{bottom}" if whole else f"{top}/{bottom}"


# Dates and times.

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HAN_DAYS = "一二三四五六日"


def _date(value: Decimal, signs: Sequence[str], date1904: bool) -> str:
    if value < 0:
        return _general(value)
    decimals = _second_decimals(signs)
    # Seconds are rounded as shown, so that 11:59:59.9999 does not lose a second.
    seconds = _rounded(value * 86400, decimals if "s" in "".join(_letters(signs)) else 0)
    days, of_day = divmod(int(seconds), 86400)
    # Excel counts 29 February 1900, a day that never was. A cell's date has no zone; UTC is none.
    first = (1904, 1, 1) if date1904 else (1899, 12, 30 if days > 59 else 31)
    moment = datetime(*first, tzinfo=UTC) + timedelta(days=days, seconds=of_day)
    part = f"{seconds - int(seconds):f}".partition(".")[2]
    half = any(sign in "aA" for sign in signs)
    parts: list[str] = []
    for n, sign in enumerate(signs):
        if sign[0] == "'":
            parts.append(sign[1:])
        elif sign[0] == "[":
            unit = {"h": 3600, "m": 60, "s": 1}[sign[1]]
            parts.append(str(int(seconds) // unit).rjust(len(sign) - 2, "0"))
        elif sign in ("A", "a"):
            noon = "PM" if moment.hour >= 12 else "AM"
            parts.append(noon if sign == "A" else noon[0])
        elif sign[0] == "m" and _is_minute(signs, n):
            parts.append(str(moment.minute).rjust(min(len(sign), 2), "0"))
        elif sign[0] in "ymdhsea":
            parts.append(_unit(moment, sign, half))
        elif sign == "." and decimals and signs[n + 1 : n + 2] == ("0",):
            parts.append("." + part[:decimals])
        elif sign not in "0#?@":
            parts.append(sign)
    return "".join(parts).strip()


def _letters(signs: Sequence[str]) -> list[str]:
    return [sign for sign in signs if sign[0] in "ymdhs["]


def _second_decimals(signs: Sequence[str]) -> int:
    text = "".join(sign if len(sign) == 1 else sign[0] for sign in signs)
    match = re.search(r"[s\[]\.(0+)", text)
    return min(3, len(match[1])) if match else 0


def _is_minute(signs: Sequence[str], at: int) -> bool:
    """Whether an ``m`` stands for minutes: after hours, or before seconds."""
    if len(signs[at]) > 2:
        return False
    letters = [n for n, sign in enumerate(signs) if sign[0] in "ymdhs["]
    place = letters.index(at)
    before = signs[letters[place - 1]] if place else ""
    after = signs[letters[place + 1]] if place + 1 < len(letters) else ""
    return before.startswith(("h", "[h")) or after.startswith(("s", "[s"))


def _unit(moment: datetime, sign: str, half: bool) -> str:
    letter, length = sign[0], len(sign)
    if letter == "y":
        return f"{moment.year:04}" if length > 2 else f"{moment.year % 100:02}"
    if letter == "e":
        return str(moment.year)
    if letter == "a":
        return ("星期" if length == 4 else "") + _HAN_DAYS[moment.weekday()]
    if letter == "m" and length > 2:
        name = _MONTHS[moment.month - 1]
        return name[0] if length == 5 else name[:3] if length == 3 else name
    if letter == "d" and length > 2:
        name = _DAYS[moment.weekday()]
        return name[:3] if length == 3 else name
    hour = (moment.hour - 1) % 12 + 1 if half else moment.hour
    number = {"m": moment.month, "d": moment.day, "h": hour, "s": moment.second}[letter]
    return str(number).rjust(min(length, 2), "0")
