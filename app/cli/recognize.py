"""The command ``ocr-server recognize``."""

import shutil
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from app import languages, wiring
from app.cli.settings import pass_settings
from app.config import Settings
from app.errors import AppError
from app.pipeline import Order
from app.reading import Mode


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["txt", "pdf", "docx", "xlsx", "pptx", "json", "hocr", "alto"]),
    default="txt",
    show_default=True,
)
@click.option("-l", "--language", default="ChinesePRC,English", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A file, or a folder for it; default: beside FILE.",
)
@click.option("--password", help="The password of the document.")
@click.option("--pdfa", is_flag=True, help="Make a PDF a PDF/A-2, with a structure tree.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "force", "skip"]),
    default="auto",
    show_default=True,
    help="Recognize what has no text that can be trusted, every page, or pages without text.",
)
@click.option(
    "--show",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw what was understood of each page into this folder.",
)
@pass_settings
def recognize(
    settings: Settings,
    file: Path,
    form: str,
    language: str,
    output: Path | None,
    password: str | None,
    pdfa: bool,
    mode: str,
    folder: Path | None,
) -> None:
    """Recognize FILE without a server."""
    from app.show import show

    name = f"{file.name}.{form}"
    target = file.with_name(name) if output is None else output
    if target.is_dir():
        target /= name
    try:
        order = Order(form, languages.parse(language), password, pdfa, Mode(mode))
        wiring.check_languages(settings, order.languages)
        with (
            TemporaryDirectory(prefix="ocr-") as work,
            TemporaryDirectory() as made,
            closing(wiring.pipeline(settings)) as pipeline,
        ):
            result = Path(made) / target.name
            pipeline.run(
                order,
                file,
                Path(work),
                result,
                lambda *_: None,
                show=None if folder is None else partial(show, folder=folder),
            )
            shutil.move(result, target)
    except AppError as error:
        raise click.ClickException(str(error)) from error
    click.echo(target)
