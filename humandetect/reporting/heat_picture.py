"""Where people stood as a picture: colours on a logarithmic scale over the place in grey."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from humandetect.analytics.background import LONG_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humandetect.analytics.heatmap import Heatmap

RANGE = 100
"""How many times as long the brightest place was stood at as the darkest that is coloured."""
STRONGEST = 0.8
"""How much of the colour is seen at the brightest place; at the darkest none."""
PLAIN = 40
"""Grey where there is no picture of the place."""
COLOURS = cv2.applyColorMap(np.arange(80, 256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0]
"""(N, 3) BGR, brighter and brighter, also in grey; without its darkest part, which would look like shadows."""


@dataclass(frozen=True, slots=True)
class HeatPicture:
    """A picture of the place with the time spent there, and the person-seconds at both ends of its scale."""

    image: NDArray[np.uint8]
    low: float
    high: float

    def decades(self) -> list[tuple[float, str]]:
        """Return the powers of ten on the scale: where, 0 to 1, and in words."""
        powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        return [(math.log(10**power / self.low, self.high / self.low), f"{10.0**power:g}") for power in powers]


def draw_heat(heatmap: Heatmap) -> HeatPicture:
    """Draw it over its background, or over plain grey."""
    stays = heatmap.stays()
    high = float(stays.max(initial=0)) or 1.0
    low = high / RANGE
    place = _place(heatmap, stays.shape)
    share = np.log(np.maximum(stays, low) / low) / math.log(RANGE)
    share = np.asarray(cv2.resize(share, (place.shape[1], place.shape[0]), interpolation=cv2.INTER_LINEAR), float)
    colours = COLOURS[np.rint(share * (len(COLOURS) - 1)).astype(int)]
    strength = np.sqrt(share)[..., None] * STRONGEST  # rises steeply: what is faint on a photograph is not seen
    return HeatPicture(np.rint(place * (1 - strength) + colours * strength).astype(np.uint8), low, high)


def _place(heatmap: Heatmap, grid_hw: tuple[int, ...]) -> NDArray[np.uint8]:
    scale = LONG_SIDE / max(grid_hw)
    height, width = (max(1, round(side * scale)) for side in (grid_hw[0], grid_hw[1] * heatmap.pixel_aspect))
    picture = heatmap.background.picture()
    if picture is None:
        return np.full((height, width, 3), PLAIN, np.uint8)
    grey = cv2.cvtColor(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.repeat(grey[..., None], 3, axis=2)
