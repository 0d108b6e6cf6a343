"""Formulas in Word as lines of text, in the way of UnicodeMath (unicode.org/notes/tn28)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lxml import etree

_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def write_out(root: Any) -> bool:
    """Put runs of text in the place of the formulas below ``root``; tells whether any was."""
    formulas = list(root.iter(f"{_M}oMath"))
    for each in formulas:
        run = etree.Element(f"{_W}r")
        etree.SubElement(run, f"{_W}t").text = _inside(each)
        holder = each.getparent()
        (holder if holder.tag == f"{_M}oMathPara" else each).addprevious(run)
        holder.remove(each)
    for each in list(root.iter(f"{_M}oMathPara")):
        each.getparent().remove(each)
    return bool(formulas)


def _inside(element: Any) -> str:
    """What stands in an element that is there, one thing after the other."""
    return "".join(map(_text, element)) if element is not None else ""


def _text(element: Any) -> str:
    name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if name == "t":
        return element.text or ""
    return _WAYS.get(name, _inside)(element)


def _part(element: Any, name: str) -> str:
    return _inside(element.find(f"{_M}{name}"))


def _operand(element: Any, name: str) -> str:
    """A part that is one thing: in brackets if it is more than a word."""
    text = _part(element, name)
    return text if re.fullmatch(r"\w*|\W|\([^()]*\)", text) else f"({text})"


def _scripts(element: Any) -> str:
    """What stands below and above, if anything does."""
    marks = {"sub": "_", "sup": "^", "lim": "_" if element.tag.endswith("limLow") else "^"}
    found = ((mark, _operand(element, name)) for name, mark in marks.items())
    return "".join(mark + text for mark, text in found if text)


def _sign(element: Any, name: str, usual: str) -> str:
    """A sign that is set for an element, which may be none."""
    found = element.find(f"{_M}{element.tag.rpartition('}')[2]}Pr/{_M}{name}")
    return usual if found is None else found.get(f"{_M}val", "")


def _delimited(element: Any) -> str:
    inside = _sign(element, "sepChr", "|").join(map(_inside, element.iterfind(f"{_M}e")))
    return f"{_sign(element, 'begChr', '(')}{inside}{_sign(element, 'endChr', ')')}"


def _matrix(element: Any) -> str:
    rows = (map(_inside, row.iterfind(f"{_M}e")) for row in element.iterfind(f"{_M}mr"))
    return "; ".join(", ".join(row) for row in rows)


def _root(element: Any) -> str:
    degree = _part(element, "deg")
    return f"√({degree}&{_part(element, 'e')})" if degree else f"√{_operand(element, 'e')}"


_WAYS: dict[str, Callable[[Any], str]] = {
    "f": lambda e: f"{_operand(e, 'num')}/{_operand(e, 'den')}",
    "sSub": lambda e: _operand(e, "e") + _scripts(e),
    "sSup": lambda e: _operand(e, "e") + _scripts(e),
    "sSubSup": lambda e: _operand(e, "e") + _scripts(e),
    "sPre": lambda e: f"{_scripts(e)} {_part(e, 'e')}",
    "limLow": lambda e: _part(e, "e") + _scripts(e),
    "limUpp": lambda e: _part(e, "e") + _scripts(e),
    "nary": lambda e: f"{_sign(e, 'chr', '∫')}{_scripts(e)} {_part(e, 'e')}",
    "func": lambda e: f"{_part(e, 'fName')} {_part(e, 'e')}",
    "acc": lambda e: _operand(e, "e") + _sign(e, "chr", "\u0302"),
    "rad": _root,
    "d": _delimited,
    "m": _matrix,
    "eqArr": lambda e: "; ".join(map(_inside, e.iterfind(f"{_M}e"))),
}
