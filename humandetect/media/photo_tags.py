"""What a picture says of itself: which side is up, when, where and by what it was taken, and what its colours mean."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from humandetect.media.frames import PhotoTags
from humandetect.media.iso_boxes import boxes
from humandetect.media.xmp import kept_xmp

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

    from humandetect.media.iso_boxes import Box

_ORIENTATION = 0x0112
_MOST_BYTES = 60_000
"""A JPEG has room for 64 kB."""
_MOST_ICC_BYTES = 1 << 20
_MOST_BOXES = 100
_BY_PROFILE = b"\2"
_UUID_BYTES = 16
_JPEG_2000_UUIDS = {b"JpgTiffExif->JP2": "exif", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp"}


def orientation_of(image: PillowImage) -> int:
    """Return the Exif orientation, 1 (upright) to 8."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata costs only itself
        return 1


def jpeg_2000_tags(file: BinaryIO) -> dict[str, bytes]:
    """Return what Pillow leaves unread in a JPEG 2000, under its names."""

    def read(box: Box) -> bytes:
        file.seek(box.content)
        return file.read(min(box.size - box.header, _MOST_ICC_BYTES))

    at = file.tell()
    tags: dict[str, bytes] = {}
    with suppress(OSError):  # a bare codestream has no boxes, and what is damaged costs only itself
        for box in islice(boxes(file, 0, file.seek(0, io.SEEK_END)), _MOST_BOXES):
            if box.kind == b"jp2h":
                first = islice(boxes(file, box.content, box.end), _MOST_BOXES)
                inside = [read(inner) for inner in first if inner.kind == b"colr"]
                tags.update(("icc_profile", said[3:]) for said in inside if said[:1] == _BY_PROFILE)
            elif box.kind == b"uuid" and (name := _JPEG_2000_UUIDS.get((said := read(box))[:_UUID_BYTES])):
                tags[name] = said[_UUID_BYTES:]
    file.seek(at)
    return tags


def kept_tags(image: ImageFile) -> PhotoTags:
    """Return what stays true of an upright copy with boxes in it: when, where, by whom, by what, and its colours.

    Not the thumbnail, which would show people as they were, nor what makers and editors note for themselves.
    """
    exif = xmp = icc = b""
    with suppress(Exception):  # damaged metadata costs only itself, here as below
        exif = _exif(image)
    with suppress(Exception):
        packet = image.info.get("xmp", b"")
        xmp = kept_xmp(packet.encode() if isinstance(packet, str) else packet)
    with suppress(Exception):
        icc = _icc(image)
    return PhotoTags(
        exif=exif if len(exif) <= _MOST_BYTES else b"",
        xmp=xmp if len(xmp) <= _MOST_BYTES else b"",
        icc=icc,
    )


def _exif(image: ImageFile) -> bytes:
    from PIL.ExifTags import IFD, Base
    from PIL.Image import Exif

    of_picture = {Base.ImageDescription, Base.Make, Base.Model, Base.DateTime, Base.Artist, Base.Copyright}
    of_picture |= {Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords, Base.XPSubject}
    of_time = {Base.DateTimeOriginal, Base.DateTimeDigitized, Base.OffsetTime, Base.OffsetTimeOriginal}
    of_time |= {Base.OffsetTimeDigitized, Base.SubsecTime, Base.SubsecTimeOriginal, Base.SubsecTimeDigitized}
    kept, said = Exif(), image.getexif()
    with suppress(Exception):
        kept.update(_said_elsewhere(image))
    kept.update({int(tag): as_bytes(said[tag]) for tag in of_picture & said.keys()})
    taken = said.get_ifd(IFD.Exif)
    details = {int(tag): taken[tag] for tag in (of_time | {Base.UserComment}) & taken.keys()}
    inner: dict[IFD, dict[int, object]] = {IFD.GPSInfo: dict(said.get_ifd(IFD.GPSInfo)), IFD.Exif: details}
    for directory, values in inner.items():
        if values:
            kept.get_ifd(directory).update(values)
    return kept.tobytes().removeprefix(b"Exif\0\0") if kept or any(inner.values()) else b""


def as_bytes(value: object) -> object:
    """Give a text the bytes that Pillow read it from: it reads Latin-1, writes ASCII, and UTF-8 is what people mean."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _said_elsewhere(image: ImageFile) -> dict[int, bytes]:
    """Return what texts of a PNG, or the numbered records of agencies (IPTC), say in places of their own."""
    from PIL.ExifTags import Base
    from PIL.IptcImagePlugin import getiptcinfo

    said: dict[Any, Any] = {**(image.info if image.format == "PNG" else {}), **(getiptcinfo(image) or {})}
    places = {
        Base.ImageDescription: ((2, 120), "Description", (2, 5), "Title"),
        Base.Artist: ((2, 80), "Author"),
        Base.Copyright: ((2, 116), "Copyright"),
    }
    found = {int(tag): [said[place] for place in several if said.get(place)] for tag, several in places.items()}
    return {tag: _joined(texts[0]) for tag, texts in found.items() if texts}


def _joined(text: str | bytes | list[bytes]) -> bytes:
    return b"; ".join(text) if isinstance(text, list) else text.encode() if isinstance(text, str) else text


def _icc(image: PillowImage) -> bytes:
    """Return the colour profile, unless it is of other colours than those that pixels are decoded to."""
    icc = image.info.get("icc_profile") or b""
    fits = not image.info.get("hdr") and icc[16:20] == b"RGB " and icc[36:40] == b"acsp" and len(icc) <= _MOST_ICC_BYTES
    return icc if fits else b""
