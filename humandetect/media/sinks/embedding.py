"""Puts what a photo says of itself into encoded copies: OpenCV knows neither TIFF's tags nor where JPEG keeps XMP."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

from humandetect.media.photo_tags import as_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.media.frames import PhotoTags

_APP1, _APP2 = 0xE1, 0xE2
_SEGMENT_BYTES = 65_000
_PNG_HEAD = 33
"""Bytes of signature and IHDR."""
_WEBP_ICC, _WEBP_EXIF, _WEBP_XMP = 0x20, 0x08, 0x04
_TIFF_XMP, _TIFF_ICC = 700, 34675


def embed(encoded: bytes, ending: str, tags: PhotoTags) -> bytes:
    """Return a picture, encoded in the format of a name's ending, with the tags that this format has room for."""
    return _FORMATS[ending](encoded, tags) if tags and ending in _FORMATS else encoded


def _jpeg(encoded: bytes, tags: PhotoTags) -> bytes:
    parts = [tags.icc[at : at + _SEGMENT_BYTES] for at in range(0, len(tags.icc), _SEGMENT_BYTES)]
    segments = [
        *([(_APP1, b"Exif\0\0" + tags.exif)] if tags.exif else []),
        *([(_APP1, b"http://ns.adobe.com/xap/1.0/\0" + tags.xmp)] if tags.xmp else []),
        *((_APP2, b"ICC_PROFILE\0" + bytes((number, len(parts))) + part) for number, part in enumerate(parts, 1)),
    ]
    written = [struct.pack(">BBH", 0xFF, marker, 2 + len(data)) + data for marker, data in segments]
    start = 4 + int.from_bytes(encoded[4:6])  # behind JFIF's own segment, which wants to be first
    return encoded[:start] + b"".join(written) + encoded[start:]


def _png(encoded: bytes, tags: PhotoTags) -> bytes:
    chunks = {
        b"iCCP": b"icc\0\0" + zlib.compress(tags.icc) if tags.icc else b"",
        b"eXIf": tags.exif,
        b"iTXt": b"XML:com.adobe.xmp" + bytes(5) + tags.xmp if tags.xmp else b"",
    }
    written = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
        if data
    ]
    return encoded[:_PNG_HEAD] + b"".join(written) + encoded[_PNG_HEAD:]


def _webp(encoded: bytes, tags: PhotoTags) -> bytes:
    """Wrap the lossy picture, which knows its size, into the extended format."""
    size = b"".join((int.from_bytes(encoded[at : at + 2], "little") - 1).to_bytes(3, "little") for at in (26, 28))
    flags = _WEBP_ICC * bool(tags.icc) | _WEBP_EXIF * bool(tags.exif) | _WEBP_XMP * bool(tags.xmp)
    before = _chunk(b"VP8X", bytes((flags, 0, 0, 0)) + size) + _chunk(b"ICCP", tags.icc)
    content = b"WEBP" + before + encoded[12:] + _chunk(b"EXIF", tags.exif) + _chunk(b"XMP ", tags.xmp)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) if data else b""


def _tiff(encoded: bytes, tags: PhotoTags) -> bytes:
    """Put a new directory before the file, of which the pixels stay: Pillow's encoder loses times and places."""
    from PIL.Image import Exif
    from PIL.TiffImagePlugin import ImageFileDirectory_v2
    from PIL.TiffTags import TAGS_V2_GROUPS

    directory, out, file = ImageFileDirectory_v2(encoded[:8]), io.BytesIO(), io.BytesIO(encoded)
    file.seek(directory.next)
    directory.load(file)
    directory.update(dict(directory))  # it reads each when asked for, and writes none that was not
    said = Exif()
    said.load(tags.exif)
    for tag in said:
        directory[tag] = said.get_ifd(tag) if tag in TAGS_V2_GROUPS else as_bytes(said[tag])
    directory.update({tag: data for tag, data in ((_TIFF_XMP, tags.xmp), (_TIFF_ICC, tags.icc)) if data})
    directory.save(out)
    out.write(encoded)
    return out.getvalue()


_FORMATS: dict[str, Callable[[bytes, PhotoTags], bytes]] = {
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".png": _png,
    ".webp": _webp,
    ".tif": _tiff,
    ".tiff": _tiff,
}
