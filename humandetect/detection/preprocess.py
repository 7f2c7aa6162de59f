"""From a picture to what a model takes: its size, its grid of samples, its order of colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from humandetect.config import SourceConfig
from humandetect.errors import SourceError, UsageError
from humandetect.media.image_headers import HEAD_BYTES, is_image
from humandetect.media.images import decode_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

PADDING = 114
"""Gray, as detectors are trained with."""
SAME_ASPECT = 1.07
"""Stretching by less than a step of the input's long side is invisible to models; padding would cost them size."""
LONG_TO_COPY = 10
"""Times the pixels of the model's input. Up to there a copy with a fourth channel costs less than it saves: OpenCV 5
samples it to the same bits in half the time.
"""
EXPECTED = "expected one picture: (H, W, 3) uint8 in BGR order, as cv2.imread returns it, a path, or a Pillow image"


def as_bgr(image: object) -> NDArray[np.uint8]:
    """Return (H, W, 3) BGR from such an array, a picture's file or a Pillow image. Raises UsageError, SourceError."""
    if isinstance(image, str) and "://" in image:  # not quoted: there may be a password in it
        raise UsageError(f"{EXPECTED}; for the address of a camera or stream there is detect_frames")
    if isinstance(image, str | Path):
        return read_picture(Path(image), otherwise="for videos there is detect_frames")
    if isinstance(image, np.ndarray):
        _check_array(image)
        return image
    from PIL import Image, ImageOps

    if isinstance(image, Image.Image):
        upright = ImageOps.exif_transpose(image).convert("RGB")
        return cv2.cvtColor(np.asarray(upright), cv2.COLOR_RGB2BGR)  # type: ignore[return-value]
    hint = ", which cv2.imread returns for a file that it cannot read" if image is None else ""
    raise UsageError(f"{EXPECTED}; got {type(image).__name__}{hint}")


def read_picture(path: Path, *, otherwise: str) -> NDArray[np.uint8]:
    """Return (H, W, 3) BGR from a picture's file. Raises SourceError that says what to do `otherwise`."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            data = head + file.read() if is_image(head) else head  # not all of a film, to be told that it is none
        return decode_image(data, max_megapixels=SourceConfig().max_megapixels)
    except OSError as error:
        raise SourceError(f"cannot open {str(path)!r}: {error.strerror or error}") from error
    except SourceError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}; {otherwise}") from error


def _check_array(image: NDArray[np.generic]) -> None:
    hint = ""
    if image.dtype != np.uint8:
        hint = "; if its values are 0..1, give (image * 255).astype(np.uint8)"
    elif image.ndim == 2 or image.shape[2:] == (1,):
        hint = "; for gray give cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
    elif image.shape[2:] == (4,):
        hint = "; for four channels give cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)"
    elif image.ndim == 4:
        hint = "; give the pictures of a batch one by one"
    elif image.ndim == 3 and image.shape[2] == 3 and image.size:
        return
    raise UsageError(f"{EXPECTED}; got an array {image.shape} {image.dtype}{hint}")


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """What an engine gets of a picture."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    filled: tuple[float, float] = (1.0, 1.0)
    """Shares of height and width that the picture fills, from the top and the left; the rest is padding."""
    second_look: bool = False
    """Whether close-ups in it are worth one."""


def prepare_image(
    image: NDArray[np.uint8], input_hw: tuple[int, int] | None, resize: str, *, keep_aspect: bool = False
) -> PreparedImage:
    """Shrink a BGR image as a model was trained on it, as RGB; None leaves its size."""
    if input_hw is None:
        return PreparedImage(_as_rgb(image))
    height, width = _within(image.shape[:2], input_hw) if keep_aspect else input_hw
    image = _as_rgb(sample(image, (height, width), resize))
    if (height, width) == input_hw:
        return PreparedImage(image)
    pixels = np.full((*input_hw, 3), PADDING, np.uint8)
    pixels[:height, :width] = image
    return PreparedImage(pixels, (height / input_hw[0], width / input_hw[1]))


def _within(picture_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[int, int]:
    """Return how large a picture gets in the input; all of it where the aspects are as good as equal."""
    vertical, horizontal = input_hw[0] / picture_hw[0], input_hw[1] / picture_hw[1]
    if max(vertical, horizontal) <= min(vertical, horizontal) * SAME_ASPECT:
        return input_hw
    scale = min(vertical, horizontal)
    return max(1, round(picture_hw[0] * scale)), max(1, round(picture_hw[1] * scale))


def _as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]  # uint8 in, uint8 out


def sample(image: NDArray[np.uint8], input_hw: tuple[int, int], resize: str) -> NDArray[np.uint8]:
    """Shrink an image, whatever the order of its colours, as a model was trained on it."""
    return (_sample_legacy if resize == "legacy" else _sample_linear)(image, input_hw)


def _sample_linear(image: NDArray[np.uint8], input_hw: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = input_hw
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _sample_legacy(image: NDArray[np.uint8], input_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Sample at x*W/w, y*H/h, without the half pixel that cv2.resize adds: the model was trained on that grid.

    A scaling by warpAffine is that grid: as quick as cv2.remap and as exact, without maps to keep for each size.
    """
    height, width = input_hw
    grid = np.array([[image.shape[1] / width, 0, 0], [0, image.shape[0] / height, 0]])
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    if image.size > LONG_TO_COPY * height * width * 3:
        return cv2.warpAffine(image, grid, (width, height), flags=flags, borderMode=border)  # type: ignore[return-value]
    padded = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    return cv2.cvtColor(  # type: ignore[return-value]
        cv2.warpAffine(padded, grid, (width, height), flags=flags, borderMode=border), cv2.COLOR_BGRA2BGR
    )
