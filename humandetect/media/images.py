"""Still pictures: encoded bytes to upright BGR pixels and back, never more pixels than allowed.

Pillow decodes, because it refuses what is damaged without a word on the terminal, and is no slower than cv2.
"""

from __future__ import annotations

import io
import itertools
import re
import threading
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from humandetect.errors import SourceError
from humandetect.media.decode_limits import BoundedReads, check_scans, check_texts
from humandetect.media.photo_tags import kept_tags, orientation_of
from humandetect.stderr import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

    from humandetect.media.frames import PhotoTags

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "HEIF", "JPEG2000")
"""GIF is not among them: it is read as the video it mostly is."""
WRITABLE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Of names of pictures that are read and written."""
IMAGE_ENDINGS = (*WRITABLE_ENDINGS, ".ppm", ".pgm", ".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k")
"""Of names of pictures that are read."""
HEAD_BYTES = 64
"""Enough of a file's beginning to tell its format."""
ANIMATION_HEAD_BYTES = 1 << 16
"""Enough to tell an animation: a PNG may have a colour profile and texts before it says so."""
STRIP_PIXELS = 1 << 16
"""Pixels are converted in strips of about this many: less memory, and what a strip needs stays in the cache."""

_HEIF = re.compile(rb"....ftyp(he[iv][cmsx]|mif1|msf1)", re.DOTALL)
_GIF = b"GIF8"
"""What people send, and is named where it is refused."""
_RAW_FILE = re.compile(rb"(II\*\0....CR|IIRO|IIU\0|MMOR)", re.DOTALL)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_DNG_VERSION, _NEW_SUBFILE_TYPE, _REDUCED = 50706, 254, 1
_NARROW_SHARE = 0.25
"""Of what 16 bits can tell: cameras of 10 to 14 bits and thermal ones use less, and would be black."""
_PILLOWS_LIMIT = threading.Lock()
_PILLOWS_WORDS = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)
_FILTERS = threading.Lock()


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


