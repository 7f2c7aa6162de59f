"""Still pictures: encoded bytes to upright BGR pixels and back, never more pixels than allowed.

Pillow decodes, because it refuses what is damaged without a word on the terminal, and is no slower than cv2.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from humandetect.errors import SourceError
from humandetect.media.decode_limits import MAX_SMALL_PICTURES, check_scans
from humandetect.media.hdr import CUBE_SIDE, cube
from humandetect.media.image_headers import FORMATS, check_header, go_to_page, read_header
from humandetect.media.photo_tags import kept_tags, orientation_of
from humandetect.stderr import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile
    from PIL.ImageFilter import Color3DLUT

    from humandetect.media.frames import PhotoTags
    from humandetect.media.hdr import Hdr

STRIP_PIXELS = 1 << 16
"""Pixels are converted in strips of about this many: less memory, and what a strip needs stays in the cache."""

_NARROW_SHARE = 0.25
"""Of what 16 bits can tell: cameras of 10 to 14 bits and thermal ones use less, and would be black."""
_MULTI_PICTURE_ENTRIES = 0xB002
_PILLOW_KNOWS_NO_SUCH = ("unknown pixel mode", "cannot handle ")
_OTHER_PIXELS = "its kind of pixels is not read: save it as JPEG, or as PNG of 8 or 16 bits"
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_PILLOWS_WORDS = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""How OpenCV turns over a picture of an EXIF orientation, those from 5 on once they are transposed."""
_FILTERS = threading.Lock()


class DamagedImage(SourceError):
    """One that was read and cannot be decoded, however often."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One of the pictures of a file."""

    pixels: NDArray[np.uint8]
    """Upright (H, W, 3) BGR."""
    seconds: float
    """For how long it is shown; 0: it is no part of an animation."""
    tags: PhotoTags
    shades: tuple[float, float] | None
    """Of a deep picture that uses a part of its range: what is shown as black and as white."""
    hdr: Hdr | None
    """The curve that was mapped to SDR."""


def decode_image(data: bytes, *, max_megapixels: float, formats: Sequence[str] = FORMATS) -> NDArray[np.uint8]:
    """Decode to upright (H, W, 3) BGR. Raises SourceError without the image's name; too large fails before decoding."""
    with _damage_is_refused():
        header = read_header(io.BytesIO(data), max_megapixels=max_megapixels, formats=formats, pictures=1)
        if header.format in ("JPEG", "MPO"):
            check_scans(data)
        pixels, _ = _decode(header)
        orientation = orientation_of(header)  # after the pixels: a PNG may tell it at its end
        del header  # and Pillow's pixels with it, before turning makes more
        return upright(pixels, orientation)


def read_size(file: BinaryIO, *, max_megapixels: float, formats: Sequence[str] = FORMATS) -> tuple[int, int]:
    """Return the upright (width, height) from the header alone. Raises SourceError as `decode_image` does.

    A PNG that lies on its side and says so only behind its pixels is taken for upright.
    """
    with _damage_is_refused():
        header = read_header(file, max_megapixels=max_megapixels, formats=formats)
        told = header.format != "PNG" or "exif" in header.info  # else Pillow decodes all of it to find out
        lying = told and orientation_of(header) in (5, 6, 7, 8)
        return (header.height, header.width) if lying else (header.width, header.height)


def each_picture(data: bytes, *, max_megapixels: float) -> Iterator[Picture]:
    """Yield every picture of a file as `decode_image` gives it. Raises SourceError as that does, also half way.

    Only pages and animations have several; of a burst, or several views, it is the one that is shown.
    """
    with _damage_is_refused():
        header = read_header(io.BytesIO(data), max_megapixels=max_megapixels, pictures=MAX_SMALL_PICTURES)
        if header.format in ("JPEG", "MPO"):
            check_scans(data)
    number, pages = header.tell() + _first_in(header), header.format == "TIFF"  # which nobody has counted
    end = number + 1 if header.format in ("HEIF", "MPO") else _pictures_in(header)
    single = end - number == 1 and not pages
    while pages or number < end:
        with _damage_is_refused():
            if not pages:
                header.seek(number)
            elif not go_to_page(header, number):
                return
            number = header.tell() + 1
            check_header(header, max_megapixels=max_megapixels)
            pixels, shades = _decode(header)
            orientation, tags = orientation_of(header), kept_tags(header)  # after the pixels, as above
            hdr = header.info.get("hdr")
            seconds = float(header.info.get("duration", 0)) / 1000
            if single:
                del header  # and Pillow's pixels with it
            pixels = upright(pixels, orientation)
        yield Picture(pixels, seconds, tags=tags, shades=shades, hdr=hdr)


def count_pictures(data: bytes, *, max_megapixels: float) -> int:
    """Return how many pictures an animation or a burst holds, or views of one. Raises as `decode_image` does.

    Pages are 1: to count them is to walk through all of them.
    """
    with _damage_is_refused():
        header = read_header(io.BytesIO(data), max_megapixels=max_megapixels)
        return _pictures_in(header) - _first_in(header)


