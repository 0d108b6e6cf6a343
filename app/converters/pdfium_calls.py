"""PDFium's functions that are called for each character, object or corner of a page.

They do little: what a call costs is the way there. So these neither check nor convert what they
are given, as those of ``pypdfium2.raw`` do, nor let go of the interpreter's lock; they take half
as long. Pass handles, ``int`` only for an int of C, and ``byref`` of where a result is to go.
"""

import ctypes
from collections import deque
from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray


class Results:
    """Where results go: up to four numbers of a kind, or a matrix; used again for each call."""

    def __init__(self) -> None:
        self.ints = (ctypes.c_int * 4)()
        self.floats = (ctypes.c_float * 4)()
        self.doubles = (ctypes.c_double * 4)()
        self.matrix = pdfium.FS_MATRIX()
        self.to_ints = [ctypes.byref(self.ints, 4 * n) for n in range(4)]
        self.to_floats = [ctypes.byref(self.floats, 4 * n) for n in range(4)]
        self.to_doubles = [ctypes.byref(self.doubles, 8 * n) for n in range(4)]
        self.to_matrix = ctypes.byref(self.matrix)


class LooseBoxes:
    """The boxes of the characters of one page after the other, as high as their fonts."""

    def __init__(self) -> None:
        self._room = (ctypes.c_float * 0)()
        self._places: list[Any] = []  # To make them costs as much as to fill them.

    def of(self, text: pdfium.FPDF_TEXTPAGE, count: int) -> NDArray[np.float64]:
        """Left, top, right, bottom of ``count`` characters in PDF's axes, shape (count, 4)."""
        if count > len(self._places):
            self._room = (ctypes.c_float * (4 * count))()
            self._places = [ctypes.byref(self._room, 16 * n) for n in range(count)]
        ctypes.memset(self._room, 0, 16 * count)
        deque(map(get_loose_box, repeat(text), range(count), self._places), maxlen=0)
        boxes = np.frombuffer(memoryview(self._room), dtype=np.float32, count=4 * count)
        return np.array(boxes.reshape(count, 4), dtype=np.float64)


def _quick(function: Any, result: Any = ctypes.c_int) -> Callable[..., Any]:
    # A prototype without types of arguments takes any number of any that need no conversion.
    prototype = ctypes.PYFUNCTYPE(result)
    return prototype(ctypes.cast(function, ctypes.c_void_p).value)  # type: ignore[arg-type]


get_unicode = _quick(pdfium.FPDFText_GetUnicode, ctypes.c_uint)
get_loose_box = _quick(pdfium.FPDFText_GetLooseCharBox)
get_box = _quick(pdfium.FPDFText_GetCharBox)
is_generated = _quick(pdfium.FPDFText_IsGenerated)
is_guessed = _quick(pdfium.FPDFText_HasUnicodeMapError)
get_text_object = _quick(pdfium.FPDFText_GetTextObject, ctypes.c_void_p)
get_matrix = _quick(pdfium.FPDFText_GetMatrix)
get_font_size = _quick(pdfium.FPDFText_GetFontSize, ctypes.c_double)
get_font_info = _quick(pdfium.FPDFText_GetFontInfo, ctypes.c_ulong)
get_font_weight = _quick(pdfium.FPDFText_GetFontWeight)
get_text_colour = _quick(pdfium.FPDFText_GetFillColor)

get_object = _quick(pdfium.FPDFPage_GetObject, pdfium.FPDF_PAGEOBJECT)
get_form_object = _quick(pdfium.FPDFFormObj_GetObject, pdfium.FPDF_PAGEOBJECT)
get_type = _quick(pdfium.FPDFPageObj_GetType)

count_segments = _quick(pdfium.FPDFPath_CountSegments)
get_segment = _quick(pdfium.FPDFPath_GetPathSegment, pdfium.FPDF_PATHSEGMENT)
get_segment_type = _quick(pdfium.FPDFPathSegment_GetType)
get_point = _quick(pdfium.FPDFPathSegment_GetPoint)
get_close = _quick(pdfium.FPDFPathSegment_GetClose)
get_draw_mode = _quick(pdfium.FPDFPath_GetDrawMode)
get_object_matrix = _quick(pdfium.FPDFPageObj_GetMatrix)
get_stroke_width = _quick(pdfium.FPDFPageObj_GetStrokeWidth)
get_fill_colour = _quick(pdfium.FPDFPageObj_GetFillColor)
get_stroke_colour = _quick(pdfium.FPDFPageObj_GetStrokeColor)

get_annotation = _quick(pdfium.FPDFPage_GetAnnot, pdfium.FPDF_ANNOTATION)
get_subtype = _quick(pdfium.FPDFAnnot_GetSubtype)
close_annotation = _quick(pdfium.FPDFPage_CloseAnnot, None)
