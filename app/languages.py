"""The public language names, and which engine and model read each."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from app.errors import BadRequest

DEFAULT = "ChinesePRC"
MOST_LANGUAGES = 10


@dataclass(frozen=True, slots=True)
class Language:
    """One accepted name."""

    name: str
    tesseract: tuple[str, ...]  # Tesseract models, e.g. ("chi_sim",) or ("script/Latin", "epo").
    script: str  # ISO 15924: Latn, Hans, Hant, Jpan, Kore, Cyrl, Arab, ...
    engine: str  # The engine that reads it best: "ppocr" or "tesseract".
    match: str = "exact"  # How near the models are: exact, related, script, formal.
    note: str = ""  # What a person should know before choosing it.
    english: str = ""  # What people call it, in English
    chinese: str = ""  # and in Chinese.

    @property
    def tag(self) -> str:
        """The tag by which Office programs know the language (BCP 47); "" for none of theirs."""
        return _TAGS.get(self.tesseract[0], "")


Check = Callable[[tuple[Language, ...]], None]
"""Raises BadRequest unless all the languages can be read here."""


def parse(text: str) -> tuple[Language, ...]:
    """The languages of the field ``language``: names with commas between, in the order sent.

    An alias gives the language it stands for. Raises BadRequest.
    """
    names = [name for item in text.split(",") if (name := item.strip())]
    languages = dict.fromkeys(_find(name) for name in names if name != _NO_OP)
    if len(languages) > MOST_LANGUAGES:
        raise BadRequest(f"language: at most {MOST_LANGUAGES} languages, not {len(languages)}.")
    return tuple(languages) or (_find(DEFAULT),)


def for_tesseract(languages: Sequence[Language]) -> tuple[Language, ...]:
    """What Tesseract shall look for on a page; nothing, if ppocr reads all ``languages`` best.

    Beside scripts that look like Latin these are all languages in Latin letters, too: what a word
    such as "cop" is, one model that knows the one alphabet and one for the other tell best.
    """
    own = [language for language in languages if language.engine == "tesseract"]
    alike = not _LIKE_LATIN.isdisjoint(language.script for language in own)
    return tuple(
        language
        for language in languages
        if language in own or (alike and language.script == "Latn")
    )


def models(languages: Sequence[Language]) -> tuple[str, ...]:
    """The Tesseract models for ``languages``, each once, in the order requested."""
    # Every model reads digits: the model of Digits would only slow the others down.
    reading = [language for language in languages if language.name != _DIGITS] or languages
    return tuple(dict.fromkeys(model for language in reading for model in language.tesseract))


def require_models(languages: Sequence[Language], installed: frozenset[str]) -> None:
    """Raise BadRequest, naming the package, if Tesseract lacks a model for ``languages``."""
    packages = [package(model) for model in models(languages) if model not in installed]
    if packages:
        names = ", ".join(language.name for language in languages)
        raise BadRequest(
            f"language: {names} cannot be read here before this is installed: {' '.join(packages)}."
        )


def digits_only(languages: Sequence[Language]) -> bool:
    """Whether nothing but digits and the marks of numbers shall be read."""
    return bool(languages) and all(language.name == _DIGITS for language in languages)


def names() -> tuple[str, ...]:
    """Every name that ``parse`` takes, in alphabetical order."""
    return tuple(_table())


def known(name: str) -> Language:
    """What is known of one of ``names``, even if no model can read it; an alias gives another's."""
    return _table()[name]


def package(model: str) -> str:
    """The Debian package that holds ``model``."""
    folder, _, script = model.rpartition("/")
    if folder:
        return f"tesseract-ocr-script-{_SCRIPT_PACKAGES.get(script, script.lower())}"
    return f"tesseract-ocr-{model.replace('_', '-')}"


def readable() -> tuple[tuple[Language, tuple[str, ...]], ...]:
    """The languages that something can read, each with the other names it goes by."""
    others: dict[str, list[str]] = {}
    for name, language in _table().items():
        found = others.setdefault(language.name, [])
        if name != language.name:
            found.append(name)
    return tuple(
        (_table()[name], tuple(found)) for name, found in others.items() if _table()[name].engine
    )


_LIKE_LATIN = frozenset({"Latn", "Latf", "Cyrl", "Cyrs", "Grek"})
_TABLE = Path(__file__).with_name("languages.tsv")
_DIGITS = "Digits"
_NO_OP = "Symbols"  # Accepted because clients send it; every model reads symbols anyway.

# Debian names the packages of script models by ISO 15924 codes.
_SCRIPT_PACKAGES = {"Cyrillic": "cyrl", "Fraktur": "frak", "Latin": "latn"}


@cache
def _table() -> dict[str, Language]:
    """The languages by every name they go by."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))
    languages = {
        row["name"]: Language(
            row["name"],
            tuple(row["models"].split("+")) if row["models"] else (),
            row["script"],
            row["engine"],
            row["match"],
            row["note"],
            row["english"] or row["name"],
            row["chinese"],
        )
        for row in rows
    }
    return {row["name"]: languages[row["alias_of"] or row["name"]] for row in rows}


def _find(name: str) -> Language:
    language = _table().get(name)
    if language is None:
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise BadRequest(f"language: {shown!r} is not a known language.{_suggestion(name)}")
    if not language.engine:
        raise BadRequest(f"language: {name} is a known name, but no model can read it.")
    return language


def _suggestion(name: str) -> str:
    by_lower = {known.lower(): known for known in _table()}
    # The longest name has 20 letters; comparing a megabyte with each would take minutes.
    close = get_close_matches(name[:40].lower(), by_lower, n=3)
    return f" Did you mean {' or '.join(by_lower[match] for match in close)}?" if close else ""


# By Tesseract's models, those that Office programs check the spelling of.
_TAGGED = """
afr:af-ZA ara:ar-SA aze:az-Latn-AZ bel:be-BY ben:bn-IN bul:bg-BG cat:ca-ES ces:cs-CZ chi_sim:zh-CN
chi_tra:zh-TW dan:da-DK deu:de-DE ell:el-GR eng:en-US est:et-EE eus:eu-ES fas:fa-IR fin:fi-FI
fra:fr-FR gle:ga-IE glg:gl-ES guj:gu-IN heb:he-IL hin:hi-IN hrv:hr-HR hun:hu-HU hye:hy-AM ind:id-ID
isl:is-IS ita:it-IT jpn:ja-JP kan:kn-IN kat:ka-GE kaz:kk-KZ kor:ko-KR lav:lv-LV lit:lt-LT mal:ml-IN
mar:mr-IN mkd:mk-MK msa:ms-MY nld:nl-NL nor:nb-NO pan:pa-IN pol:pl-PL por:pt-PT ron:ro-RO rus:ru-RU
slk:sk-SK slv:sl-SI spa:es-ES sqi:sq-AL srp:sr-Cyrl-RS swe:sv-SE swa:sw-KE tam:ta-IN tel:te-IN
tha:th-TH tur:tr-TR ukr:uk-UA urd:ur-PK vie:vi-VN
"""
_TAGS = dict(pair.split(":") for pair in _TAGGED.split())
