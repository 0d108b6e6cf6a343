"""A PDF file written object by object, so that memory does not grow with its pages."""

from collections.abc import Iterable
from typing import BinaryIO


class PdfFile:
    """Objects on their way to ``stream``; ``close`` adds the page tree and what a reader needs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._offsets: list[int] = []  # Of object n at n - 1; 0 while it is only reserved.
        self._pages: list[str] = []
        # The first four bytes tell programs that move files that this one is binary.
        stream.write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
        self._tree = self.reserve()

    def reserve(self) -> str:
        """A reference to an object that is added later."""
        self._offsets.append(0)
        return f"{len(self._offsets)} 0 R"

    def add(self, entries: str, reference: str | None = None) -> str:
        """Write a dictionary with ``entries``; gives its reference."""
        reference = self._begin(reference)
        self._stream.write(f"<<{entries}>>\nendobj\n".encode("ascii"))
        return reference

    def add_stream(
        self, entries: str, chunks: Iterable[bytes], length: int, reference: str | None = None
    ) -> str:
        """Write a stream of ``length`` bytes; gives its reference."""
        reference = self._begin(reference)
        self._stream.write(f"<<{entries} /Length {length}>>\nstream\n".encode("ascii"))
        for chunk in chunks:
            self._stream.write(chunk)
        self._stream.write(b"\nendstream\nendobj\n")
        return reference

    def add_page(self, entries: str) -> None:
        """Write a page with ``entries``, after those written before."""
        self._pages.append(self.add(f"/Type /Page /Parent {self._tree} {entries}"))

    def close(self) -> None:
        """Write the page tree, the catalog and the table of objects."""
        kids = " ".join(self._pages)
        self.add(f"/Type /Pages /Count {len(self._pages)} /Kids [{kids}]", self._tree)
        root = self.add(f"/Type /Catalog /Pages {self._tree}")
        start = self._stream.tell()
        size = len(self._offsets) + 1
        self._stream.write(f"xref\n0 {size}\n0000000000 65535 f \n".encode("ascii"))
        for offset in self._offsets:
            self._stream.write(f"{offset:010} 00000 n \n".encode("ascii"))
        trailer = f"trailer\n<</Size {size} /Root {root}>>\nstartxref\n{start}\n%%EOF\n"
        self._stream.write(trailer.encode("ascii"))

    def _begin(self, reference: str | None) -> str:
        reference = reference or self.reserve()
        number = int(reference.split()[0])
        self._offsets[number - 1] = self._stream.tell()
        self._stream.write(f"{number} 0 obj\n".encode("ascii"))
        return reference
