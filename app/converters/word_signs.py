"""Signs in Word that are no text: characters of symbol fonts, and the check boxes of forms."""

from __future__ import annotations

from typing import Any

from lxml import etree

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def spell_out(root: Any) -> bool:
    """Put characters that have a meaning in the place of signs below ``root``, where known.

    Tells whether any was changed.
    """
    changed = False
    for each in list(root.iter(f"{_W}sym")):
        code = each.get(f"{_W}char", "")
        if text := _meaning(each.get(f"{_W}font", ""), code):
            each.tag = f"{_W}t"
            each.attrib.clear()
            each.text = text
            changed = True
    for fonts in list(root.iter(f"{_W}rFonts")):
        run = fonts.getparent().getparent()
        names = {fonts.get(f"{_W}ascii", ""), fonts.get(f"{_W}hAnsi", "")}
        if run is None or run.tag != f"{_W}r" or len(names) > 1 or not names & _FONTS.keys():
            continue
        (name,) = names
        for text in run.iterfind(f"{_W}t"):
            before = text.text or ""
            after = "".join(_meaning(name, f"{ord(sign):04X}") or sign for sign in before)
            if after != before:
                text.text = after
                changed = True
                fonts.attrib.clear()  # It has no such characters.
    for box in list(root.iter(f"{_W}checkBox")):
        field = next(box.iterancestors(f"{_W}r"), None)
        if field is not None:
            ticked = _is_on(box.find(f"{_W}checked"), box.find(f"{_W}default"))
            sign = etree.Element(f"{_W}r")
            etree.SubElement(sign, f"{_W}t").text = "☒" if ticked else "☐"
            field.addprevious(sign)
            changed = True
    return changed


def _is_on(*settings: Any) -> bool:
    """What the first that is there says."""
    for each in settings:
        if each is not None:
            return each.get(f"{_W}val", "1") not in ("0", "false", "off")
    return False


def _meaning(font: str, code: str) -> str:
    """What a font draws at a code, which is one of a byte, alone or from F000; "" if unknown."""
    try:
        number = int(code, 16)
    except ValueError:
        return ""
    if number >> 8 not in (0, 0xF0):
        return ""
    return _FONTS.get(font, {}).get(number & 0xFF, "").strip()


def _from(first: int, signs: str) -> dict[int, str]:
    return dict(enumerate(signs, first))


_CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿"

_WINGDINGS = {
    **_from(0x6C, "●❍■□"),
    **_from(0x71, "❑❒⬧⧫◆❖⬥⌧⍓⌘"),
    **_from(0x80, _CIRCLED),
    **_from(0xA7, "▪☐"),
    **_from(0xD8, "➢"),
    **_from(0xDF, "←→↑↓↖↗↙↘"),
    **_from(0xE8, "➔"),
    **_from(0xEF, "⇦⇨⇧⇩⬄⇳"),
    **_from(0xFB, "✗✓☒☑"),
    0x9F: "•",
    0xA1: "○",
    0xA4: "◉",
    0xAB: "★",
}
_WINGDINGS_2 = {
    **_from(0x4F, "✗✓☒☑☒☒"),
    **_from(0x69, _CIRCLED),
    **_from(0xA2, "■☐"),
}
_SYMBOL = {
    **_from(0x22, "∀"),
    **_from(0x40, "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ"),
    **_from(0x61, "αβχδεφγηιϕκλμνοπθρστυϖωξψζ"),
    **_from(0xA2, "′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…"),
    **_from(0xC5, "⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇"),
    **_from(0xD5, "∏√⋅¬∧∨⇔⇐⇑⇒⇓"),
    0xE5: "∑",
    0xF2: "∫",
}
_FONTS = {
    "Wingdings": _WINGDINGS,
    "Wingdings 2": _WINGDINGS_2,
    "Webdings": {0x61: "✓", 0x63: "☐", 0x67: "■", 0x6E: "●", 0x72: "✗"},
    "Symbol": _SYMBOL,
}
