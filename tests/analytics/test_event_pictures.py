"""There is a small picture of whom an event is about, from when it happened, and no more than a few are kept."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from humandetect.analytics.event_pictures import KEPT_SECONDS, LONG_SIDE, STEP_SECONDS, EventPictures
from humandetect.media.frames import DetectedFrame, Event, Frame
from tests.analytics.walking import walked
from tests.builders import people


def shown(seconds: float, feet: dict[int, tuple[float, float]], *, shade: int) -> DetectedFrame:
    """A frame of one shade, in which people with ids stand."""
    result = walked(seconds, feet)
    image = np.full((400, 600, 3), shade, np.uint8)
    return DetectedFrame(Frame(image, result.frame.index, seconds, "clip.mp4"), result.detections)


def event(seconds: float, track_id: int | None = 1) -> Event:
    return Event("exit", "id", "clip.mp4", seconds, frame=round(seconds * 100), track_id=track_id)


def test_it_is_of_when_it_happened_not_of_when_it_was_certain() -> None:
    pictures = EventPictures()
    for step in range(20):
        pictures.update(shown(step / 10, {1: (300, 200)}, shade=10 * step))
    for seconds in (0.0, 0.6, 1.8):
        picture = pictures.of(event(seconds))
        assert picture is not None
        assert picture.mean() == pytest.approx(seconds * 100, abs=STEP_SECONDS * 100)
    assert pictures.of(event(1.0, track_id=2)) is None
    assert pictures.of(event(1.0, track_id=None)) is None


def test_who_was_lost_over_a_gap_is_still_there_for_the_exit() -> None:
    pictures = EventPictures()
    pictures.update(shown(0, {1: (300, 200)}, shade=7))
    pictures.update(shown(60, {2: (300, 200)}, shade=8))
    assert pictures.of(event(0)) is not None
    pictures.update(shown(61, {2: (300, 200)}, shade=9))
    assert pictures.of(event(0)) is None


def test_a_crowd_takes_few_small_pictures_however_long_it_stays() -> None:
    pictures = EventPictures()
    for step in range(1000):
        pictures.update(shown(step / 25, {1: (300, 390), 2: (100, 390)}, shade=step % 256))
    kept = [one for track in pictures._lately.values() for one in track]
    assert len(kept) <= 2 * (KEPT_SECONDS / STEP_SECONDS + 2)
    assert max(max(one.image.shape[:2]) for one in kept) <= LONG_SIDE
    assert not any(np.shares_memory(one.image, kept[0].image) for one in kept[1:])


@pytest.mark.parametrize(("aspect", "size"), [("1", (100, 40)), ("3/2", (100, 60)), ("4", (80, 128))])
def test_people_are_as_wide_as_they_are_shown(aspect: str, size: tuple[int, int]) -> None:
    pictures = EventPictures()
    result = shown(0, {1: (300, 200)}, shade=7)
    pictures.update(replace(result, frame=replace(result.frame, pixel_aspect=Fraction(aspect))))
    picture = pictures.of(event(0))
    assert picture is not None
    assert picture.shape[:2] == size


def test_a_clock_that_goes_back_begins_anew() -> None:
    pictures = EventPictures()
    for seconds in (50, 0, 1):
        pictures.update(shown(seconds, {1: (300, 200)}, shade=seconds))
    picture = pictures.of(event(50))
    assert picture is not None
    assert picture.mean() <= 1


def test_where_there_are_no_pixels_no_ids_or_no_place_in_the_picture_there_is_none() -> None:
    pictures = EventPictures()
    blank = walked(0, {1: (300, 200)}).frame.without_pixels()
    pictures.update(DetectedFrame(blank, walked(0, {1: (300, 200)}).detections))
    pictures.update(DetectedFrame(walked(1, {}).frame, people([[10, 10, 20, 20]])))
    pictures.update(shown(2, {1: (900, 200), -1: (300, 200)}, shade=9))
    assert not pictures._lately
