"""The command ``ocr-server completion``."""

import click
from click.shell_completion import get_completion_class

_HELP = """\b
Examples:
  eval "$(ocr-server completion bash)"    # in ~/.bashrc
  eval "$(ocr-server completion zsh)"     # in ~/.zshrc
  ocr-server completion fish > ~/.config/fish/completions/ocr-server.fish
"""


@click.command(epilog=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, formats and languages in SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    program = context.find_root().command
    click.echo(kind(program, {}, "ocr-server", "_OCR_SERVER_COMPLETE").source())