def is_image(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is a still picture that `decode_image` knows."""
    return _format_of(head) is not None


def decode_image(data: bytes, *, max_megapixels: float, formats: Sequence[str] = FORMATS) -> NDArray[np.uint8]:
    """Decode to upright (H, W, 3) BGR. Raises SourceError without the image's name; too large fails before decoding."""
    with _damage_is_refused():
        header = _read_header(io.BytesIO(data), max_megapixels=max_megapixels, formats=formats)
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
        header = _read_header(file, max_megapixels=max_megapixels, formats=formats)
        told = header.format != "PNG" or "exif" in header.info  # else Pillow decodes all of it to find out
        lying = told and orientation_of(header) in (5, 6, 7, 8)
        return (header.height, header.width) if lying else (header.width, header.height)


def is_animation(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is a film in the format of a picture: WebP, PNG or AVIF."""
    webp = head[:4] == b"RIFF" and head[12:16] == b"VP8X" and head[20:21] and head[20] & 2
    png = head[:8] == b"\x89PNG\r\n\x1a\n" and b"acTL" in head[33:].partition(b"IDAT")[0]
    return bool(webp or png or head[4:12] == b"ftypavis")


def each_picture(data: bytes, *, max_megapixels: float) -> Iterator[Picture]:
    """Yield every picture of a file as `decode_image` gives it. Raises SourceError as that does, also half way.

    Only pages and animations have several; of a burst it is the first.
    """
    with _damage_is_refused():
        header = _read_header(io.BytesIO(data), max_megapixels=max_megapixels, formats=FORMATS)
        if header.format in ("JPEG", "MPO"):
            check_scans(data)
    pages = header.format == "TIFF"  # which nobody has counted
    most = 1 if header.format == "HEIF" else _pictures_in(header)
    for number in itertools.count() if pages else range(most):
        with _damage_is_refused():
            try:
                header.seek(number)
            except EOFError:
                if pages:
                    return
                raise
            _check_header(header, max_megapixels=max_megapixels)
            pixels, shades = _decode(header)
            orientation, tags = orientation_of(header), kept_tags(header)  # after the pixels, as above
            seconds = float(header.info.get("duration", 0)) / 1000
            if most == 1 and not pages:
                del header  # and Pillow's pixels with it
            pixels = upright(pixels, orientation)
        yield Picture(pixels, seconds, tags=tags, shades=shades)


def count_pictures(data: bytes, *, max_megapixels: float) -> int:
    """Return how many pictures an animation or a burst holds. Raises SourceError as `decode_image` does.

    Pages are 1: to count them is to walk through all of them.
    """
    with _damage_is_refused():
        header = _read_header(io.BytesIO(data), max_megapixels=max_megapixels, formats=FORMATS)
        return _pictures_in(header)


def holds_several(data: bytes, *, max_megapixels: float) -> bool:
    """Tell whether there is a second picture, without a walk through all of them. Raises as `decode_image` does."""
    with _damage_is_refused():
        header = _read_header(io.BytesIO(data), max_megapixels=max_megapixels, formats=FORMATS)
        return bool(getattr(header, "is_animated", False))


def _pictures_in(header: ImageFile) -> int:
    return 1 if header.format in ("JPEG", "MPO", "TIFF") else int(getattr(header, "n_frames", 1))


def encode_jpeg(image: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    """Encode (H, W, 3) BGR."""
    import cv2

    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be a JPEG")
    return data.tobytes()


def check_size(width: int, height: int, *, max_megapixels: float) -> None:
    """Raise SourceError for pictures that would take too much memory."""
    if width * height > max_megapixels * 1e6:
        raise SourceError(f"image of {width} x {height} pixels is too large (limit {max_megapixels:g} megapixels)")


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (1 to 8); others count as 1, upright already."""
    import cv2

    if orientation == 2:
        return cv2.flip(image, 1)  # type: ignore[return-value]
    if orientation == 3:
        return cv2.rotate(image, cv2.ROTATE_180)  # type: ignore[return-value]
    if orientation == 4:
        return cv2.flip(image, 0)  # type: ignore[return-value]
    if orientation == 5:
        return cv2.transpose(image)  # type: ignore[return-value]
    if orientation == 6:
        return cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)  # type: ignore[return-value]
    if orientation == 7:
        return cv2.flip(cv2.transpose(image), -1)  # type: ignore[return-value]
    if orientation == 8:
        return cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)  # type: ignore[return-value]
    return image


@contextmanager
def _damage_is_refused() -> Iterator[None]:
    _ignore_pillows_warnings()
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # decoders raise almost anything at hostile bytes
        raise SourceError(f"a damaged image: {str(error).strip()}") from error


def _ignore_pillows_warnings() -> None:
    """Say once for the process that odd metadata is no news: `warnings.catch_warnings` is not for threads."""
    if _PILLOWS_WORDS not in warnings.filters:
        with _FILTERS:
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _format_of(head: bytes) -> str | None:
    # Importing a plug-in registers it; `Image.init()` would import all forty.
    from PIL import AvifImagePlugin, Image, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    Image.preinit()
    if _HEIF.match(head) and b"avif" not in head:  # which says so only among its other brands
        return "HEIF"
    for name in FORMATS:
        accept = Image.OPEN[name][1] if name in Image.OPEN else None
        if accept is not None and accept(head) is True:
            return name
    return None


