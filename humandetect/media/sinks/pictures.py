"""Annotated pictures as image files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from humandetect.errors import SinkError
from humandetect.media.frames import NO_TAGS, SQUARE
from humandetect.media.sinks.atomic_files import PendingFile, sink_error
from humandetect.media.sinks.base import Sink
from humandetect.media.sinks.embedding import embed

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame, Frame, PhotoTags

IMAGE_QUALITY = {".jpg": (1, 92), ".jpeg": (1, 92), ".webp": (64, 92)}
"""cv2's IMWRITE_JPEG_QUALITY and IMWRITE_WEBP_QUALITY; other formats lose nothing."""

LONGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
"""In pixels. OpenCV would print an error of its own about more."""


class ImageSink(Sink):
    """Writes each annotated frame as an image file, where `path_for` says and in the format of that name's ending."""

    picture = "drawn"

    def __init__(self, path_for: Callable[[Frame], Path], *, metadata: bool = True) -> None:
        """With `metadata` a copy says when, where and by what its photo was taken, and always what its colours mean."""
        super().__init__()
        self._metadata = metadata
        self._path_for = path_for
        self._last: Path | None = None

    def write(self, result: DetectedFrame) -> None:
        """Write the image, complete or not at all."""
        path = self._path_for(result.frame)
        tags = result.frame.tags
        write_image(path, result.frame.image, tags=tags if self._metadata else tags.colours_only())
        self.pictures += 1
        self._last = path

    def close(self, *, complete: bool = True) -> Path | None:  # noqa: ARG002  every image written is complete
        """Return the image, or the folder where several went; None: there was none."""
        return self._last.parent if self._last is not None and self.pictures > 1 else self._last


def as_shown(image: NDArray[np.uint8], pixel_aspect: Fraction) -> NDArray[np.uint8]:
    """Widen a picture whose pixels are not square to what people see."""
    import cv2

    if pixel_aspect == SQUARE:
        return image
    height, width = image.shape[:2]
    return np.asarray(cv2.resize(image, (max(1, round(width * pixel_aspect)), height)), np.uint8)


def write_image(path: Path, image: NDArray[np.uint8], *, tags: PhotoTags = NO_TAGS) -> None:
    """Write a BGR image in the format of the name's ending."""
    ending = path.suffix.lower()
    fits = max(image.shape[:2]) <= LONGEST_SIDE.get(ending, math.inf)
    data = _encode(ending, image) if fits else None
    if data is None:
        raise SinkError(f"cannot write {str(path)!r}: a {path.suffix} cannot hold {image.shape[1]} x {image.shape[0]}")
    pending = PendingFile(path)
    try:
        pending.path.write_bytes(embed(data, ending, tags))
        pending.finish(complete=True)
    except OSError as error:
        raise sink_error(path, error) from error
    finally:
        pending.discard()


def _encode(ending: str, image: NDArray[np.uint8]) -> bytes | None:
    # cv2 gets bytes to make, never a name to open: it crashes on names that are not UTF-8.
    import cv2

    done, data = cv2.imencode(ending, image, IMAGE_QUALITY.get(ending, ()))
    return data.tobytes() if done else None
