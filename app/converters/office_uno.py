"""The part beside LibreOffice: starts it, has it convert documents, ends it.

A program of its own, run by the Python that has Debian's ``python3-uno``; it imports nothing of
ours. Arguments: a folder of its own, and LibreOffice's command line. It takes lines of JSON and
answers with lines of JSON. When its standard input ends, it kills LibreOffice, removes the folder
and ends, whatever LibreOffice is at.
"""

import contextlib
import hashlib
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uno
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException


def main() -> None:
    """Answer lines until there are no more."""
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    os.umask(0o077)
    office = _Office(command)
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    # In a thread of its own, which notices the end while a document is being converted.
    threading.Thread(target=_read, args=(orders, office, folder), daemon=True).start()
    desktop = office.start()
    _say()
    while True:
        try:
            _convert(desktop, **json.loads(orders.get()))
            resident = _resident_bytes(office.started[-1].pid)
            _say(clean=_is_clean(desktop, folder), resident_bytes=resident)
        except Exception as error:  # LibreOffice's own exceptions have no other base.
            _say(error=f"{type(error).__name__}: {error}"[:1000], alive=_is_alive(desktop))


def _read(orders: queue.SimpleQueue[str], office: "_Office", folder: Path) -> None:
    try:
        for line in sys.stdin:
            orders.put(line)
    finally:
        office.kill()
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)  # Also what is being started at this moment.


def _say(**answer: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # Nobody listens; the other thread ends it all.
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class _Office:
    """LibreOffice, and the sockets that it makes."""

    def __init__(self, command: list[str]) -> None:
        name = secrets.token_hex(16)
        self._address = f"pipe,name={name};urp"
        self._command = [*command, f"--accept={self._address}"]
        if setpriv := shutil.which("setpriv"):
            self._command = [setpriv, "--pdeathsig", "KILL", *self._command]
        self._sockets = (name, _lock_name(command))
        self.started: list[subprocess.Popen[bytes]] = []
        self._ending = False

    def start(self) -> Any:
        """Its desktop, the object that loads documents."""
        self._launch()
        context = uno.getComponentContext()
        resolver = context.ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
        while True:
            try:
                office = resolver.resolve(f"uno:{self._address};StarOffice.ComponentContext")
                break
            except NoConnectException:
                status = self.started[-1].poll()
                if status == _AGAIN:
                    self._launch()
                elif status is not None and not self._ending:
                    sys.exit(f"LibreOffice ended with status {status}.")
            time.sleep(0.02)
        # What is connected stays so; nobody else can connect any more. Until here a user without
        # an entry in /etc/passwd shares them with all others, anyone else with nobody.
        self._remove_sockets()
        return office.ServiceManager.createInstance("com.sun.star.frame.Desktop")

    def kill(self) -> None:
        """End it at once, and leave nothing behind."""
        self._ending = True  # The other thread's exit would cut this one short.
        for process in self.started:
            process.kill()
            process.wait()
        self._remove_sockets()

    def _launch(self) -> None:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, never a shell
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(process)

    def _remove_sockets(self) -> None:
        for folder in ("/tmp", "/var/tmp"):  # noqa: S108 - where LibreOffice makes them
            for name in self._sockets:
                for user in (f"{os.getuid()}_", ""):
                    with contextlib.suppress(OSError):
                        Path(folder, f"OSL_PIPE_{user}{name}").unlink()


_AGAIN = 81  # The status of a LibreOffice that has set up its profile and is to be started again.


def _lock_name(command: list[str]) -> str:
    """The name of the socket by which LibreOffice looks for another one on the same profile."""
    profile = next(word.partition("=")[2] for word in command if word.startswith("-env:User"))
    digest = hashlib.md5(profile.encode("utf-16-le"), usedforsecurity=False).digest()
    return "SingleOfficeIPC_" + "".join(f"{byte:x}" for byte in digest)


def _convert(desktop: Any, source: str, target: str, how: dict[str, Any]) -> None:
    opened = {
        "Hidden": True,
        "ReadOnly": True,
        "MacroExecutionMode": 0,  # Never.
        "UpdateDocMode": 0,  # No links.
    }
    if how["opens"]:
        opened["FilterName"] = how["opens"]
    document = desktop.loadComponentFromURL(source, "_blank", 0, _values(opened))
    if document is None:
        raise ValueError("not loaded")
    try:
        saved = {"FilterName": how["saves"]}
        if how["pages"]:
            if document.supportsService("com.sun.star.sheet.SpreadsheetDocument"):
                _fit_columns(document)
            pages = _values({"PageRange": f"1-{how['pages']}"})
            saved["FilterData"] = uno.Any("[]com.sun.star.beans.PropertyValue", pages)
        document.storeToURL(target, _values(saved))
    finally:
        document.close(True)


def _values(named: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(PropertyValue(name, 0, value, 0) for name, value in named.items())


def _is_clean(desktop: Any, folder: Path) -> bool:
    """Whether nothing of the documents is left: windows, or fonts that they brought along."""
    fonts = folder.glob("profile/user/temp/embeddedfonts/fromdocs/*")
    return not desktop.Components.createEnumeration().hasMoreElements() and not any(fonts)


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _is_alive(desktop: Any) -> bool:
    try:
        return bool(desktop.Components)
    except Exception:
        return False


# Hundredths of a millimetre.
_WIDEST = 300_000  # LibreOffice makes no wider paper.
# Percent of the print's size.
_SMALLER = 80  # Rather than this the paper is turned.
_SMALLEST = 60  # Rather than this the paper is made wider: 11 points are then as small as notes.


def _fit_columns(document: Any) -> None:
    """Have all columns of a sheet on one page: the paper turned, the print smaller, paper wider."""
    styles = document.StyleFamilies.getByName("PageStyles")
    widths: dict[str, int] = {}
    for sheet in document.Sheets:
        if sheet.IsVisible:
            widest = max((area.Size.Width for area in _printed(sheet)), default=0)
            widths[sheet.PageStyle] = max(widest, widths.get(sheet.PageStyle, 0))
    for name, width in widths.items():
        style = styles.getByName(name)
        margins = style.LeftMargin + style.RightMargin
        across, down = style.Width - margins, style.Height - margins
        if width * _SMALLER // 100 > across and down > across:
            style.IsLandscape = True
            style.Width, style.Height = style.Height, style.Width
            across = down
        needed = width * _SMALLEST // 100
        if needed > across:
            style.Width = min(_WIDEST, needed + margins + 1)
        style.PageScale = 100
        style.ScaleToPages = 0
        if needed + margins > _WIDEST:  # As it is; letters that nobody can read help nobody.
            style.PageScale = _SMALLEST
        else:
            style.ScaleToPagesX, style.ScaleToPagesY = 1, 0


def _printed(sheet: Any) -> Iterator[Any]:
    areas = sheet.getPrintAreas()
    if areas:
        for area in areas:
            yield sheet.getCellRangeByPosition(
                area.StartColumn, area.StartRow, area.EndColumn, area.EndRow
            )
    else:
        used = sheet.createCursor()
        used.gotoEndOfUsedArea(False)
        end = used.RangeAddress
        yield sheet.getCellRangeByPosition(0, 0, end.EndColumn, end.EndRow)


if __name__ == "__main__":
    main()
