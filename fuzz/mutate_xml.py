"""Damage to XML, which stays well-formed: elements and attributes that are not as expected."""

from copy import deepcopy
from random import Random
from typing import Any

from lxml import etree


def mutated(data: bytes, rng: Random) -> bytes:
    """The part, changed in one to five places."""
    root: Any = etree.fromstring(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        rng.choice(_WAYS)(rng.choice(list(root.iter("{*}*"))), rng)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


def _value(element: Any, rng: Random) -> None:
    """Another value for an attribute."""
    if element.attrib:
        element.set(rng.choice(list(element.attrib)), rng.choice(_VALUES))


def _number(element: Any, rng: Random) -> None:
    """Another number where one is."""
    names = [name for name, value in element.attrib.items() if value.lstrip("-").isdigit()]
    if names:
        element.set(rng.choice(names), rng.choice(_NUMBERS))
    elif (element.text or "").strip().isdigit():
        element.text = rng.choice(_NUMBERS)


def _no_attribute(element: Any, rng: Random) -> None:
    if element.attrib:
        del element.attrib[rng.choice(list(element.attrib))]


def _text(element: Any, rng: Random) -> None:
    element.text = rng.choice((*_VALUES, *_NUMBERS))


def _no_element(element: Any, rng: Random) -> None:
    if element.getparent() is not None:
        element.getparent().remove(element)


def _no_children(element: Any, rng: Random) -> None:
    for child in list(element)[rng.randrange(2) :]:
        element.remove(child)


def _again(element: Any, rng: Random) -> None:
    """The element several times."""
    if element.getparent() is not None and len(list(element.iter())) < 200:
        for _ in range(rng.choice((1, 2, 50))):
            element.addnext(deepcopy(element))


def _elsewhere(element: Any, rng: Random) -> None:
    """The element within another one."""
    root = element.getroottree().getroot()
    inside = set(element.iter())
    others = [each for each in root.iter("{*}*") if each not in inside]
    if others and element is not root:
        rng.choice(others).insert(rng.choice((0, 1000)), element)


def _deep(element: Any, rng: Random) -> None:
    """The element within itself, over and over."""
    parent = element.getparent()
    if parent is None:
        return
    place = parent.index(element)
    inner = element
    for _ in range(rng.choice((1, 5, 60, 200))):
        outer = etree.Element(element.tag, dict(element.attrib))
        outer.append(inner)
        inner = outer
    parent.insert(place, inner)


def _renamed(element: Any, rng: Random) -> None:
    other = rng.choice(list(element.getroottree().getroot().iter("{*}*")))
    element.tag = other.tag


_WAYS = (
    _value, _value, _number, _number, _number, _no_attribute, _no_attribute, _text, _no_element,
    _no_children, _again, _elsewhere, _deep, _renamed,
)  # fmt: skip
_NUMBERS = (
    "0", "-1", "1", "2", "255", "256", "16384", "16385", "65536", "1048576", "1048577",
    "2147483647", "2147483648", "-2147483649", "4294967295", "99999999999999999999", "1e308",
    "1e400", "-1e400", "NaN", "INF", "0.5", "1.5", "-0", "", " 1", "٣", "²", "0x10", "1,5",
)  # fmt: skip
_VALUES = (
    "", " ", "true", "x", "=cmd|' /C calc'!A0", "rId1", "rId999", "A1", "A0", "XFD1048576",
    "A1:XFD1048576", "ZZZZ99999999", "B2:A1", "#REF!", "../../../../etc/passwd", "file:///etc/passwd",
    "http://127.0.0.1:9/", "/word/document.xml", "xl/workbook.xml", "External", "%s%n", "\u202e",
    "\ufffd", "😀", "x" * 5000, "[h]:mm:ss;@;\"x", "[>=1e999]0;[Red]#,##0.00_-*x", "0" * 400,
    "yyyy" * 100, "FFFFFF", "GGGGGG", "auto", "2024-13-45T25:61:61Z",
)  # fmt: skip
