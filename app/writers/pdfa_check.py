"""Whether a page of a foreign PDF may stay as it is in a PDF/A-2 with an sRGB output intent.

What is not known to be allowed is not (ISO 19005-2, 6.2).
"""

from __future__ import annotations

from typing import Any

import pikepdf

from app.writers.pdf_page import inherited, parts_of
from app.writers.pdfa_fonts import Fault, Font


class PageCheck:
    """Looks at the pages of one document; what they share is looked at once."""

    def __init__(self) -> None:
        # Of the pages without a fault:
        self.speaks = True  # All text can be told by what stands in the PDF.
        self.is_public = True  # None of it means only what its maker knows.
        self.marked = False  # Something is marked content.
        self._fonts: dict[tuple[int, int] | bytes, Font] = {}
        self._checked: dict[tuple[int, int], set[int]] = {}  # Codes of fonts.
        self._passed: set[tuple[int, int]] = set()  # Pictures and colour spaces.
        self._inks: dict[str, bytes] = {}  # What the name of a spot colour stands for.
        self._overprints: set[str] = set()  # What has to come together to overprint.

    def fault(self, page: pikepdf.Object) -> str | None:
        """Why the page cannot stay as it is; None if it can."""
        try:
            for key in ("/MediaBox", "/CropBox", "/TrimBox", "/BleedBox", "/ArtBox"):
                if (box := inherited(page, key)) is not None:
                    _check_box(box)
            look = _Look(self)
            look.check_group(page)
            look.walk(page, inherited(page, "/Resources"))
            look.check_fonts()
            self.marked = self.marked or look.marked
        except Fault as fault:
            return str(fault)
        except Exception as error:  # What breaks a rule of PDF itself may break in any way.
            return f"something that cannot be read ({error!r})"
        return None

    def font(self, found: pikepdf.Object) -> Font:
        """The font, read once."""
        key = found.objgen if found.is_indirect else found.unparse()
        if key not in self._fonts:
            self._fonts[key] = Font(found)
        return self._fonts[key]

    def is_new(self, found: Any) -> bool:
        """Whether an object that passed is to be looked at, again because it has no number."""
        return found.objgen == (0, 0) or found.objgen not in self._passed

    def passed(self, found: Any) -> None:
        """Note that an object need not be looked at again."""
        self._passed.add(found.objgen)

    def check_ink(self, name: str, space: pikepdf.Object) -> None:
        """Raise Fault where a spot colour is not what it was before."""
        said = space[2].unparse() + space[3].unparse()
        if self._inks.setdefault(name, said) != said:
            raise Fault("a spot colour with two meanings")

    def check_codes(self, found: pikepdf.Object, font: Font, codes: set[int]) -> None:
        """Raise Fault unless the font can show ``codes``."""
        known = self._checked.setdefault(found.objgen, set()) if found.is_indirect else set()
        font.check(codes - known)
        known |= codes
        self.speaks = self.speaks and font.speaks(codes)
        self.is_public = self.is_public and font.is_public(codes)

    def check_overprint(self, *conditions: str) -> None:
        """Raise Fault where overprinting, its mode and inks by a profile come together."""
        self._overprints.update(conditions)
        if len(self._overprints) == 3:
            raise Fault("overprinting")


