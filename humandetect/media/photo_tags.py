"""What a picture says of itself in Exif: which side is up, when, where and by what it was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_ORIENTATION = 0x0112
_MOST_BYTES = 60_000
"""A JPEG has room for 64 kB."""


def orientation_of(image: PillowImage) -> int:
    """Return the Exif orientation, 1 (upright) to 8."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata costs only itself
        return 1


def kept_tags(image: PillowImage) -> bytes:
    """Return, as Exif, what stays true of an upright copy with boxes in it: when, where, by whom and by what.

    Not the thumbnail, which would show people as they were, nor what makers note for themselves. Empty: nothing.
    """
    from PIL.ExifTags import IFD, Base
    from PIL.Image import Exif

    of_picture = {Base.ImageDescription, Base.Make, Base.Model, Base.DateTime, Base.Artist, Base.Copyright}
    of_time = {Base.DateTimeOriginal, Base.DateTimeDigitized, Base.OffsetTime, Base.OffsetTimeOriginal}
    of_time |= {Base.OffsetTimeDigitized, Base.SubsecTime, Base.SubsecTimeOriginal, Base.SubsecTimeDigitized}
    kept = Exif()
    try:
        said = image.getexif()
        kept.update({tag: said[tag] for tag in of_picture & said.keys()})
        taken = said.get_ifd(IFD.Exif)
        times = {int(tag): taken[tag] for tag in of_time & taken.keys()}
        inner: dict[IFD, dict[int, object]] = {IFD.GPSInfo: dict(said.get_ifd(IFD.GPSInfo)), IFD.Exif: times}
        for directory, values in inner.items():
            if values:
                kept.get_ifd(directory).update(values)
        data = kept.tobytes().removeprefix(b"Exif\0\0") if kept or any(inner.values()) else b""
    except Exception:  # damaged metadata costs only itself
        return b""
    return data if len(data) <= _MOST_BYTES else b""
