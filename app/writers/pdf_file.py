"""A PDF file written object by object, so that memory does not grow with its pages."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import BinaryIO


class PdfFile:
    """Objects on their way to ``stream``; ``close`` adds the page tree and what a reader needs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._offsets: list[int] = []  # Of object n at n - 1; 0 while it is only reserved.
        self._pages: list[str] = []
        self._digest = blake2b(digest_size=16)
        # The first four bytes tell programs that move files that this one is binary.
        self._write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
        self._tree = self.reserve()

    def reserve(self) -> str:
        """A reference to an object that is added later."""
        self._offsets.append(0)
        return f"{len(self._offsets)} 0 R"

    def add(self, entries: str, reference: str | None = None) -> str:
        """Write a dictionary with ``entries``; gives its reference."""
        reference = self._begin(reference)
        self._write(f"<<{entries}>>\nendobj\n".encode("ascii"))
        return reference

    def add_stream(
        self, entries: str, chunks: Iterable[bytes], length: int, reference: str | None = None
    ) -> str:
        """Write a stream of ``length`` bytes; gives its reference."""
        reference = self._begin(reference)
        self._write(f"<<{entries} /Length {length}>>\nstream\n".encode("ascii"))
        for chunk in chunks:
            self._write(chunk)
        self._write(b"\nendstream\nendobj\n")
        return reference

    def add_page(self, entries: str) -> str:
        """Write a page with ``entries``, after those written before; gives its reference."""
        self._pages.append(self.add(f"/Type /Page /Parent {self._tree} {entries}"))
        return self._pages[-1]

    def close(self, entries: str = "", identified: bool = False) -> None:
        """Write the page tree, the catalog with ``entries``, and the table of objects.

        ``identified``: with an identifier, which is the same for the same content.
        """
        kids = " ".join(self._pages)
        self.add(f"/Type /Pages /Count {len(self._pages)} /Kids [{kids}]", self._tree)
        root = self.add(f"/Type /Catalog /Pages {self._tree}{entries}")
        start = self._stream.tell()
        size = len(self._offsets) + 1
        self._write(f"xref\n0 {size}\n0000000000 65535 f \n".encode("ascii"))
        for offset in self._offsets:
            self._write(f"{offset:010} 00000 n \n".encode("ascii"))
        digest = self._digest.hexdigest()
        identifier = f" /ID [<{digest}> <{digest}>]" if identified else ""
        trailer = f"<</Size {size} /Root {root}{identifier}>>"
        self._write(f"trailer\n{trailer}\nstartxref\n{start}\n%%EOF\n".encode("ascii"))

    def _begin(self, reference: str | None) -> str:
        reference = reference or self.reserve()
        number = int(reference.split()[0])
        self._offsets[number - 1] = self._stream.tell()
        self._write(f"{number} 0 obj\n".encode("ascii"))
        return reference

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._stream.write(data)