class _Look:
    """One look at a page and at all that it draws."""

    def __init__(self, check: PageCheck) -> None:
        self._check = check
        self._codes: dict[int, tuple[pikepdf.Object, Font, set[int]]] = {}
        self._forms: set[tuple[int, int]] = set()
        self._depth = 0
        self.marked = False

    def check_fonts(self) -> None:
        """Raise Fault unless the fonts can show what they were asked to."""
        for found, font, codes in self._codes.values():
            self._check.check_codes(found, font, codes)

    def check_group(self, drawing: pikepdf.Object) -> None:
        """Raise Fault where the drawing is blended in a space of colours that is not allowed."""
        group = drawing.get("/Group")
        if isinstance(group, pikepdf.Dictionary) and (space := group.get("/CS")) is not None:
            self._check_space(space, pikepdf.Dictionary())

    def walk(self, drawing: pikepdf.Object, resources: Any) -> None:
        """Look at what is drawn by a page, form, pattern."""
        if not isinstance(resources, pikepdf.Dictionary):
            resources = pikepdf.Dictionary()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Fault("drawings within drawings")
        if sum(len(part.read_bytes()) for part in parts_of(drawing)) > _MOST_BYTES:
            raise Fault("a drawing that is too long to look through")
        fonts: list[pikepdf.Object | None] = []
        font: pikepdf.Object | None = None
        for instruction in pikepdf.parse_content_stream(drawing):
            operands: Any = instruction.operands
            name = str(instruction.operator)
            if name not in _OPERATORS:
                raise Fault(f"an operator {name[:9]!r}")
            if name == "q":
                fonts.append(font)
                if len(fonts) > _MOST_SAVED:
                    raise Fault("too many states within each other")
            elif name == "Q":
                font = fonts.pop() if fonts else font
            elif name == "Tf":
                font = _resource(resources, "/Font", operands[0])
            elif name in ("Tj", "'", '"'):
                self._show(font, bytes(operands[-1]))
            elif name == "TJ":
                for each in operands[0]:
                    if isinstance(each, pikepdf.String):
                        self._show(font, bytes(each))
            elif name == "Do":
                self._check_xobject(_resource(resources, "/XObject", operands[0]), resources)
            elif name == "gs":
                state = _resource(resources, "/ExtGState", operands[0])
                self._check_state(state)
                if "/Font" in state:
                    font = state.Font[0]
            elif name in ("cs", "CS"):
                self._check_space(operands[0], resources)
            elif name in ("g", "G", "rg", "RG", "k", "K"):
                self._check_space(pikepdf.Name(_DEVICES[name.lower()]), resources)
            elif name in ("scn", "SCN") and operands and isinstance(operands[-1], pikepdf.Name):
                self._check_pattern(_resource(resources, "/Pattern", operands[-1]))
            elif name == "sh":
                self._check_shading(_resource(resources, "/Shading", operands[0]))
            elif name in ("BMC", "BDC"):
                self.marked = True
            elif name == "ri":
                _check_intent(operands[0])
            elif name == "INLINE IMAGE":
                self._check_inline(operands[0].obj, resources)
        self._depth -= 1

    def _show(self, found: pikepdf.Object | None, text: bytes) -> None:
        if found is None:
            raise Fault("text without a font")
        if len(text) > _LONGEST_STRING:
            raise Fault("a string that is too long")
        font = self._check.font(found)
        codes = self._codes.setdefault(id(font), (found, font, set()))[2]
        codes.update(font.codes(text))

    def _check_xobject(self, found: pikepdf.Object, resources: pikepdf.Object) -> None:
        kind = str(found.get("/Subtype"))
        if kind == "/Image":
            self._check_image(found, resources)
        elif kind == "/Form":
            self._check_form(found)
        else:
            raise Fault(f"an object of the kind {kind}")

    def _check_form(self, form: pikepdf.Object) -> None:
        if form.objgen in self._forms:  # Text in it was noted when it was met first.
            return
        _check_stream(form)
        for key in ("/Ref", "/PS", "/OPI", "/Subtype2"):
            if key in form:
                raise Fault(f"a form with {key}")
        self.check_group(form)
        # Without resources of its own it may use none, in PDF/A.
        self.walk(form, form.get("/Resources"))
        self._forms.add(form.objgen)

    def _check_image(self, image: pikepdf.Object, resources: pikepdf.Object) -> None:
        if not self._check.is_new(image):
            return
        _check_stream(image)
        for key in ("/Alternates", "/OPI"):
            if key in image:
                raise Fault(f"an image with {key}")
        if image.get("/Interpolate", False):
            raise Fault("an image that is to be smoothed")
        if "/Intent" in image:
            _check_intent(image.Intent)
        if "/JPXDecode" in _filters(image):
            _check_jpx(image)
        bits = int(image.get("/BitsPerComponent", 1))
        if bits not in ((1,) if image.get("/ImageMask", False) else (1, 2, 4, 8, 16)):
            raise Fault("an image of odd depth")
        if not image.get("/ImageMask", False):
            self._check_space(image.get("/ColorSpace"), resources)
        for key in ("/SMask", "/Mask"):
            if isinstance(mask := image.get(key), pikepdf.Stream):
                self._check_image(mask, resources)
        if not isinstance(image.get("/ColorSpace"), pikepdf.Name):
            self._check.passed(image)

    def _check_inline(self, image: pikepdf.Object, resources: pikepdf.Object) -> None:
        filters: Any = image.get("/Filter", image.get("/F", pikepdf.Array()))
        for each in filters if isinstance(filters, pikepdf.Array) else [filters]:
            if str(each) not in _INLINE_FILTERS:
                raise Fault(f"the filter {each}")
        if image.get("/Interpolate", image.get("/I", False)):
            raise Fault("an image that is to be smoothed")
        if not image.get("/ImageMask", image.get("/IM", False)):
            self._check_space(image.get("/ColorSpace", image.get("/CS")), resources)

    def _check_space(self, space: Any, resources: pikepdf.Object) -> None:
        if isinstance(space, pikepdf.Name):
            name = _LONG_NAMES.get(str(space), str(space))
            if name in ("/DeviceGray", "/DeviceRGB", "/Pattern"):
                return
            if name == "/DeviceCMYK":
                raise Fault("colours of a printing press that is not named")
            space = _resource(resources, "/ColorSpace", space)
        if not isinstance(space, pikepdf.Array):
            self._check_space(space, pikepdf.Dictionary())
            return
        if not self._check.is_new(space):
            return
        kind = str(space[0])
        if kind == "/ICCBased":
            self._check_profile(space[1])
        elif kind in ("/Indexed", "/I") or (kind == "/Pattern" and len(space) > 1):
            self._check_space(space[1], resources)
        elif kind == "/Separation":
            self._check_space(space[2], resources)
            self._check.check_ink(str(space[1]), space)
        elif kind == "/DeviceN":
            self._check_space(space[2], resources)
            inks = space[4].Colorants if len(space) > 4 else pikepdf.Dictionary()
            for ink in space[1]:
                if str(ink) not in inks:
                    raise Fault("a spot colour that is not told apart")
                self._check_space(inks[str(ink)], resources)
        elif kind not in ("/CalGray", "/CalRGB", "/Lab", "/Pattern"):
            raise Fault(f"the colour space {kind}")
        self._check.passed(space)

    def _check_profile(self, profile: pikepdf.Object) -> None:
        if not self._check.is_new(profile):
            return
        _check_stream(profile)
        head = profile.read_bytes()[:128]
        components = {b"GRAY": 1, b"RGB ": 3, b"Lab ": 3, b"CMYK": 4}.get(head[16:20])
        if components != int(profile.get("/N", 0)) or head[36:40] != b"acsp":
            raise Fault("a damaged colour profile")
        if head[12:16] not in (b"prtr", b"mntr", b"scnr", b"spac") or head[8] >= 5:
            raise Fault("a colour profile of another kind")
        if components == 4:
            self._check.check_overprint("inks")
        self._check.passed(profile)

    def _check_pattern(self, pattern: pikepdf.Object) -> None:
        if "/Shading" in pattern:
            self._check_shading(pattern.Shading)
            if "/ExtGState" in pattern:
                self._check_state(pattern.ExtGState)
        elif pattern.objgen not in self._forms:
            _check_stream(pattern)
            self.walk(pattern, pattern.get("/Resources"))
            self._forms.add(pattern.objgen)

    def _check_shading(self, shading: pikepdf.Object) -> None:
        if isinstance(shading, pikepdf.Stream):
            _check_stream(shading)
        self._check_space(shading.ColorSpace, pikepdf.Dictionary())

    def _check_state(self, state: pikepdf.Object) -> None:
        if {"/TR", "/HTP"} & set(state.keys()) or state.get("/TR2", "/Default") != "/Default":
            raise Fault("a change of colours for one device")
        if state.get("/HT", "/Default") != "/Default":
            raise Fault("a screen for one device")
        if "/RI" in state:
            _check_intent(state.RI)
        modes = state.get("/BM", pikepdf.Name.Normal)
        for mode in modes if isinstance(modes, pikepdf.Array) else [modes]:
            if str(mode) not in _BLEND_MODES:
                raise Fault(f"the blend mode {mode}")
        mask = state.get("/SMask")
        if isinstance(mask, pikepdf.Dictionary):
            self._check_form(mask.G)
        if state.get("/OP", False) or state.get("/op", False):
            self._check.check_overprint("on")
        if int(state.get("/OPM", 0)):
            self._check.check_overprint("mode")


