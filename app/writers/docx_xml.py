"""Elements of Word's XML, in the order that its schema wants."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from lxml import etree


def new(name: str) -> Any:
    """An element that stands nowhere yet."""
    return OxmlElement(name)


def child(parent: Any, name: str, /, **attributes: str) -> Any:
    """A new last element of ``parent``, with attributes of Word's."""
    return etree.SubElement(parent, named(name), _of_word(attributes))


def put(parent: Any, name: str, /, **attributes: str) -> Any:
    """The only element of this name in ``parent``, in its place there, with these attributes too.

    ``parent`` is a ``w:pPr``, ``w:rPr`` or ``w:sectPr``.
    """
    order, tag = _ORDER[parent.tag], named(name)
    place, following = order[tag], None
    for other in parent.iterchildren(reversed=True):
        there = order[other.tag]
        if there == place:
            for key, value in _of_word(attributes).items():
                other.set(key, value)
            return other
        if there < place:
            break
        following = other
    element = etree.SubElement(parent, tag, _of_word(attributes))
    if following is not None:
        following.addprevious(element)
    return element


def drop(parent: Any, name: str) -> None:
    """Remove what is named so from ``parent``."""
    for old in parent.findall(named(name)):
        parent.remove(old)


def form(paragraph: Any) -> Any:
    """The ``w:pPr`` of a ``w:p``, in which it stands first."""
    if len(paragraph) and paragraph[0].tag == _FORM:
        return paragraph[0]
    element = paragraph.makeelement(_FORM)
    paragraph.insert(0, element)
    return element


@lru_cache(maxsize=256)
def named(name: str) -> str:
    """The whole name of what is written ``w:name``."""
    return qn(name)


def _of_word(attributes: dict[str, str]) -> dict[str, str]:
    return {named(f"w:{key}"): value for key, value in attributes.items()}


_FORM = named("w:pPr")
# ECMA-376, part 1, annex A.1: CT_PPr, CT_RPr, CT_SectPr.
_ORDER = {
    named(parent): {named(f"w:{name}"): n for n, name in enumerate(names.split())}
    for parent, names in {
        "w:pPr": "pStyle keepNext keepLines pageBreakBefore framePr widowControl numPr"
        " suppressLineNumbers pBdr shd tabs suppressAutoHyphens kinsoku wordWrap overflowPunct"
        " topLinePunct autoSpaceDE autoSpaceDN bidi adjustRightInd snapToGrid spacing ind"
        " contextualSpacing mirrorIndents suppressOverlap jc textDirection textAlignment"
        " textboxTightWrap outlineLvl divId cnfStyle rPr sectPr pPrChange",
        "w:rPr": "rStyle rFonts b bCs i iCs caps smallCaps strike dstrike outline shadow emboss"
        " imprint noProof snapToGrid vanish webHidden color spacing w kern position sz szCs"
        " highlight u effect bdr shd fitText vertAlign rtl cs em lang eastAsianLayout specVanish"
        " oMath",
        "w:sectPr": "headerReference footerReference footnotePr endnotePr type pgSz pgMar paperSrc"
        " pgBorders lnNumType pgNumType cols formProt vAlign noEndnote titlePg textDirection bidi"
        " rtlGutter docGrid printerSettings sectPrChange",
    }.items()
}
