"""Still pictures: encoded bytes to upright BGR pixels and back, never more pixels than allowed."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from humandetect.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
"""GIF is not among them: it is read as the video it mostly is."""
HEAD_BYTES = 32
"""Enough of a file's beginning to tell its format."""

_EXIF_ORIENTATION = 0x0112
# cv2 decodes these as fast as it gets; the rest (palettes, alpha, CMYK, 16 bit) looks right only through Pillow.
_PLAIN = {("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L"), ("WEBP", "RGB"), ("BMP", "RGB")}


def is_image(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is a still picture that `decode_image` knows."""
    return _format_of(head) is not None


def decode_image(data: bytes, *, max_megapixels: float) -> NDArray[np.uint8]:
    """Decode to upright (H, W, 3) BGR. Raises SourceError without the image's name; too large fails before decoding."""
    with _damage_is_refused():
        header = _read_header(io.BytesIO(data))
        check_size(header.width, header.height, max_megapixels=max_megapixels)
        pixels = _decode_plain(data) if _is_plain(header, data) else _decode_any(header)
        return upright(pixels, _orientation_of(header))


def read_size(file: BinaryIO, *, max_megapixels: float) -> tuple[int, int]:
    """Return the upright (width, height) from the header alone. Raises SourceError as `decode_image` does."""
    with _damage_is_refused():
        header = _read_header(file)
        check_size(header.width, header.height, max_megapixels=max_megapixels)
        lying = _orientation_of(header) in (5, 6, 7, 8)
        return (header.height, header.width) if lying else (header.width, header.height)


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
    # Pillow tells of odd metadata by warnings, which are no news to anybody here.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # decoders raise almost anything at hostile bytes
        raise SourceError(f"a damaged image: {error}") from error


def _orientation_of(image: ImageFile) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged metadata costs only itself
        return 1


def _format_of(head: bytes) -> str | None:
    # Importing a plug-in registers it; `Image.init()` would import all forty.
    from PIL import AvifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    Image.preinit()
    for name in FORMATS:
        accept = Image.OPEN[name][1] if name in Image.OPEN else None
        if accept is not None and accept(head) is True:
            return name
    return None


def _read_header(file: BinaryIO) -> ImageFile:
    from PIL import Image

    head = file.read(HEAD_BYTES)
    file.seek(0)
    name = _format_of(head)
    if name is None:
        raise SourceError("not an image that can be read" if head else "empty")
    # The plug-in is called directly: `Image.open` has a size limit of its own, global to the process.
    return Image.OPEN[name][0](file, "")


def _is_plain(image: ImageFile, data: bytes) -> bool:
    # A JPEG that was cut off makes libjpeg write to the terminal through cv2; Pillow refuses it quietly.
    whole = image.format != "JPEG" or data.endswith(b"\xff\xd9")
    return whole and (image.format, image.mode) in _PLAIN


def _decode_plain(data: bytes) -> NDArray[np.uint8]:
    import cv2

    # cv2 applies orientation to some formats only; here one rule serves all.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError("its pixels cannot be decoded")
    return pixels  # type: ignore[return-value]


def _decode_any(image: ImageFile) -> NDArray[np.uint8]:
    from PIL import Image

    image.load()
    if image.mode.startswith(("I", "F")):
        return _gray_from_deep(np.asarray(image))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        rgb = Image.new("RGB", layer.size, "white")
        rgb.paste(layer, mask=layer)
    else:
        rgb = image.convert("RGB")
    return np.ascontiguousarray(np.asarray(rgb)[..., ::-1])


def _gray_from_deep(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale 16-bit integers by their range, anything wider by what is in the picture."""
    if samples.dtype.itemsize == 2:
        gray = (samples >> 8).astype(np.uint8)  # type: ignore[operator]
    else:
        values = np.nan_to_num(samples.astype(np.float32), posinf=0, neginf=0)
        low, high = float(values.min()), float(values.max())
        gray = ((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)