_DEEPEST = 12
_MOST_BYTES = 8 * 2**20  # An operator of some bytes takes a hundred times its room.
_MOST_SAVED = 28
_LONGEST_STRING = 32_767
_BOX_POINTS = (3, 14_400)
_DEVICES = {"g": "/DeviceGray", "rg": "/DeviceRGB", "k": "/DeviceCMYK"}
_LONG_NAMES = {"/G": "/DeviceGray", "/RGB": "/DeviceRGB", "/CMYK": "/DeviceCMYK"}
_OPERATORS = {"INLINE IMAGE", '"', "'", "BDC", "BI", "BMC", "BT", "BX", "CS", "DP", "Do", "EI"}
_OPERATORS |= {"EMC", "ET", "EX", "ID", "MP", "SC", "SCN", "T*", "TD", "TJ", "TL", "Tc", "Td", "Tf"}
_OPERATORS |= {"Tj", "Tm", "Tr", "Ts", "Tw", "Tz", "W*", "b*", "cm", "cs", "d0", "d1", "f*", "gs"}
_OPERATORS |= {"re", "rg", "ri", "sc", "scn", "sh", "B*", "RG", *"BbFfGghiJjKklMmnQqSsvWwycd"}
_FILTERS = {"/ASCIIHexDecode", "/ASCII85Decode", "/FlateDecode", "/RunLengthDecode"}
_FILTERS |= {"/CCITTFaxDecode", "/DCTDecode"}
_INLINE_FILTERS = _FILTERS | {"/AHx", "/A85", "/Fl", "/RL", "/CCF", "/DCT"}
_FILTERS |= {"/JBIG2Decode", "/JPXDecode"}
_BLEND_MODES = {"/Normal", "/Compatible", "/Multiply", "/Screen", "/Overlay", "/Darken", "/Lighten"}
_BLEND_MODES |= {"/ColorDodge", "/ColorBurn", "/HardLight", "/SoftLight", "/Difference"}
_BLEND_MODES |= {"/Exclusion", "/Hue", "/Saturation", "/Color", "/Luminosity"}
_INTENTS = ("/RelativeColorimetric", "/AbsoluteColorimetric", "/Perceptual", "/Saturation")


