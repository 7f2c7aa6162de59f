"""Hidden people: what is left of a box cannot show who it was."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from humandetect.config import Anonymize
from humandetect.media.annotate.hiding import CELLS, FILLING, hide

STYLES = get_args(Anonymize)
BOX = np.array([[20.0, 10.0, 60.0, 90.0]])
HIDDEN = np.s_[6:94, 18:62]
"""The box and a tenth more."""


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.mark.parametrize("style", STYLES)
def test_nothing_outside_the_box_and_its_margin_changes(style: Anonymize) -> None:
    image = noise()
    hide(image, BOX, style)
    changed = (image != noise()).any(axis=2)
    assert changed[HIDDEN].mean() > 0.95
    changed[HIDDEN] = False
    assert not changed.any()


def test_fill_leaves_one_colour() -> None:
    image = noise()
    hide(image, BOX, "fill")
    assert (image[HIDDEN] == FILLING).all()


@pytest.mark.parametrize("style", ["pixelate", "blur"])
def test_at_most_eight_cells_along_a_box_are_left(style: Anonymize) -> None:
    """A pattern finer than a cell is gone: what is left of black and white stripes is grey."""
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[::4] = stripes[1::4] = 255
    hide(stripes, np.array([[0, 0, 200, 200]]), style)
    assert np.ptp(stripes.astype(int)) < 40
    image = noise()
    hide(image, BOX, "pixelate")
    assert len(np.unique(image[HIDDEN].reshape(-1, 3), axis=0)) <= CELLS * CELLS


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "box", [(-30, -30, 20, 20), (150, 110, 400, 300), (300, 300, 400, 400), (50, 50, 50, 50), (10, 20, 11, 119)]
)
def test_boxes_at_and_over_the_edge_are_cut(style: Anonymize, box: tuple[float, ...]) -> None:
    image = noise()
    hide(image, np.array([box], float), style)
    assert image.shape == (120, 160, 3)


@pytest.mark.parametrize("style", STYLES)
def test_a_whole_image_can_be_hidden(style: Anonymize) -> None:
    image = noise()
    hide(image, np.array([[0, 0, 160, 120]]), style)
    assert (image != noise()).any(axis=2).mean() > 0.95