def _pictures_in(header: Any) -> int:
    if header.format == "MPO":  # what telephones keep beside their pictures says nothing of its kind, or another
        kinds = [entry["Attribute"]["MPType"] for entry in header.mpinfo[_MULTI_PICTURE_ENTRIES][1:]]
        return 1 + sum(str(kind).startswith("Multi-Frame") for kind in kinds)
    return 1 if header.format in ("JPEG", "TIFF") else int(getattr(header, "n_frames", 1))


def _first_in(header: ImageFile) -> int:
    """Return the number of the first picture: 1 in an animated PNG that has another for who knows no animations."""
    return int(getattr(header, "default_image", False))


def encode_jpeg(image: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    """Encode (H, W, 3) BGR."""
    import cv2

    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be a JPEG")
    return data.tobytes()


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (1 to 8); others count as 1, upright already."""
    import cv2

    if 5 <= orientation <= 8:
        image = cv2.transpose(image)  # type: ignore[assignment]
    flip = _FLIPS.get(orientation)
    return image if flip is None else cv2.flip(image, flip)  # type: ignore[return-value]


@contextmanager
def _damage_is_refused() -> Iterator[None]:
    _ignore_pillows_warnings()
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # decoders raise almost anything at hostile bytes
        if str(error).startswith(_PILLOW_KNOWS_NO_SUCH):
            raise DamagedImage(_OTHER_PIXELS) from error
        raise DamagedImage(f"a damaged image: {str(error).strip()}") from error


def _ignore_pillows_warnings() -> None:
    """Say once for the process that odd metadata is no news: `warnings.catch_warnings` is not for threads."""
    if _PILLOWS_WORDS not in warnings.filters:
        with _FILTERS:
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _decode(image: ImageFile) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Return the pixels, and of a deep picture what is shown as black and as white."""
    if not isinstance(image.info.get("xmp", b""), bytes | str):  # in a TIFF, and Pillow would give up the pixels
        del image.info["xmp"]
    with_alpha = _mend_tiles(image)
    with quiet("libtiff") if image.format == "TIFF" else nullcontext():
        image.load()
    if with_alpha:
        return _on_white(np.asarray(image).view(">u2"))
    if image.mode.startswith(("I", "F")):
        pixels, shades = _gray_from_deep(np.asarray(image))
        if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow heeds it up to 8 bits
            pixels, shades = 255 - pixels, shades and shades[::-1]
        return pixels, shades
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // image.width)
    shown = _to_sdr(image.info["hdr"]) if image.info.get("hdr") else None
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        _copy_as_bgr(image.crop((0, top, image.width, bottom)), pixels[top:bottom], shown=shown)
    return pixels, None


def _mend_tiles(image: Any) -> bool:
    """Let Pillow take both bytes of 16 bits where it takes one; tell whether a pixel is those of gray and of alpha."""
    gray_and_alpha = image.format == "PNG" and [tile.args for tile in image.tile] == ["LA;16B"]
    if gray_and_alpha:
        image.tile = [image.tile[0]._replace(args="RGBA")]
    if image.format == "TIFF" and image.tag_v2.get(_BITS) in ((16,) * 3, (16,) * 4):
        order = ";16L" if image.tag_v2.prefix == b"II" else ";16B"
        for number, tile in enumerate(image.tile):
            if tile.codec_name == "raw" and tile.args[0] in ("R", "G", "B", "A"):  # each colour lies by itself
                image.tile[number] = tile._replace(args=(tile.args[0] + order, *tile.args[1:]))
    return gray_and_alpha


@cache
def _to_sdr(hdr: Hdr) -> Color3DLUT:
    from PIL.ImageFilter import Color3DLUT

    return Color3DLUT(CUBE_SIDE, cube(hdr).ravel().tolist())


def _copy_as_bgr(image: PillowImage, pixels: NDArray[np.uint8], *, shown: Color3DLUT | None) -> None:
    import cv2
    from PIL import Image

    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer)
    elif image.mode != "RGB":
        image = image.convert("RGB")
    if shown is not None:
        image = image.filter(shown)
    cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR, dst=pixels)


def _gray_from_deep(samples: NDArray[np.generic]) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Scale 16-bit integers by their range, where a picture uses it; all others by what is in the picture."""
    shades = None
    if samples.dtype.itemsize == 2 and np.ptp(samples) > _NARROW_SHARE * np.iinfo(np.uint16).max:
        gray = (samples >> 8).astype(np.uint8)  # type: ignore[operator]
    else:
        values = samples.astype(np.float32)
        measured = np.isfinite(values)  # elsewhere there is nothing, which is black
        low, high = np.percentile(values[measured], (0.1, 99.9)).tolist() if measured.any() else (0.0, 0.0)
        shades = low, high
        gray = np.where(measured, (values - low) * (255 / max(high - low, 1e-9)), 0).clip(0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2), shades


def _on_white(gray_and_alpha: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    pixels, shades = _gray_from_deep(gray_and_alpha[..., 0])
    shown = (gray_and_alpha[..., 1:] >> 8).astype(np.uint16)
    return (255 - (255 - pixels) * shown // 255).astype(np.uint8), shades
