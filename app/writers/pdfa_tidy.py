"""Takes out of a PDF what PDF/A forbids beside the drawings of its pages."""

from contextlib import suppress
from typing import Any

import pikepdf

from app.writers.pdf_page import inherited, turns_of
from app.writers.pdfa_parts import About, xmp


def tidy(pdf: pikepdf.Pdf) -> set[int]:
    """Remove scripts, attached files and all that acts by itself; draw what is in forms.

    Links, outline, page labels, layers and names of places stay. Gives the numbers of the pages
    that showed more than is left on them.
    """
    _draw_annotations(pdf)
    for each in pdf.objects:
        if isinstance(each, pikepdf.Stream):
            _tidy_stream(each)
        if isinstance(each, pikepdf.Dictionary | pikepdf.Stream):
            _tidy_entries(each)
    lacking = {n for n, page in enumerate(pdf.pages, 1) if not _tidy_page(page.obj)}
    _tidy_root(pdf.Root)
    _keep(pdf.trailer, {"/Root", "/ID"})
    pdf.trailer.Size = 0  # qpdf writes the number, but only where one stood.
    return lacking


_ROOT = {"/Type", "/Pages", "/Outlines", "/PageLabels", "/Names", "/Dests", "/PageMode", "/Lang"}
_ROOT |= {"/PageLayout", "/ViewerPreferences", "/OCProperties", "/StructTreeRoot", "/MarkInfo"}
_PAGE = {"/Type", "/Parent", "/MediaBox", "/CropBox", "/TrimBox", "/BleedBox", "/ArtBox"}
_PAGE |= {"/Rotate", "/Resources", "/Contents", "/Annots", "/Group", "/StructParents", "/UserUnit"}
_INHERITED = ("/MediaBox", "/CropBox", "/Resources")
_ACTIONS = ("/GoTo", "/GoToR", "/URI", "/Named")
_NAMED = ("/NextPage", "/PrevPage", "/FirstPage", "/LastPage")
_NOTHING = xmp("", About())
_PRINTED, _UNSEEN = 4, 0b100010  # Flags of annotations: the one PDF/A asks for; hidden, no view.


def _draw_annotations(pdf: pikepdf.Pdf) -> None:
    """Make what forms and notes show a part of their pages; links are left."""
    with suppress(pikepdf.PikepdfError, RuntimeError, ValueError, TypeError):
        form = pdf.Root.get("/AcroForm")
        if isinstance(form, pikepdf.Dictionary) and form.get("/NeedAppearances", False):
            pdf.generate_appearance_streams()
        pdf.flatten_annotations("screen")


def _tidy_root(root: pikepdf.Object) -> None:
    _keep(root, _ROOT)
    if isinstance(names := root.get("/Names"), pikepdf.Dictionary):
        _keep(names, {"/Dests"})
    layers = root.get("/OCProperties")
    if isinstance(layers, pikepdf.Dictionary):
        layers.Configs = pikepdf.Array()
        if isinstance(shown := layers.get("/D"), pikepdf.Dictionary):
            # Their order need not be told, but if it is, for all of them.
            _keep(shown, set(shown.keys()) - {"/AS", "/Order"})
            shown.Name = pikepdf.String("Default")


def _tidy_stream(stream: pikepdf.Stream) -> None:
    filters = stream.get("/Filter")
    names = filters if isinstance(filters, pikepdf.Array) else [filters]
    if pikepdf.Name.LZWDecode in names:
        with suppress(pikepdf.PikepdfError):  # What remains is a fault of the page that shows it.
            stream.write(stream.read_bytes())
    if stream.get("/Type") == "/Metadata":
        stream.write(_NOTHING)  # Metadata of parts, by many programs, which break many rules.
    for key in ("/Metadata", "/PieceInfo", "/Interpolate", "/Alternates", "/OPI"):
        if key in stream:
            del stream[key]


def _tidy_entries(entries: Any) -> None:
    if isinstance(entries.get("/A"), pikepdf.Dictionary) and not _is_allowed(entries.A):
        del entries["/A"]
    if entries.get("/Subtype") == "/Widget" or entries.get("/Type") == "/FontDescriptor":
        # Optional lists of a font's glyphs, which are often wrong; and scripts of fields.
        _keep(entries, set(entries.keys()) - {"/AA", "/CharSet", "/CIDSet"})
    if entries.get("/Subtype") == "/CIDFontType2" and "/CIDToGIDMap" not in entries:
        entries["/CIDToGIDMap"] = pikepdf.Name.Identity  # What readers take for granted.


def _is_allowed(action: pikepdf.Object) -> bool:
    kind = action.get("/S")
    if "/Next" in action:
        del action["/Next"]
    if not isinstance(kind, pikepdf.Name):
        return True  # It is something else that is called /A.
    return str(kind) in _ACTIONS and (kind != "/Named" or action.get("/N") in _NAMED)


def _tidy_page(page: pikepdf.Object) -> bool:
    """Whether nothing is lost that was shown."""
    for key in _INHERITED:
        if (value := inherited(page, key)) is not None:
            page[key] = value
    page.Rotate = 90 * turns_of(page)
    _keep(page, _PAGE)
    found = page.get("/Annots")
    annotations: list[Any] = list(found) if isinstance(found, pikepdf.Array) else []
    annotations = [each for each in annotations if isinstance(each, pikepdf.Dictionary)]
    links = [each for each in annotations if _is_link(each)]
    if links:
        page.Annots = pikepdf.Array(links)
    elif "/Annots" in page:
        del page["/Annots"]
    return not any("/AP" in each and not _is_hidden(each) for each in annotations)


def _is_hidden(annotation: pikepdf.Object) -> bool:
    flags: Any = annotation.get("/F")
    return isinstance(flags, int) and bool(flags & _UNSEEN)


def _is_link(annotation: pikepdf.Object) -> bool:
    """Whether it leads somewhere, and is as PDF/A has it."""
    if annotation.get("/Subtype") != "/Link":
        return False
    _tidy_entries(annotation)
    _keep(annotation, set(annotation.keys()) - {"/AA", "/PA", "/AP"})
    annotation.F = _PRINTED
    return "/A" in annotation or "/Dest" in annotation


def _keep(entries: Any, keys: set[str]) -> None:
    for key in set(entries.keys()) - keys:
        del entries[key]
