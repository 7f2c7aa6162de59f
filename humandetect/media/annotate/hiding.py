"""Makes people unrecognisable, in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config import Anonymize

MARGIN = 0.05
"""On each side, of the box: heads and hands reach over it."""
CELLS = 8
"""What is left of a box along its longer side; a head is about one."""
FILLING = (96, 96, 96)
"""BGR."""


def hide(image: NDArray[np.uint8], boxes: NDArray[Any], style: Anonymize) -> None:
    """Hide what is in boxes (N, 4) of pixels and a tenth around them, on the image (H, W, 3) itself.

    `fill` leaves nothing. `pixelate` and `blur` leave 8 cells along a box, with edges and without.
    """
    height, width = image.shape[:2]
    for x1, y1, x2, y2 in enlarged(boxes):
        part = image[max(0, y1) : min(height, y2), max(0, x1) : min(width, x2)]
        if not part.size:
            continue
        if style == "fill":
            part[:] = FILLING
            continue
        size = part.shape[1], part.shape[0]
        cell = max(size) / CELLS
        few = cv2.resize(part, [max(1, round(side / cell)) for side in size], interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(few, size, interpolation=cv2.INTER_NEAREST if style == "pixelate" else cv2.INTER_LINEAR)


def enlarged(boxes: Iterable[Any]) -> Iterator[tuple[int, int, int, int]]:
    """Yield what is hidden of each box, in whole pixels, also beyond the picture."""
    for x1, y1, x2, y2 in boxes:
        across, down = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
        # Outwards to whole pixels.
        yield int((x1 - across) // 1), int((y1 - down) // 1), -int(-(x2 + across) // 1), -int(-(y2 + down) // 1)
