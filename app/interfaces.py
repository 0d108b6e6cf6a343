"""The seams: what a converter, engine, writer, storage, queue and ends promise."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from app.document import Block, Box, Document, Line, Page, Rules
from app.languages import Language

Image = NDArray[np.uint8]
"""Pixels, shape (height, width, 3), red-green-blue."""


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """A picture on a page with a text layer: it may hold more text."""

    box: Box  # On the page.
    digest: bytes  # The same for the same picture; empty if that cannot be told.


@dataclass(frozen=True, slots=True)
class SourcePage:
    """One page of a source file, before anything is recognized on it."""

    number: int  # From 1.
    width: float  # Pixels of the image that ``load`` gives.
    height: float
    dpi: float
    load: Callable[[], Image]  # Renders or decodes; may be slow, raises InvalidFile.
    lines: tuple[Line, ...] | None = None  # The text layer, where it can be trusted.
    picture: Path | None = None  # The page as an image file, where the source was an image.
    rules: Callable[[], Rules | None] | None = None  # What is drawn, where the source tells.
    layer: Callable[[], tuple[Line, ...]] | None = None  # The text layer that is not trusted.
    pictures: tuple[SourcePicture, ...] = ()  # Where the text layer is trusted.
    blocks: tuple[Block, ...] | None = None  # What stands on it, where the file itself says so.
    # The pictures among the blocks, each by the place of its block, to be read.
    inside: Mapping[int, "SourcePage"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inlay:
    """A picture in a document that is given back as it is."""

    parts: frozenset[str]  # The names in the package under which the same picture is kept.
    pages: frozenset[int]  # Those it stands on; some number of its own where that is not known.
    image: SourcePage


class Source(Protocol):
    """A source file, opened."""

    @property
    def page_count(self) -> int:
        """How many pages ``pages`` gives."""

    @property
    def original(self) -> Path | None:
        """The source as an unlocked PDF, unless it was an image."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of the file is on no page, in words that people know it by."""

    def pages(self, first: int = 1) -> Iterator[SourcePage]:
        """Every page from ``first`` on, in order, one at a time.

        What a page refers to is there until the next is asked for: memory does not grow.
        """

    def shown(self, page: Page) -> Page:
        """``page``, which was made of one of these, with its picture; that of one at a time."""


@runtime_checkable
class Keepsake(Protocol):
    """A document that is given back as it is, but for the text in its pictures."""

    @property
    def package(self) -> Path:
        """The document, unlocked and in today's format."""

    @property
    def page_count(self) -> int:
        """How many pages, slides or sheets it says it has."""

    def inlays(self) -> Iterator[Inlay]:
        """Each picture that is worth reading once; its image is there until the next is asked."""


class Converter(Protocol):
    """Turns one family of source files into pages."""

    @property
    def media_types(self) -> frozenset[str]:
        """The media types, as ``app.media.detect`` names them, that ``open`` takes."""

    def open(
        self, source: Path, work: Path, password: str | None, form: str = "pdf"
    ) -> AbstractContextManager[Source | Keepsake]:
        """Open ``source``; temporary files go below the folder ``work``.

        What the pages are to become, ``form``, may decide how they are got: a document that is
        of this format already comes as a Keepsake. Raises InvalidFile, EncryptedDocument (no
        or a wrong password), TooLarge, TimedOut.
        """

    def unlock(self, source: Path, work: Path, password: str) -> Path:
        """A copy of ``source`` without its protection, below ``work``; itself, if it has none.

        Raises InvalidFile, EncryptedDocument.
        """

    def prepare(self) -> None:
        """Have started in the background what makes ``open`` quicker; a second call is harmless."""

    def close(self) -> None:
        """End what was started."""


class Engine(Protocol):
    """Reads page images."""

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        """How many quarter turns to the left set the page upright: 0 to 3.

        0 where it cannot be told. Raises InternalError.
        """

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """The lines found on the upright ``image``, in any order, with boxes in its pixels.

        An image without text gives an empty list. Raises TimedOut, InternalError.
        """

    def prepare(self) -> bool:
        """Do a little that makes later pages quicker; False where nothing is left to do.

        It takes no longer than a few tenths of a second. Raises InternalError.
        """


