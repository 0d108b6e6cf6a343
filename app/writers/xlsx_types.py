"""Which texts are certainly numbers, percentages, amounts of money or dates, in Excel's terms."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal


def typed(text: str) -> tuple[str, str] | None:
    """The value and format of ``text``, if they show exactly the same text again.

    The value has the digits of the text, so that 25.0 can be told from 25. What may be meant in
    two ways stays text: 1/2/2019, 1.234, an identity or telephone number.
    """
    return _number(text) or _money(text) or _date(text)


_AMOUNT = (
    r"(?P<whole>0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)"
    r"(?:\.(?P<decimals>[0-9]+))?"
)
_NUMBER = re.compile(rf"-?{_AMOUNT}(?P<percent>%)?")
_SYMBOLS = "$€£¥￥₩₹฿元"
_MONEY = re.compile(
    rf"(?P<sign>-?)(?:(?P<before>[{_SYMBOLS}] ?|US\$ ?|HK\$ ?|NT\$ ?|RMB ?|CHF ?|EUR ?|USD ?)"
    rf"{_AMOUNT}|{_AMOUNT.replace('whole', 'whole2').replace('decimals', 'decimals2')}"
    rf"(?P<after> ?[{_SYMBOLS}]| ?EUR| ?USD| ?CHF))"
)
_MOST_DIGITS = 15  # That survive as a floating-point number.
_PHONE = re.compile(r"1[3-9][0-9]{9}")  # A Chinese mobile number.


def _number(text: str) -> tuple[str, str] | None:
    match = _NUMBER.fullmatch(text)
    if match is None or _PHONE.fullmatch(text):
        return None
    plain = text.rstrip("%").replace(",", "")
    value = Decimal(plain)
    if not _survives(plain) or (not value and text.startswith("-")):
        return None
    number_format = _format(match["whole"], match["decimals"])
    if match["percent"]:
        return f"{value / 100:f}", number_format + "%"
    return plain, "General" if number_format == "0" else number_format


def _money(text: str) -> tuple[str, str] | None:
    match = _MONEY.fullmatch(text)
    if match is None:
        return None
    before, after = match["before"] or "", match["after"] or ""
    whole = match["whole"] or match["whole2"]
    decimals = match["decimals"] or match["decimals2"]
    plain = match["sign"] + whole.replace(",", "") + (f".{decimals}" if decimals else "")
    if not _survives(plain) or (match["sign"] and not Decimal(plain)):
        return None
    return plain, f"{_quoted(before)}{_format(whole, decimals)}{_quoted(after)}"


def _survives(plain: str) -> bool:
    return sum(map(str.isdigit, plain)) <= _MOST_DIGITS


def _format(whole: str, decimals: str | None) -> str:
    return ("#,##0" if "," in whole else "0") + (f".{'0' * len(decimals)}" if decimals else "")


def _quoted(text: str) -> str:
    return f'"{text}"' if text else ""


# Year first, or the day before a full stop: these are read in one way only.
_DATES = (
    re.compile(r"(?P<y>[0-9]{4})(?P<s>[-/])(?P<m>[0-9]{1,2})(?P=s)(?P<d>[0-9]{1,2})"),
    re.compile(r"(?P<y>[0-9]{4})年(?P<m>[0-9]{1,2})月(?P<d>[0-9]{1,2})日"),
    re.compile(r"(?P<d>[0-9]{1,2})\.(?P<m>[0-9]{1,2})\.(?P<y>[0-9]{4})"),
)
_FIRST = date(1901, 1, 1)  # Before, Excel counts a day that never was.
_EPOCH = date(1899, 12, 30)


def _date(text: str) -> tuple[str, str] | None:
    for n, pattern in enumerate(_DATES):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        try:
            day = date(int(match["y"]), int(match["m"]), int(match["d"]))
        except ValueError:
            return None
        if day < _FIRST:
            return None
        month = "mm" if len(match["m"]) == 2 else "m"
        of_month = "dd" if len(match["d"]) == 2 else "d"
        if n == 1:
            form = f'yyyy"年"{month}"月"{of_month}"日"'
        elif n == 2:
            form = rf"{of_month}\.{month}\.yyyy"
        else:
            form = rf"yyyy\{match['s']}{month}\{match['s']}{of_month}"
        return str((day - _EPOCH).days), form
    return None
