"""What every PDF/A carries: its colours, and what it says about itself."""

from dataclasses import dataclass
from functools import cache
from xml.sax.saxutils import escape

from PIL import ImageCms

OUTPUT_INTENT = "/Type /OutputIntent /S /GTS_PDFA1 /OutputConditionIdentifier (sRGB)"
"""Entries that go with /DestOutputProfile."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a document, apart from its pages."""

    title: str = ""
    author: str = ""
    subject: str = ""
    keywords: str = ""
    creator: str = ""  # The program.
    created: str = ""  # ISO 8601.


@cache
def srgb() -> bytes:
    """A profile of the colour space that pictures are taken to be in."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Without the moment at which it was made: the same document makes the same file.
    return made[:24] + _MADE + made[36:]


_MADE = b"\x07\xe0\0\1\0\1\0\0\0\0\0\0"  # The first of January 2016.


def xmp(level: str, about: About) -> bytes:
    """Metadata that claim PDF/A-2 of ``level`` A, U or B, or nothing (ISO 19005-2, 6.6)."""
    said = ["<pdfaid:part>2</pdfaid:part>", f"<pdfaid:conformance>{level}</pdfaid:conformance>"]
    if not level:
        said.clear()
    for value, name, around in (
        (about.title, "dc:title", '<rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt>'),
        (about.author, "dc:creator", "<rdf:Seq><rdf:li>{}</rdf:li></rdf:Seq>"),
        (
            about.subject,
            "dc:description",
            '<rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt>',
        ),
        (about.keywords, "pdf:Keywords", "{}"),
        (about.creator, "xmp:CreatorTool", "{}"),
        (about.created, "xmp:CreateDate", "{}"),
    ):
        if value:
            said.append(f"<{name}>{around.format(escape(value))}</{name}>")
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in _SPACES.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces}>{"".join(said)}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


_SPACES = {
    "pdfaid": "http://www.aiim.org/pdfa/ns/id/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "pdf": "http://ns.adobe.com/pdf/1.3/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
