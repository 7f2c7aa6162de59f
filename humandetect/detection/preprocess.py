"""From a picture to what a model takes: its size, its grid of samples, its order of colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def prepare_image(image: NDArray[np.uint8], input_hw: tuple[int, int] | None, resize: str) -> NDArray[np.uint8]:
    """Shrink a BGR image as a model was trained on it, as RGB; None leaves its size."""
    if input_hw is not None:
        image = (_sample_legacy if resize == "legacy" else _sample_linear)(image, input_hw)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]  # uint8 in, uint8 out


def _sample_linear(image: NDArray[np.uint8], input_hw: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = input_hw
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _sample_legacy(image: NDArray[np.uint8], input_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Sample at x*W/w, y*H/h, without the half pixel that cv2.resize adds: the model was trained on that grid.

    A scaling by warpAffine is that grid: as quick as cv2.remap and as exact, without maps to keep for each size.
    """
    height, width = input_hw
    grid = np.array([[image.shape[1] / width, 0, 0], [0, image.shape[0] / height, 0]])
    return cv2.warpAffine(  # type: ignore[return-value]
        image, grid, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
