"""What a model gets of a picture, and what is taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from humandetect.detection.preprocess import PADDING, as_bgr, prepare_image
from humandetect.errors import SourceError, UsageError
from tests.builders import make_clip

if TYPE_CHECKING:
    from pathlib import Path


def exact_legacy(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The grid x*W/w, y*H/h by definition, in floating point."""
    sampled = image.astype(float)
    for axis, size in ((0, height), (1, width)):
        at = np.arange(size) * image.shape[axis] / size
        low = at.astype(int)
        high = np.minimum(low + 1, image.shape[axis] - 1)
        part = np.expand_dims(at - low, tuple(other for other in range(3) if other != axis))
        sampled = np.take(sampled, low, axis) * (1 - part) + np.take(sampled, high, axis) * part
    return sampled


@pytest.mark.parametrize("hw", [(48, 64), (33, 7), (3, 5), (1, 1)])
def test_legacy_models_get_the_grid_they_were_trained_on(hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*hw, 3), np.uint8)
    prepared = prepare_image(image, (12, 10), "legacy").pixels
    assert prepared.shape == (12, 10, 3)
    # OpenCV 4 places samples on 1/32 of a pixel, OpenCV 5 exactly.
    assert np.abs(prepared[..., ::-1] - exact_legacy(image, 12, 10)).max() <= 255 / 32 + 1


@pytest.mark.parametrize("hw", [(33, 7), (640, 480)])
def test_the_quick_way_to_the_legacy_grid_gives_the_same_pixels(
    hw: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*hw, 3), np.uint8)
    quick = prepare_image(image, (300, 300), "legacy").pixels
    monkeypatch.setattr("humandetect.detection.preprocess.LONG_TO_COPY", 0)
    np.testing.assert_array_equal(prepare_image(image, (300, 300), "legacy").pixels, quick)


def test_other_models_get_the_usual_grid() -> None:
    image = np.arange(0, 192, 4, dtype=np.uint8).reshape(4, 4, 3)
    prepared = prepare_image(image, (2, 2), "linear").pixels
    assert prepared[..., ::-1].tolist() == image.reshape(2, 2, 2, 2, 3).mean((1, 3)).tolist()


def test_models_for_full_frames_get_them_as_rgb() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 2] = 200
    prepared = prepare_image(image, None, "linear").pixels
    assert prepared.shape == (48, 64, 3)
    assert (prepared == [200, 0, 0]).all()
    assert prepared.flags.c_contiguous


@pytest.mark.parametrize("resize", ["linear", "legacy"])
@pytest.mark.parametrize(
    ("picture_hw", "filled_hw"), [((40, 400), (10, 96)), ((400, 40), (64, 6)), ((100, 100), (64, 64))]
)
def test_pictures_of_another_aspect_are_padded_where_their_aspect_is_kept(
    resize: str, picture_hw: tuple[int, int], filled_hw: tuple[int, int]
) -> None:
    image = np.full((*picture_hw, 3), 200, np.uint8)
    prepared = prepare_image(image, (64, 96), resize, keep_aspect=True)
    height, width = filled_hw
    assert prepared.pixels.shape == (64, 96, 3)
    assert (prepared.pixels[:height, :width] == 200).all()
    assert (prepared.pixels[height:] == PADDING).all()
    assert (prepared.pixels[:, width:] == PADDING).all()
    assert prepared.filled == (height / 64, width / 96)


@pytest.mark.parametrize(("picture_hw", "keep_aspect"), [((40, 400), False), ((100, 150), True), ((100, 156), True)])
def test_pictures_of_about_the_same_aspect_and_those_that_may_be_stretched_fill_the_input(
    picture_hw: tuple[int, int], keep_aspect: bool
) -> None:
    image = np.full((*picture_hw, 3), 200, np.uint8)
    prepared = prepare_image(image, (64, 96), "linear", keep_aspect=keep_aspect)
    assert (prepared.pixels == 200).all()
    assert prepared.filled == (1, 1)


def test_a_pillow_image_is_turned_upright_and_loses_its_transparency() -> None:
    image = Image.new("RGBA", (4, 2), (10, 20, 30, 255))
    image.getexif()[0x0112] = 6
    bgr = as_bgr(image)
    assert bgr.dtype == np.uint8
    assert (bgr.shape, bgr[0, 0].tolist()) == ((4, 2, 3), [30, 20, 10])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "got NoneType, which cv2.imread returns for a file that it cannot read"),
        ([[1, 2, 3]], "got list"),
        (b"bytes", "got bytes"),
        (np.zeros((4, 6, 3)), r"\(4, 6, 3\) float64; if its values are 0..1, give \(image \* 255\)"),
        (np.zeros((4, 6), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((4, 6, 1), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((4, 6, 4), np.uint8), "COLOR_BGRA2BGR"),
        (np.zeros((2, 4, 6, 3), np.uint8), "one by one"),
        (np.zeros((0, 6, 3), np.uint8), r"got an array \(0, 6, 3\)"),
        (np.zeros(3, np.uint8), r"got an array \(3,\)"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_would_be_one(given: object, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"expected one picture: .*{reason}"):
        as_bgr(given)


def test_an_address_is_refused_without_its_password() -> None:
    with pytest.raises(UsageError, match="there is detect_frames") as refused:
        as_bgr("rtsp://admin:s3cret@10.0.0.5/live")
    assert "s3cret" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot open '.*gone\.jpg': No such file"):
        as_bgr(tmp_path / "gone.jpg")
    with pytest.raises(SourceError, match=r"cannot read '.*clip\.mp4': not an image.*detect_frames"):
        as_bgr(make_clip(tmp_path / "clip.mp4"))
