"""A heatmap is drawn over its place, brighter where people stood longer, and comes out the same each time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from humandetect.analytics.heatmap import Heatmap
from humandetect.media.images import decode_image
from humandetect.reporting.heat_file import write_heatmap
from humandetect.reporting.heat_picture import PLAIN, RANGE, draw_heat
from tests.analytics.walking import walked

if TYPE_CHECKING:
    from pathlib import Path


def stood(seconds: float = 10.0, background: np.ndarray | None = None) -> Heatmap:
    """Somebody stands on the left for a time, and somebody else on the right for a tenth of it."""
    heatmap = Heatmap(background)
    times = np.linspace(0, seconds, 101)
    for number, at in enumerate(times):
        heatmap.update(walked(float(at), {1: (150, 200), 2: (450, 200)} if number < 10 else {1: (150, 200)}))
    return heatmap


def test_it_is_brightest_where_somebody_stood_longest_and_the_place_shows_where_nobody_did() -> None:
    drawn = draw_heat(stood())
    height, width = drawn.image.shape[:2]
    assert (height, width) == (640, 960)
    left, right, nowhere = (int(drawn.image[height // 2, at].sum()) for at in (width // 4, width * 3 // 4, width // 2))
    assert left > right > nowhere == 3 * PLAIN


def test_its_scale_ends_at_the_longest_stay_and_says_powers_of_ten() -> None:
    drawn = draw_heat(stood(30))
    assert (round(drawn.high), round(drawn.high / drawn.low)) == (30, RANGE)
    assert [text for _, text in drawn.decades()] == ["1", "10"]
    assert all(0 <= at <= 1 for at, _ in drawn.decades())


def test_a_place_is_shown_in_grey() -> None:
    drawn = draw_heat(stood(background=np.full((40, 60, 3), (0, 200, 0), np.uint8)))
    blue, green, red = drawn.image[10, 480]
    assert blue == green == red > PLAIN


def test_it_is_as_wide_as_people_see_the_place() -> None:
    heatmap, narrow = Heatmap(), walked(0.0, {1: (150, 200)})
    heatmap.update(replace(narrow, frame=replace(narrow.frame, pixel_aspect=Fraction(3, 2))))
    height, width = draw_heat(heatmap).image.shape[:2]
    stored_height, stored_width = narrow.frame.image.shape[:2]
    assert width / height == pytest.approx(1.5 * stored_width / stored_height, rel=0.01)


def test_without_people_there_is_the_place(tmp_path: Path) -> None:
    heatmap = Heatmap()
    heatmap.update(walked(0, {}))
    assert (draw_heat(heatmap).image == PLAIN).all()
    write_heatmap(heatmap, tmp_path / "heat.png")


def test_the_file_has_the_picture_and_its_scale_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_heatmap(stood(), tmp_path / name)
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    height, width = decode_image(data, max_megapixels=10).shape[:2]
    assert width > 960
    assert height > 640
