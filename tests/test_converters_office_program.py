"""A real LibreOffice, kept running, and signals at bad moments."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from openpyxl.worksheet.pagebreak import Break

from app import media, proc, sandbox
from app.converters.office_program import OfficeProgram, _Crashed
from app.converters.pdf import PdfConverter
from app.errors import InvalidFile, TimedOut, ToolFailed

pytestmark = pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shared() -> Iterator[OfficeProgram]:
    """One for the tests that do it no harm."""
    with closing(OfficeProgram(timeout_s=60, max_pages=3)) as program:
        yield program


@pytest.fixture
def program() -> Iterator[OfficeProgram]:
    with closing(OfficeProgram(timeout_s=60)) as program:
        yield program


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the test's LibreOffices make their folders."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def offices(parent: int | None = None) -> list[int]:
    """The LibreOffices below ``parent``, by default this process, that have not ended."""
    parents, found = {}, []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = status.read_text().partition(" (")
        except OSError:
            continue
        name, _, rest = rest.rpartition(") ")
        state, above = rest.split()[:2]
        parents[int(pid)] = int(above)
        if name == "soffice.bin" and state != "Z":
            found.append(int(pid))
    return [pid for pid in found if parent_of(pid, parents, parent or os.getpid())]


def parent_of(pid: int, parents: dict[int, int], wanted: int) -> bool:
    while pid := parents.get(pid, 0):
        if pid == wanted:
            return True
    return False


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.02)


def word(path: Path, text: str = "Hello") -> Path:
    document = docx.Document()
    document.add_paragraph(text)
    document.save(str(path))
    return path


def convert(program: OfficeProgram, folder: Path, text: str = "Hello") -> None:
    """Convert a small document, and look whether it is the one that comes."""
    result = program.convert(word(folder / "a.docx", text), media.DOCX, media.PDF, folder)

    assert pages(result, folder) == [[text]]


def pages(result: Path, folder: Path) -> list[list[str]]:
    """The lines of each page."""
    with PdfConverter(40_000_000, 100, 30).open(result, folder, None) as source:
        return [[line.text for line in page.lines or ()] for page in source.pages()]


def test_one_process_converts_one_document_after_another(
    temporary: Path, tmp_path: Path, program: OfficeProgram
) -> None:
    """It listens on nothing once it runs; its folder goes with it."""
    before = set(offices())
    convert(program, tmp_path, "First")
    first = set(offices()) - before
    convert(program, tmp_path, "Second")

    assert len(first) == 1
    assert set(offices()) - before == first
    assert len(list(temporary.iterdir())) == 1
    assert next(temporary.iterdir()).stat().st_mode & 0o777 == 0o700
    assert not _sockets(*first)
    program.close()
    assert not list(temporary.iterdir())
    until(lambda: set(offices()) == before)


def test_a_new_process_takes_over_after_some_documents(tmp_path: Path) -> None:
    """It is started in the background as soon as the last one is done."""
    with closing(OfficeProgram(timeout_s=60, files=2)) as program:
        convert(program, tmp_path)
        first = program._running
        convert(program, tmp_path)
        second = program._running
        convert(program, tmp_path)

        assert first is not second
        assert program._running is second


def test_a_grown_process_is_replaced(
    tmp_path: Path, program: OfficeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.converters.office_program._MAX_RESIDENT_BYTES", 1)
    convert(program, tmp_path)

    assert program._running is not None
    assert not program._running.has_started


def test_killed_between_documents(tmp_path: Path, program: OfficeProgram) -> None:
    """The next document does not notice."""
    convert(program, tmp_path)
    kill(*offices())

    convert(program, tmp_path)


def test_killed_before_it_is_ready(
    tmp_path: Path, program: OfficeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is started: no document can be to blame."""
    hear, heard = proc.Dialogue.hear, []

    def end_and_hear(self: proc.Dialogue, timeout_s: float) -> str:
        heard.append(self)
        if len(heard) < 3:
            os.killpg(self._child.pid, signal.SIGKILL)
        return hear(self, timeout_s)

    with monkeypatch.context() as patch:
        patch.setattr(proc.Dialogue, "hear", end_and_hear)
        convert(program, tmp_path)

    assert len(set(heard)) == 3


