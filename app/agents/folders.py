"""Which files an agent may have read and written: documents in the folders that a person named."""

from collections.abc import Sequence
from pathlib import Path

from app import media
from app.agents.errors import AgentError
from app.errors import AppError


class Folders:
    """The folders. What an agent was talked into by a document must not lead out of them.

    Nothing that is hidden is read or written, what is no document never leaves the machine, and
    nothing is overwritten.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(root.resolve() for root in roots)

    def readable(self, name: str) -> Path:
        """The document of that name. Raises AgentError."""
        path = self._inside(name)
        if not path.is_file():
            raise AgentError("no_such_file", f"There is no file {name}.", "Check the path.")
        try:
            media.detect(path)
        except AppError as error:
            raise AgentError(
                error.code, str(error), "Only documents and pictures are sent; choose another file."
            ) from error
        except OSError as error:
            raise AgentError(
                "not_readable", f"{name} cannot be read: {error.strerror}.", "Tell the user."
            ) from error
        return path

    def writable(self, name: str, form: str) -> Path:
        """Where a result in the format ``form`` may be stored. Raises AgentError."""
        path = self._inside(name)
        if path.is_dir():
            raise AgentError("not_writable", f"{name} is a folder.", "Name a file in it.")
        if path.suffix.lower() != f".{form}":
            raise AgentError(
                "not_writable", f"{name} does not end in .{form}.", f"Let it end in .{form}."
            )
        if path.exists():
            raise AgentError(
                "not_writable",
                f"{name} exists, and nothing is overwritten.",
                "Choose another name.",
            )
        if not path.parent.is_dir():
            raise AgentError(
                "not_writable", f"The folder of {name} does not exist.", "Name one that does."
            )
        return path

    def _inside(self, name: str) -> Path:
        """The path without links. Raises AgentError if it lies outside, or is hidden."""
        if not self._roots:
            raise AgentError(
                "no_folders",
                "No folder was opened to this tool.",
                "Ask the user to start `ocr-server mcp` with --folder DIR.",
            )
        try:
            path = (self._roots[0] / Path(name).expanduser()).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise AgentError("no_such_file", "This is no path.", "Check the path.") from error
        for root in self._roots:
            if path.is_relative_to(root):
                if any(part.startswith(".") for part in path.relative_to(root).parts):
                    break
                return path
        raise AgentError(
            "outside_of_folders",
            f"{name} is hidden, or lies outside of the folders that are open to this tool: "
            f"{', '.join(map(str, self._roots))}.",
            "Use a file in one of them, or ask the user to copy it there.",
        )