def _read_header(file: BinaryIO, *, max_megapixels: float, formats: Sequence[str]) -> ImageFile:
    from PIL import Image

    head = file.read(HEAD_BYTES)
    file.seek(0)
    name = _format_of(head)
    if not head:
        raise SourceError("empty")
    if name is None or name not in formats:
        raise SourceError(_why_not(name, head, formats))
    if name == "HEIF":
        _know_heif()
    # The plug-in is called directly: `Image.open` has a size limit of its own, global to the process.
    plugin = Image.OPEN[name][0]
    if name in ("JPEG", "PNG"):
        file = cast("BinaryIO", BoundedReads(file))
    if name == "PNG":
        check_texts(file)
    if name == "WEBP":
        check_size(*_webp_size(head), max_megapixels=max_megapixels)
        with _pillow_unlimited():
            image = plugin(file, "")
    else:
        image = plugin(file, "")
    _check_header(image, max_megapixels=max_megapixels)
    if name == "TIFF" and _is_raw(image, head):
        raise SourceError("a camera's raw photo, of which only a thumbnail can be read: save it as JPEG or TIFF first")
    return image


def _check_header(image: ImageFile, *, max_megapixels: float) -> None:
    check_size(image.width, image.height, max_megapixels=max_megapixels)
    tags = getattr(image, "tag_v2", {})
    if _TILE_WIDTH in tags and _TILE_HEIGHT in tags:  # a small picture may be cut from one huge tile
        check_size(tags[_TILE_WIDTH], tags[_TILE_HEIGHT], max_megapixels=max_megapixels)


def _know_heif() -> None:
    """Teach Pillow the photos of telephones. Raises SourceError where the extra is missing."""
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError:
        raise SourceError("a HEIC photo, which needs more: pip install 'humandetect[heif]'") from None
    register_heif_opener(thumbnails=False)


def _is_raw(image: ImageFile, head: bytes) -> bool:
    """Tell whether the first picture of a TIFF is only there to show what the file is of."""
    tags = getattr(image, "tag_v2", {})
    return bool(_RAW_FILE.match(head) or _DNG_VERSION in tags or tags.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED)


def _why_not(name: str | None, head: bytes, formats: Sequence[str]) -> str:
    if name is None and head.startswith(_GIF):
        name = "GIF"
    if name is None:
        return "not an image that can be read"
    name = "HEIC" if name == "HEIF" else name  # as telephones call it
    return f"a {name} image: only {', '.join(formats[:-1])} and {formats[-1]} are taken"


def _webp_size(head: bytes) -> tuple[int, int]:
    """Read (width, height), because Pillow allocates both before it tells them."""
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        sizes = int.from_bytes(head[21:25], "little")
        return 1 + (sizes & 0x3FFF), 1 + (sizes >> 14 & 0x3FFF)
    width, height = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    return width & 0x3FFF, height & 0x3FFF


@contextmanager
def _pillow_unlimited() -> Iterator[None]:
    """Lift the limit that Pillow's WebP plug-in takes from a global; the size was checked already."""
    from PIL import Image

    with _PILLOWS_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decode(image: ImageFile) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Return the pixels, and of a deep picture what is shown as black and as white."""
    with quiet("libtiff") if image.format == "TIFF" else nullcontext():
        image.load()
    if image.mode.startswith(("I", "F")):
        return _gray_from_deep(np.asarray(image))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        _copy_as_bgr(image.crop((0, top, image.width, bottom)), pixels[top:bottom])
    return pixels, None


def _copy_as_bgr(image: PillowImage, pixels: NDArray[np.uint8]) -> None:
    import cv2
    from PIL import Image

    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer)
    elif image.mode != "RGB":
        image = image.convert("RGB")
    cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR, dst=pixels)


def _gray_from_deep(samples: NDArray[np.generic]) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Scale 16-bit integers by their range, where a picture uses it; all others by what is in the picture."""
    shades = None
    if samples.dtype.itemsize == 2 and np.ptp(samples) > _NARROW_SHARE * np.iinfo(np.uint16).max:
        gray = (samples >> 8).astype(np.uint8)  # type: ignore[operator]
    else:
        values = np.nan_to_num(samples.astype(np.float32), posinf=0, neginf=0)
        low, high = (float(value) for value in np.percentile(values, (0.1, 99.9)))
        shades = low, high
        gray = ((values - low) * (255 / max(high - low, 1e-9))).clip(0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2), shades
