"""Pictures of the pages: a ZIP of JPEG files."""

from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import cv2
import numpy as np

from app.document import Document, Page
from app.errors import AppError


class PicturesWriter:
    """Writes a picture of each page, as it is read: set upright."""

    media_type = "application/zip"
    looks = False
    exact = False
    retells = False

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; the page 3 is the member ``3.jpg``, at most 2000 pixels long.

        A page that cannot be shown is left out, as are sheets: nobody knows what they look like.
        """
        with ZipFile(target, "w", ZIP_STORED) as archive:
            for page in document.pages:
                picture = _jpeg(page)
                if picture is not None:
                    member = ZipInfo(f"{page.number}.jpg")  # Its time is always the same.
                    member.external_attr = 0o644 << 16
                    archive.writestr(member, picture)


_LONGEST, _QUALITY = 2000, 80


def _jpeg(page: Page) -> bytes | None:
    """The page as a JPEG file; None if it cannot be shown."""
    if page.load is None or page.endless:
        return None
    try:
        image = page.load()
    except AppError:
        return None
    height, width = image.shape[:2]
    shrink = min(1.0, _LONGEST / max(height, width))
    size = (max(round(width * shrink), 1), max(round(height * shrink), 1))
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if shrink < 1.0 else image
    blue_first = np.ascontiguousarray(np.rot90(smaller, page.turns)[:, :, ::-1])
    _, packed = cv2.imencode(".jpg", blue_first, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return packed.tobytes()
