"""Which size the pictures of a model get."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humandetect.config import EngineConfig
from humandetect.errors import UsageError
from humandetect.models.metadata import ModelMetadata
from humandetect.models.sizes import InputSize, Preset, choose_size

ANY = (None, None)
OPEN = ModelMetadata(
    Preset((288, 384), 32, 0.5),
    {"small": Preset((160, 160), None, 0.4), "far": Preset((384, 512), 32, 0.6)},
    multiple=32,
)


@pytest.mark.parametrize(
    ("picture_hw", "input_hw"),
    [
        ((576, 768), (288, 384)),
        ((1080, 1920), (288, 512)),
        ((1920, 1080), (512, 288)),
        ((500, 500), (288, 288)),
        ((480, 720), (288, 448)),
        ((480, 768), (288, 480)),
        ((1078, 1920), (288, 512)),
        ((1080, 2520), (288, 672)),
        ((5000, 10), (672, 288)),
    ],
)
def test_the_long_side_follows_the_picture_up_to_cinemas(
    picture_hw: tuple[int, int], input_hw: tuple[int, int]
) -> None:
    assert InputSize((288, 384), step=32).for_picture(picture_hw) == input_hw


@given(st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)))
def test_every_picture_gets_a_size_that_the_graph_takes(picture_hw: tuple[int, int]) -> None:
    size, _ = choose_size("people", OPEN, "default", fixed_hw=ANY)
    assert size is not None
    assert size.takes(size.for_picture(picture_hw))
    assert min(size.for_picture(picture_hw)) == 288


def test_one_size_for_all_does_not_follow() -> None:
    size = InputSize((300, 300))
    assert size.for_picture((1080, 1920)) == (300, 300)
    assert size.takes((300, 300))
    assert not size.takes((300, 301))


@pytest.mark.parametrize(
    ("wanted", "input_hw", "score"),
    [
        ("default", (288, 384), 0.5),
        ("small", (160, 160), 0.4),
        ("far", (384, 512), 0.6),
        ("160x640", (160, 640), 0.4),
        ("1024x1024", (1024, 1024), 0.6),
    ],
)
def test_a_size_comes_with_the_scores_that_suit_it(wanted: str, input_hw: tuple[int, int], score: float) -> None:
    size, scores = choose_size("people", OPEN, wanted, fixed_hw=ANY)
    assert size is not None
    assert (size.input_hw, scores.default_score) == (input_hw, score)


def test_a_model_of_one_size_names_it_when_another_is_wanted() -> None:
    for wanted in ("small", "320x320"):
        with pytest.raises(UsageError, match=r"takes pictures of 300x400 only .height x width.: leave out the size"):
            choose_size("people", ModelMetadata(), wanted, fixed_hw=(300, 400))
    for wanted in ("default", "300x400"):
        assert choose_size("people", ModelMetadata(), wanted, fixed_hw=(300, 400))[0] == InputSize((300, 400))


def test_a_model_with_one_side_fixed_says_which_sizes_it_takes() -> None:
    for wanted in ("default", "300x400"):
        with pytest.raises(UsageError, match=r"takes pictures of 320xANY only .*: say .* with --size, or"):
            choose_size("people", ModelMetadata(), wanted, fixed_hw=(320, None))
    size, _ = choose_size("people", ModelMetadata(), "320x400", fixed_hw=(320, None))
    assert size is not None
    assert size.input_hw == (320, 400)


def test_a_preset_that_the_model_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(UsageError, match="people has no size 'small'; it has default, and HxW"):
        choose_size("people", ModelMetadata(), "small", fixed_hw=ANY)


def test_pixels_that_the_graph_cannot_take_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="multiples of 32, got 300x500; the nearest is 288x512"):
        choose_size("people", OPEN, "300x500", fixed_hw=ANY)


def test_a_model_for_full_frames_can_be_given_smaller_ones() -> None:
    assert choose_size("people", ModelMetadata(), "default", fixed_hw=ANY)[0] is None
    size, _ = choose_size("people", ModelMetadata(), "240x320", fixed_hw=ANY)
    assert size is not None
    assert size.input_hw == (240, 320)


@pytest.mark.parametrize("size", ["huge", "300", "300x", "300x300x3", "0x300", "31x300", "300x5000", "-300x300", ""])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(UsageError, match="the size is small, default, far, or height x width as in 384x640"):
        EngineConfig(size=size)


def test_upright_pictures_keep_the_side_that_is_fixed() -> None:
    metadata = ModelMetadata(Preset((320, 416), step=32))
    size, _ = choose_size("model", metadata, "default", fixed_hw=(320, None))
    assert size is not None
    assert size.for_picture((1920, 1080)) == (320, 416)
