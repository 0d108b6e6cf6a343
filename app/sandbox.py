"""Walls around programs that open strangers' files: what they see, where they write, no network.

A parser that a file has taken over can do what its process may do. So it sees the programs,
libraries and fonts of the system and one folder of its own, and neither the data folder nor other
processes, which hold secrets of the server.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from app import proc
from app.errors import ToolFailed


@dataclass(frozen=True, slots=True)
class Wall:
    """One way to confine a program."""

    name: str
    lacks: str  # What it does not keep from programs; empty if it keeps all.
    words: Callable[[Path, Sequence[Path]], list[str]]

    def around(self, args: Iterable[str], folder: Path, readable: Sequence[Path] = ()) -> list[str]:
        """``args``, to be run in ``folder``, which alone the program may write to.

        ``readable`` are files and folders that it sees beside those of the system.
        """
        return [*self.words(folder, readable), *args]

    def works(self) -> bool:
        """Whether the kernel, and the container around us, allow it."""
        with TemporaryDirectory(prefix="ocr-wall-") as name:
            try:
                proc.run(self.around(["true"], Path(name)), timeout_s=10, cwd=Path(name))
            except ToolFailed:
                return False
        return True


@cache
def strongest() -> Wall:
    """The best wall that works here; looked for once in a process."""
    return next(wall for wall in WALLS if wall.works())


def without_network() -> list[str]:
    """The words before a command that take the network from it; none where nothing can."""
    for wall in _NAMESPACES:
        if wall.works():
            return wall.around([], Path("/"))
    return []


def report() -> tuple[str, bool]:
    """What to say of it at the start, and whether that is a warning."""
    wall = strongest()
    if wall.lacks:
        return f"Programs that open documents are confined by {wall.name}: {wall.lacks}", True
    return f"Programs that open documents are confined by {wall.name}", False


def _bubblewrap(folder: Path, readable: Sequence[Path]) -> list[str]:
    words = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns"]
    words += ["--die-with-parent", "--cap-drop", "ALL"]
    for name in _ROOTS:  # Links into /usr on most systems.
        if (path := Path("/", name)).is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            words += ["--ro-bind", str(path), str(path)]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - a new one
    for seen in (*_SYSTEM, *map(str, readable)):
        words += ["--ro-bind-try", seen, seen]
    return [*words, "--bind", str(folder), str(folder), "--chdir", str(folder)]


def _landlock(folder: Path, readable: Sequence[Path]) -> list[str]:
    seen = [*(f"/{name}" for name in _ROOTS), *_SYSTEM, "/proc", *map(str, readable)]
    return [_PYTHON, "-I", str(_SCRIPT), str(folder), *seen, "--"]


_ROOTS = ("usr", "bin", "sbin", "lib", "lib32", "lib64")
# Of /etc and /var what LibreOffice, Poppler and the loader look for: fonts and where they are,
# names that stand for others, the size of paper, the time zone.
_SYSTEM = (
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/libreoffice",
    "/etc/localtime",
    "/etc/papersize",
    "/var/cache/fontconfig",
    "/var/lib/libreoffice",
    "/var/spool/libreoffice",
)
_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3"
_SCRIPT = Path(__file__).with_name("landlock.py")

_NAMESPACES = [
    Wall(
        "a network namespace alone",
        "no network, but they could read the data folder",
        lambda *_, words=words: words,
    )
    for words in (["unshare", "--net"], ["unshare", "--user", "--map-current-user", "--net"])
]

WALLS = (
    Wall("bubblewrap", "", _bubblewrap),
    Wall(
        "Landlock and seccomp",
        "no network, no files but their own; names of other processes can be seen, files in /tmp "
        "removed, and sockets of local services, such as a database's, connected to",
        _landlock,
    ),
    *_NAMESPACES,
    Wall(
        "nothing",
        "the kernel lets nobody here take their network and the data folder from them",
        lambda *_: [],
    ),
)
"""From the strongest to none; the last one always works."""
