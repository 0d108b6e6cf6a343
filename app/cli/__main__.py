"""``python -m app.cli`` is ``ocr-server``."""

from app.cli import main

main(prog_name="ocr-server")
