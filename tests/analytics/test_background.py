"""A background is the place without those who walk through, from few pictures, however long the source is."""

from __future__ import annotations

import numpy as np

from humandetect.analytics.background import LONG_SIDE, MOST_PICTURES, Background


def test_who_walks_through_is_not_in_it_nor_a_black_beginning() -> None:
    background = Background()
    background.add(np.zeros((40, 60, 3), np.uint8))
    for step in range(40):
        image = np.full((40, 60, 3), 120, np.uint8)
        image[10:30, step : step + 8] = 255
        background.add(image)
    picture = background.picture()
    assert picture is not None
    assert (picture == 120).all()


def test_of_a_long_source_few_small_pictures_are_kept_from_all_over_it() -> None:
    background = Background()
    for second in range(1000):
        background.add(np.full((1080, 1920, 3), min(second // 4, 255), np.uint8) if second % 100 == 0 else _SMALL)
    assert len(background._pictures) <= MOST_PICTURES
    assert {max(picture.shape) for picture in background._pictures} == {LONG_SIDE}


_SMALL = np.zeros((2, 2, 3), np.uint8)


def test_a_given_picture_stays_and_without_any_there_is_none() -> None:
    given = np.full((4, 6, 3), 7, np.uint8)
    background = Background(given)
    background.add(np.zeros((40, 60, 3), np.uint8))
    assert background.picture() is given
    assert Background().picture() is None


def test_what_is_drawn_on_a_frame_later_does_not_show() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    background = Background()
    background.add(image)
    image[:] = 255
    picture = background.picture()
    assert picture is not None
    assert not picture.any()