@pytest.mark.parametrize("alone", [True, False])
def test_killed_by_each_try_at_a_document(
    alone: bool, tmp_path: Path, program: OfficeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second try shows whether it was the one before; a third has a LibreOffice of its own.

    If that fails as well, the document alone does.
    """
    convert(program, tmp_path)
    ask, asked = proc.Dialogue.ask, []

    def kill_and_ask(self: proc.Dialogue, line: str, timeout_s: float) -> str:
        asked.append(line)
        stopped = offices()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(0.2, kill, stopped)
        timer.start()
        try:
            return ask(self, line, timeout_s)
        finally:
            timer.join()

    def fail(*_: object, **__: object) -> bytes:
        raise ToolFailed("It ended.")

    with monkeypatch.context() as patch:
        patch.setattr(proc.Dialogue, "ask", kill_and_ask)
        if alone:
            convert(program, tmp_path)
        else:
            patch.setattr(proc, "run", fail)
            with pytest.raises(InvalidFile, match="damaged or cannot be converted"):
                convert(program, tmp_path)

    assert len(asked) == 2
    convert(program, tmp_path)


def test_a_hang_ends_at_the_time_limit(tmp_path: Path, temporary: Path) -> None:
    """The next document works."""
    with closing(OfficeProgram(timeout_s=60)) as program:
        convert(program, tmp_path)
        stopped = offices()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

        path = word(tmp_path / "a.docx")
        with pytest.raises(TimedOut, match=r"0\.5 s"):
            program.convert(path, media.DOCX, media.PDF, tmp_path, timeout_s=0.5)

        assert not set(offices()) & set(stopped)
        convert(program, tmp_path)
        assert len(list(temporary.iterdir())) == 1


def test_nothing_outlives_a_killed_worker(tmp_path: Path, temporary: Path) -> None:
    """No LibreOffice, while it is at a document; its folder is its supervisor's to remove."""
    source = (
        "import sys, time; from pathlib import Path; from app import media\n"
        "from app.converters.office_program import OfficeProgram\n"
        "program = OfficeProgram(60)\n"
        "program.convert(Path(sys.argv[1]), media.DOCX, media.PDF, Path(sys.argv[2]))\n"
        "print('done', flush=True); program.convert(*eval(sys.stdin.readline()))\n"
    )
    path = word(tmp_path / "a.docx")
    with subprocess.Popen(
        [sys.executable, "-c", source, str(path), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"done\n"
        running = offices(worker.pid)
        os.kill(running[0], signal.SIGSTOP)
        order = "(Path(sys.argv[1]), media.DOCX, media.PDF, Path(sys.argv[2]))\n"
        worker.stdin.write(order.encode())
        worker.stdin.flush()
        time.sleep(0.2)

        worker.kill()

    assert len(running) == 1
    until(lambda: not Path(f"/proc/{running[0]}").exists())


def test_closed_while_it_starts(temporary: Path, program: OfficeProgram) -> None:
    """Nothing is left either, nor said."""
    program.start()
    until(offices)

    program.close()

    assert not list(temporary.iterdir())
    assert not offices()


def test_a_fork_starts_its_own(tmp_path: Path, program: OfficeProgram) -> None:
    """Two processes that spoke to one LibreOffice would get each other's answers."""
    convert(program, tmp_path)
    ours = program._running
    assert ours is not None
    ours._dialogue._owner = 1

    convert(program, tmp_path)

    assert program._running is not ours
    ours._dialogue._owner = os.getpid()
    ours.end()


def test_fonts_of_a_document_go_with_its_process(tmp_path: Path, program: OfficeProgram) -> None:
    """LibreOffice would use them for the next documents."""
    path = _with_font(tmp_path / "a.docx")
    program.convert(path, media.DOCX, media.PDF, tmp_path)

    assert program._running is not None
    assert not program._running.has_started


def test_without_libreoffice(
    tmp_path: Path, program: OfficeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the document."""
    monkeypatch.setattr("app.converters.office_program._PYTHON", "/bin/false")
    program.start()

    with pytest.raises(ToolFailed, match="could not be started"):
        convert(program, tmp_path)


def _is_left(pipe: Path) -> bool:
    """Whether nobody listens at a pipe any more; those of other tests have their programs."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(pipe))
        except ConnectionRefusedError:
            return True
        except FileNotFoundError:
            return False
    return False


@pytest.mark.parametrize(
    "wall", [wall for wall in sandbox.WALLS if wall.works()], ids=lambda wall: wall.name
)
def test_it_works_behind_every_wall(
    wall: sandbox.Wall, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running, and started for one document; nothing is left in the folder or in /tmp."""
    monkeypatch.setattr(sandbox, "strongest", lambda: wall)
    pipes = set(Path("/tmp").glob("OSL_PIPE_*"))
    with closing(OfficeProgram(timeout_s=60)) as program:
        for text in ("First", "Second"):
            convert(program, tmp_path, text)
        (folder,) = temporary.iterdir()
        assert not [path for path in folder.iterdir() if path.suffix in (".docx", ".pdf")]
        monkeypatch.setattr(program, "_do", _crash)
        convert(program, tmp_path, "Third")

    assert not list(temporary.iterdir())
    made = set(Path("/tmp").glob("OSL_PIPE_*")) - pipes
    assert not [path for path in made if _is_left(path)]


def _crash(*_: object) -> None:
    raise _Crashed


@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "nothing"])
def test_a_result_that_is_a_link_is_none(
    kind: str, tmp_path: Path, program: OfficeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A LibreOffice that was taken over cannot have a file fetched that it does not see."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    made = folder / "target.pdf"
    if kind == "pipe":
        os.mkfifo(made)
    elif kind != "nothing":
        made.symlink_to(secret if kind == "file" else tmp_path)
    convert(program, tmp_path)
    assert program._running is not None
    monkeypatch.setattr(program._running, "_folder", folder)
    monkeypatch.setattr(proc.Dialogue, "ask", lambda *_: '{"clean": true, "resident_bytes": 1}')

    with pytest.raises(InvalidFile):
        convert(program, tmp_path)

    assert not list(folder.iterdir())


def test_a_document_is_not_written_through_a_link(tmp_path: Path, program: OfficeProgram) -> None:
    """The next LibreOffice gets it."""
    convert(program, tmp_path)
    assert program._running is not None
    first, kept = program._running, tmp_path / "kept"
    kept.write_text("kept")
    (first._folder / "source.docx").symlink_to(kept)

    convert(program, tmp_path)

    assert kept.read_text() == "kept"
    assert program._running is not first


@pytest.mark.parametrize("columns", [3, 12, 60])
def test_columns_stay_on_one_page(shared: OfficeProgram, tmp_path: Path, columns: int) -> None:
    """Also where the sheet asks for a break between them; hidden sheets stay out."""
    path = tmp_path / "a.xlsx"
    with closing(openpyxl.Workbook()) as book:
        sheet = book.worksheets[0]
        sheet.append([f"c{n}" for n in range(columns)])
        sheet.append([f"d{n}" for n in range(columns)])
        sheet.col_breaks.append(Break(id=2))
        hidden = book.create_sheet("Hidden")
        hidden["A1"] = "secret"
        hidden.sheet_state = "hidden"
        book.save(path)

    result = shared.convert(path, media.XLSX, media.PDF, tmp_path)

    words = [" ".join(lines).split() for lines in pages(result, tmp_path)]
    assert words == [[f"{row}{n}" for row in "cd" for n in range(columns)]]


def test_a_sheet_without_end_is_bounded(shared: OfficeProgram, tmp_path: Path) -> None:
    """One page more than allowed is made, for the reader of the PDF to refuse."""
    path = tmp_path / "a.xlsx"
    with closing(openpyxl.Workbook()) as book:
        for row in range(2000):
            book.worksheets[0].append([row])
        book.save(path)

    result = shared.convert(path, media.XLSX, media.PDF, tmp_path)

    assert len(pages(result, tmp_path)) == 4


@pytest.mark.parametrize(
    ("suffix", "kind", "target_kind"),
    [
        ("doc", media.DOC, media.DOCX),
        ("xls", media.XLS, media.XLSX),
        ("ppt", media.PPT, media.PPTX),
    ],
)
def test_old_formats_become_new_ones(
    shared: OfficeProgram, tmp_path: Path, suffix: str, kind: str, target_kind: str
) -> None:
    """What ``convert`` makes is of the kind that was asked for."""
    made = {"doc": _word_file, "xls": _excel_file, "ppt": _powerpoint_file}[suffix](tmp_path)
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    convert_to = ["--headless", "--convert-to", suffix, "--outdir", str(tmp_path), str(made)]
    subprocess.run(["soffice", profile, *convert_to], check=True, capture_output=True)
    old = made.with_suffix(f".{suffix}")

    result = shared.convert(old, kind, target_kind, tmp_path)

    assert media.detect(old) == kind
    assert media.detect(result) == target_kind


def _sockets(pid: int) -> list[Path]:
    """Those that others could reach the LibreOffice by."""
    command = Path(f"/proc/{pid}/cmdline").read_text()
    name = command.partition("pipe,name=")[2].partition(";")[0]
    assert len(name) == 32
    return list(Path("/tmp").glob(f"OSL_PIPE_*{name}"))


def _word_file(folder: Path) -> Path:
    return word(folder / "a.docx")


def _excel_file(folder: Path) -> Path:
    with closing(openpyxl.Workbook()) as book:
        book.worksheets[0]["A1"] = "Hello"
        book.save(folder / "a.xlsx")
    return folder / "a.xlsx"


def _powerpoint_file(folder: Path) -> Path:
    slides = pptx.Presentation()
    slides.slides.add_slide(slides.slide_layouts[5])
    slides.save(str(folder / "a.pptx"))
    return folder / "a.pptx"


def _with_font(path: Path) -> Path:
    """A Word file that brings a font along, scrambled as ECMA-376 part 4, 2.8.1 has it."""
    word(path)
    key = "0123456789ABCDEF0123456789ABCDEF"
    font = bytearray(Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").read_bytes())
    for place in range(32):
        font[place] ^= bytes.fromhex(key)[15 - place % 16]
    guid = f"{{{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}}}"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    element = (
        f'<w:font w:name="Own"><w:embedRegular xmlns:r="{office}" r:id="own" '
        f'w:fontKey="{guid}"/></w:font></w:fonts>'
    )
    with zipfile.ZipFile(path) as before:
        parts = {name: before.read(name) for name in before.namelist()}
    types = b'<Default Extension="odttf" ContentType="application/x-font"/></Types>'
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(b"</Types>", types)
    fonts = parts["word/fontTable.xml"].replace(b"</w:fonts>", element.encode())
    parts["word/fontTable.xml"] = fonts
    parts["word/fonts/own.odttf"] = bytes(font)
    parts["word/_rels/fontTable.xml.rels"] = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="own" Type="{office}/font" Target="fonts/own.odttf"/></Relationships>'
    ).encode()
    with zipfile.ZipFile(path, "w") as after:
        for name, data in parts.items():
            after.writestr(name, data)
    return path