def _resource(resources: pikepdf.Object, kind: str, name: Any) -> Any:
    found = resources.get(kind, pikepdf.Dictionary()).get(str(name))
    if found is None:
        raise Fault("something that is missing")
    return found


def _filters(stream: pikepdf.Object) -> list[str]:
    found: Any = stream.get("/Filter", pikepdf.Array())
    return [str(each) for each in (found if isinstance(found, pikepdf.Array) else [found])]


def _check_stream(stream: pikepdf.Object) -> None:
    if not isinstance(stream, pikepdf.Stream) or "/F" in stream:
        raise Fault("something that is not in the file")
    for name in _filters(stream):
        if name not in _FILTERS:
            raise Fault(f"the filter {name}")


def _check_intent(intent: Any) -> None:
    if str(intent) not in _INTENTS:
        raise Fault("an intent without a meaning")


def _check_box(box: pikepdf.Object) -> None:
    left, bottom, right, top = (float(number) for number in box)
    for side in (abs(right - left), abs(top - bottom)):
        if not _BOX_POINTS[0] <= side <= _BOX_POINTS[1]:
            raise Fault("a page of a size that is not allowed")


def _check_jpx(image: pikepdf.Object) -> None:
    data = image.read_raw_bytes()
    head = data.find(b"ihdr")
    if "/ColorSpace" not in image or not 0 < head < 200 or b"bpcc" in data[: head + 1000]:
        raise Fault("a JPEG 2000 image that does not say all of itself")
    channels, depth = int.from_bytes(data[head + 12 : head + 14]), data[head + 14]
    if channels not in (1, 3, 4) or depth == 0xFF or (depth & 0x7F) + 1 > 38:
        raise Fault("a JPEG 2000 image of an odd kind")