class Writer(Protocol):
    """Makes one output format."""

    @property
    def media_type(self) -> str:
        """The media type of the file that ``write`` makes."""

    @property
    def looks(self) -> bool:
        """Whether it shows how pages look: styles of text, and pictures."""

    @property
    def exact(self) -> bool:
        """Whether it shows where each word stands."""

    @property
    def retells(self) -> bool:
        """Whether it needs the text of pages that have it, and not what is new alone."""

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; every word of the document is in it, none is invented."""


class Keeper(Protocol):
    """Gives documents of one format back as they are, with the text in their pictures."""

    @property
    def media_type(self) -> str:
        """The media type of the file that ``write`` makes."""

    def write(self, package: Path, texts: Mapping[str, str], target: Path) -> None:
        """Create ``target``; ``texts`` are those of the pictures, by the names of their parts.

        Parts to which nothing is added stay byte for byte, unless they are macros.
        """


class Storage(Protocol):
    """Keeps sources and results under keys like ``results/<task>.pdf``.

    All methods raise Unavailable while the files are elsewhere and cannot be reached, and
    ValueError for a key with an empty part or one of dots.
    """

    def put(self, path: Path, key: str, lasting: bool = True) -> None:
        """Move the file at ``path`` under ``key``: all of it or nothing. Raises NotStored.

        What is not ``lasting`` may be gone, or cut off, after a power cut.
        """

    def fetch(self, key: str, target: Path) -> None:
        """Make the file available at the local path ``target``. Raises FileNotFoundError.

        It may share its bytes with others: it is read, moved or removed, never changed.
        """

    def copy(self, key: str, new: str) -> None:
        """Have the file under another key, too. Raises FileNotFoundError, NotStored."""

    def locate(self, key: str) -> Path | None:
        """A local path, good for some minutes, or None if there is no such file.

        Who needs it no more says so by ``let_go``: a file may lie there for this look alone.
        """

    def let_go(self, path: Path) -> None:
        """Be told that nobody opens a path any more that ``locate`` gave. Raises nothing."""

    def link(self, key: str, name: str, media_type: str, seconds: float) -> str | None:
        """An address at which anybody gets the file for so long; None if nobody else serves it.

        It is given as a file of this name and type, if that can be had.
        """

    def delete(self, key: str) -> None:
        """Remove the file, or all below ``key/``; it is no error if there is none."""

    def settled(self, folder: str, age_s: float) -> Iterator[str]:
        """The keys in a folder, also of folders, that nothing was put under for ``age_s``.

        The name of a folder ends in a slash.
        """


class Queue(Protocol):
    """Carries ids of work to workers. The tables of the database hold the truth, not the queue.

    All methods raise Unavailable while it does not answer.
    """

    def put(self, unit: str, place: float) -> None:
        """Announce work; lower places come first. Ids may be delivered twice or late."""

    def get(self, timeout_s: float) -> str | None:
        """The next id, or None if none came within ``timeout_s`` seconds."""

    def head(self) -> tuple[str, float] | None:
        """The next id and its place; None if there is none."""

    def size(self) -> int:
        """How many ids are waiting."""

    def close(self) -> None:
        """Let go of the connection, if there is one."""


class Ends(Protocol):
    """Tells processes which tasks have come to their end. What is told may be lost."""

    @property
    def hears(self) -> bool:
        """Whether what others tell is heard, as far as that is known; False before ``listen``."""

    def tell(self, task_ids: Collection[str]) -> None:
        """Say that these tasks are final or gone, once that is committed. Raises nothing."""

    def listen(self, hear: Callable[[Collection[str]], None]) -> None:
        """Have ``hear`` called with ids that are told from soon on, by a thread of its own.

        It is called once for an id, or now and then twice; called again, nothing is changed.
        """

    def close(self) -> None:
        """End the thread, if there is one."""
