"""Takes the pages that stand in the project's root into the handbook's site: a hook of MkDocs."""

import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh.md",
    "SECURITY.md": "policy.md",
    "CHANGELOG.md": "changelog.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    logging.getLogger("jieba").setLevel(logging.WARNING)  # The search tells how it starts.
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=_moved(text, r"(?:docs/)?")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Have the links of ``docs/`` to those pages lead to where they are here."""
    return _moved(markdown, r"\.\./")


def _moved(text: str, prefix: str) -> str:
    """``text`` with its links, which may begin with ``prefix``, as the site has them."""

    def there(link: re.Match[str]) -> str:
        name, anchor = link.groups()
        return f"]({PAGES.get(name, name)}{anchor}"

    return re.sub(rf"\]\({prefix}([\w./-]+\.(?:md|svg|png|webp))(#?)", there, text)
