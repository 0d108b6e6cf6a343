"""What documents ask for from outside never comes: three locks, of which each holds alone."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app import media, sandbox
from app.converters import office_profile, office_program
from app.converters.image import ImageConverter
from app.converters.office import OfficeConverter
from app.converters.office_program import OfficeProgram
from app.converters.pdf import PdfConverter
from app.errors import InvalidFile
from app.interfaces import Keepsake
from tests import hostile
from tests.listener import listener

pytestmark = pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)

NO_WALL = sandbox.WALLS[-1]
CLOSED = [wall for wall in sandbox.WALLS[:2] if wall.works()]
LOCKS = ["references removed", "settings", *(wall.name for wall in CLOSED)]


@pytest.fixture(scope="module", params=[*LOCKS, "none"])
def lock(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def converter(lock: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfficeConverter]:
    """One that keeps documents in by ``lock`` alone."""
    with pytest.MonkeyPatch.context() as patch:
        wall = next((wall for wall in CLOSED if wall.name == lock), NO_WALL)
        patch.setattr(sandbox, "strongest", lambda: wall)
        if lock != "references removed":
            patch.setattr("app.converters.office.make_harmless", lambda source, *_: source)
        if lock != "settings":
            script = tmp_path_factory.mktemp("script") / "office_uno.py"
            script.write_text(_willing(office_program._SCRIPT.read_text(), _WILLING_SCRIPT))
            patch.setattr(office_program, "_SCRIPT", script)
            willing = _willing(office_profile._PROFILE, _WILLING_PROFILE)
            patch.setattr(office_profile, "_PROFILE", willing)
        pdf = PdfConverter(max_pixels=40_000_000, max_pages=20, page_timeout_s=30)
        images = ImageConverter(max_pixels=40_000_000, max_pages=20)
        with closing(OfficeConverter(pdf, images, OfficeProgram(timeout_s=100))) as converter:
            yield converter


_WILLING_PROFILE = {
    '"MacroSecurityLevel" oor:op="fuse"><value>3': "3/0",
    '"DisableMacrosExecution" oor:op="fuse"><value>true': "true/false",
    '"CheckDocumentEvents" oor:op="fuse"><value>true': "true/false",
    '"BlockUntrustedRefererLinks" oor:op="fuse"><value>true': "true/false",
    'Writer/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>0': "0/2",
    'Calc/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>1': "1/0",
    '"OOXMLRecalcMode" oor:op="fuse"><value>1': "1/0",
    '"ooInetProxyType" oor:op="fuse"><value>2': "2/0",
}
_WILLING_SCRIPT = {'"UpdateDocMode": 0': "0/3", '"MacroExecutionMode": 0': "0/4"}


def _willing(text: str, changes: dict[str, str]) -> str:
    """``text`` with settings that let everything in; the last word of each is changed."""
    for before, change in changes.items():
        old, new = change.split("/")
        text, count = re.subn(re.escape(before), before.removesuffix(old) + new, text)
        assert count == 1, before
    return text


@pytest.fixture(params=["file", "network"])
def where(request: pytest.FixtureRequest) -> str:
    where: str = request.param
    return where


@pytest.mark.parametrize("make", hostile.MAKERS, ids=lambda make: make.__name__)
def test_nothing_comes_in(
    make: hostile.Maker,
    where: str,
    lock: str,
    converter: OfficeConverter,
    tmp_path: Path,
) -> None:
    """No connection arrives, and what a file outside says or shows is not in the result.

    Without any lock it would be so: the tests are as sharp as they look.
    """
    hostile.secrets(tmp_path)
    with listener(tmp_path) as (address, requests):
        base = tmp_path.as_uri() if where == "file" else address
        path = make(tmp_path / f"document{hostile.MAKERS[make]}", base)
        (tmp_path / "work").mkdir()
        with converter.open(path, tmp_path / "work", None) as source:
            assert not isinstance(source, Keepsake)
            pages = list(source.pages())
            text = " ".join(line.text for page in pages for line in page.lines or ())
            is_seen = any((page.load() == hostile.INK).all(axis=2).any() for page in pages)

    assert "Harmless" in text
    let_in = is_seen or hostile.WORDS in text or bool(requests)
    if lock == "none":
        assert let_in == ((make, where) in hostile.SHARP)
    elif lock == "references removed":
        assert let_in == (make in hostile.UNREFERENCED and (make, where) in hostile.SHARP)
    else:
        assert not let_in


@pytest.mark.parametrize(
    "content",
    [
        b"{\\rtf1 {\\field{\\*\\fldinst INCLUDETEXT file:///etc/passwd}}}",
        b"<html><body><iframe src='file:///etc/passwd'></iframe></body></html>",
        b'<?xml version="1.0"?><office:document xmlns:office="urn:oasis:names:tc:opendocument:'
        b'xmlns:office:1.0" office:mimetype="application/vnd.oasis.opendocument.text"/>',
    ],
    ids=["rtf", "html", "fodt"],
)
def test_what_only_libreoffice_would_take_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever its name: LibreOffice goes by the content."""
    path = tmp_path / "document.doc"
    path.write_bytes(content)

    with pytest.raises(InvalidFile):
        media.detect(path)
