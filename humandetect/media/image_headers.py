"""The formats of pictures, told by their first bytes, and opened as far as their size: never more than allowed."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, nullcontext, suppress
from itertools import chain, count
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from humandetect.errors import SourceError
from humandetect.media.av1_sizes import coded_sizes
from humandetect.media.decode_limits import BoundedReads, check_boxes, check_texts
from humandetect.media.heif_properties import hdr_of, told_sizes
from humandetect.media.photo_tags import jpeg_2000_tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.ImageFile import ImageFile

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
RAW_PHOTO = "a camera's raw photo, of which only a thumbnail can be read: save it as JPEG or TIFF first"

_HEIF = re.compile(rb"....ftyp(hei[cmsx]|mif1)", re.DOTALL)
_HEIF_FILM = re.compile(rb"....ftyp(hev[cmsx]|msf1)", re.DOTALL)
"""Its pictures are a track as that of an MP4, and read so; a still that it may have besides is one of them."""
_GIF = b"GIF8"
"""What people send, and is named where it is refused."""
_RAW_FILE = re.compile(
    rb"II\*\0....CR|II\x1a\0\0\0HEAPCCDR|IIR[OS]|IIU\0|MMOR|FUJIFILMCCD-RAW|FOVb|\0MRM|....ftypcrx ", re.DOTALL
)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_DNG_VERSION, _NEW_SUBFILE_TYPE, _REDUCED, _MASK = 50706, 254, 1, 4
_PILLOWS_LIMIT = threading.Lock()


def is_image(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is a still picture that `decode_image` knows."""
    return _format_of(head) is not None


def is_animation(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is a film in the format of a picture: WebP, PNG or AVIF."""
    webp = head[:4] == b"RIFF" and head[12:16] == b"VP8X" and head[20:21] and head[20] & 2
    png = head[:8] == b"\x89PNG\r\n\x1a\n" and b"acTL" in head[33:].partition(b"IDAT")[0]
    return bool(webp or png or head[4:12] == b"ftypavis")


def is_raw_photo(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is a camera's raw photo; of those that are TIFF its tags say more."""
    return _RAW_FILE.match(head) is not None


def check_size(width: int, height: int, *, max_megapixels: float) -> None:
    """Raise SourceError for pictures that would take too much memory."""
    if width * height > max_megapixels * 1e6:
        raise SourceError(f"image of {width} x {height} pixels is too large (limit {max_megapixels:g} megapixels)")


def read_header(
    file: BinaryIO, *, max_megapixels: float, formats: Sequence[str] = FORMATS, pictures: int = 0
) -> ImageFile:
    """Open a file of which so many pictures at most will be decoded: 0, and only its header is looked at.

    Raises SourceError, or what its plug-in raises at damage.
    """
    from PIL import Image

    head = file.read(HEAD_BYTES)
    file.seek(0)
    name = _format_of(head)
    if not head:
        raise SourceError("empty")
    if name is None or name not in formats:
        raise SourceError(_why_not(name, head, formats))
    if name in ("JPEG", "PNG"):
        file = cast("BinaryIO", BoundedReads(file, small_pictures=pictures))
    if name == "PNG":
        check_texts(file, until=b"IEND" if pictures else b"IDAT")
    _prepare(name, file, head, max_megapixels=max_megapixels)
    # The plug-in is called directly: `Image.open` has a size limit of its own, global to the process.
    with _pillow_unlimited() if name == "WEBP" else nullcontext():
        image = Image.OPEN[name][0](file, "")
    if name == "TIFF" and (is_raw_photo(head) or _is_dng(image) or not go_to_page(image, 0)):
        raise SourceError(RAW_PHOTO)
    check_header(image, max_megapixels=max_megapixels)
    if name in ("AVIF", "HEIF"):
        image.info["hdr"] = hdr_of(file)
    if name == "JPEG2000":
        image.info.update(jpeg_2000_tags(file))
    return image


def go_to_page(tiff: ImageFile, number: int) -> bool:
    """Go to a page, or to the first behind it that is no smaller copy and no mask; False: there is none."""
    with suppress(EOFError):
        for page in count(number):
            try:
                tiff.seek(page)
            except SyntaxError:  # its pixels are of no kind that is known
                if not _is_aside(tiff):
                    raise
            if not _is_aside(tiff):
                return True
    return False


def _is_dng(tiff: Any) -> bool:
    return _DNG_VERSION in tiff.tag_v2


def _is_aside(tiff: Any) -> bool:
    return bool(tiff.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & (_REDUCED | _MASK))


def check_header(image: ImageFile, *, max_megapixels: float) -> None:
    """Raise SourceError where what a picture, or a page of it, says of itself would take too much memory."""
    check_size(image.width, image.height, max_megapixels=max_megapixels)
    tags = getattr(image, "tag_v2", {})
    if _TILE_WIDTH in tags and _TILE_HEIGHT in tags:  # a small picture may be cut from one huge tile
        check_size(tags[_TILE_WIDTH], tags[_TILE_HEIGHT], max_megapixels=max_megapixels)


def _format_of(head: bytes) -> str | None:
    # Importing a plug-in registers it; `Image.init()` would import all forty.
    from PIL import AvifImagePlugin, Image, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    Image.preinit()
    if b"avif" not in head and b"avis" not in head:  # which says so only among its other brands
        if _HEIF.match(head):
            return "HEIF"
        if _HEIF_FILM.match(head):
            return None
    for name in FORMATS:
        accept = Image.OPEN[name][1] if name in Image.OPEN else None
        if accept is not None and accept(head) is True:
            return name
    return None


def _prepare(name: str, file: BinaryIO, head: bytes, *, max_megapixels: float) -> None:
    """Look at what Pillow's plug-ins, or the decoders below them, would believe."""
    if name == "HEIF":
        _know_heif()
    elif name == "JPEG2000":
        check_boxes(file)
    elif name == "WEBP":
        check_size(*_webp_size(head), max_megapixels=max_megapixels)
    elif name == "AVIF":
        for width, height in chain(told_sizes(file), coded_sizes(file)):
            check_size(width, height, max_megapixels=max_megapixels)
        file.seek(0)


def _know_heif() -> None:
    """Teach Pillow the photos of telephones. Raises SourceError where the extra is missing."""
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError:
        raise SourceError("a HEIC photo, which needs more: pip install 'humandetect[heif]'") from None
    register_heif_opener(thumbnails=False)


def _why_not(name: str | None, head: bytes, formats: Sequence[str]) -> str:
    if name is None and head.startswith(_GIF):
        name = "GIF"
    if name is None and is_raw_photo(head):
        return RAW_PHOTO
    wanted = f"only {', '.join(formats[:-1])} and {formats[-1]} are taken"
    if name is None:
        return f"not an image that can be read: {wanted}"
    name = "HEIC" if name == "HEIF" else name  # as telephones call it
    return f"a {name} image: {wanted}"


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
