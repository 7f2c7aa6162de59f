"""What a picture says of itself in XMP, cut down to what stays true of an annotated copy."""

from __future__ import annotations

import re
from xml.etree import ElementTree

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_WRAPPER = "adobe:ns:meta/"
_KEPT = {
    "http://purl.org/dc/elements/1.1/": ("dc", "(?!format|relation).*"),
    "http://ns.adobe.com/xap/1.0/": ("xmp", "CreateDate|ModifyDate|Rating|Label"),
    "http://ns.adobe.com/xap/1.0/rights/": ("xmpRights", ".*"),
    "http://ns.adobe.com/photoshop/1.0/": (
        "photoshop",
        "DateCreated|City|State|Country|Headline|Credit|Source|CaptionWriter|AuthorsPosition|Instructions",
    ),
    "http://ns.adobe.com/tiff/1.0/": ("tiff", "Make|Model|DateTime|ImageDescription|Artist|Copyright"),
    "http://ns.adobe.com/exif/1.0/": ("exif", "GPS.*|DateTime.*|UserComment"),
    "http://cipa.jp/exif/1.0/": ("exifEX", "LensMake|LensModel|OffsetTime.*"),
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": ("Iptc4xmpCore", ".*"),
}
"""Prefixes and names by their namespaces. Not among them: which side is up, thumbnails, depth and gain maps, films
behind the picture, names and places of faces, and what editors note for themselves."""


def kept_xmp(packet: bytes) -> bytes:
    """Return when, where, by whom and of what a picture is, as a packet of its own; empty: nothing, or damaged."""
    if b"<!DOCTYPE" in packet.replace(b"\0", b""):  # as in UTF-16; no packet needs it, and some are bombs
        return b""
    try:
        said = ElementTree.fromstring(packet.strip(b"\0 \r\n\t"))  # noqa: S314  see above
    except (ElementTree.ParseError, ValueError, LookupError):  # of what is no XML, and in no known encoding
        return b""
    copy = ElementTree.Element(f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    outermost = next(said.iter(f"{{{RDF}}}RDF"), copy)
    for description in outermost.findall(f"{{{RDF}}}Description"):  # those further in are of other pictures
        copy.attrib.update({name: value for name, value in description.items() if _stays(name)})
        copy.extend(property_ for property_ in description if _stays(property_.tag))
    return _packet(copy) if len(copy) or len(copy.attrib) > 1 else b""


def _stays(name: str) -> bool:
    namespace, _, local = name.removeprefix("{").partition("}")
    return namespace in _KEPT and re.fullmatch(_KEPT[namespace][1], local) is not None


def _packet(description: ElementTree.Element) -> bytes:
    for namespace, (prefix, _) in _KEPT.items():  # for readers that look for the usual ones
        ElementTree.register_namespace(prefix, namespace)
    ElementTree.register_namespace("x", _WRAPPER)
    root = ElementTree.Element(f"{{{_WRAPPER}}}xmpmeta")
    ElementTree.SubElement(root, f"{{{RDF}}}RDF").append(description)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{text}<?xpacket end="w"?>'.encode()
