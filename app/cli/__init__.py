"""The command ``ocr-server``; each command has its module here, loaded when it is called."""

import logging
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from app import __version__
from app.errors import AppError


class Commands(click.Group):
    """Commands by their names, in the order of their help, loaded one at a time.

    To load all would take seconds, and the help needs none of them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from its module."""
        module = _HIDDEN.get(cmd_name) or _COMMANDS.get(cmd_name, ("", ""))[0]
        if not module:
            return None
        command = getattr(import_module(f"app.cli.{module}"), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; whatever goes wrong is one sentence, unless debugging."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.invoked_subcommand in _HIDDEN or logging.getLogger().isEnabledFor(logging.DEBUG):
                raise
            raise click.ClickException(_sentence(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say what each does."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so."""
        names = [
            CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """OCR server: send a document, get text, a searchable PDF, Word, Excel or PowerPoint back.

    Settings come from environment variables that begin with OCR_.
    """


_HELP = """\b
Examples:
  ocr-server serve --local-token
  ocr-server recognize scan.pdf -f docx -l ChinesePRC,English
  ocr-server doctor

`ocr-server COMMAND --help` has more of them.
"""
main.epilog = _HELP


def _sentence(error: Exception) -> str:
    if isinstance(error, AppError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    what = (str(error).splitlines() or [""])[0].rstrip(".")
    return f"{type(error).__name__}: {what}. OCR_LOG_LEVEL=debug shows where."


# By name: its module, and what the help of all says of it. The function is named like the command.
_COMMANDS = {
    "serve": ("serve", "Run the HTTP server and its workers."),
    "worker": ("serve", "Run workers alone, for a server that runs elsewhere."),
    "mcp": ("mcp", "Give agents tools of a running server (Model Context Protocol)."),
    "recognize": ("recognize", "Recognize files without a server."),
    "languages": ("languages", "List the languages, and what reads each."),
    "doctor": ("doctor", "Look at every part, and say how to mend it."),
    "health": ("health", "Ask whether the server, or the workers, of this machine are ready."),
    "migrate": ("admin", "Bring the database's schema up to date."),
    "token": ("admin", "Create, list, change and revoke tokens."),
    "task": ("admin", "Look at tasks."),
    "completion": ("completion", "Print the script that completes commands in a shell."),
}
_HIDDEN = {"work": "serve", "read": "reading"}  # Processes that commands start.
