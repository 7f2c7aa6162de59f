"""Drawing stays near the boxes and the counter, inside the picture, and in place."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from humandetect.media.annotate.boxes import ACCENT, Annotator
from humandetect.media.annotate.scene import ACCENT as SCENE_ACCENT
from humandetect.media.annotate.scene import arrow
from humandetect.media.frames import DetectedFrame, Frame, Shape
from tests.builders import people

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = [(640, 360), (1280, 720), (720, 1280)]


def drawn(
    boxes: Sequence[Sequence[float]], *, width: int = 640, height: int = 360, shade: int = 120, kept: bool = False
) -> np.ndarray:
    image = np.full((height, width, 3), shade, np.uint8)
    result = DetectedFrame(Frame(image, 0, 0.0, "x"), people(boxes))
    Annotator().draw(dataclasses.replace(result, detected=not kept))
    return image


def changed(image: np.ndarray, *, without: np.ndarray) -> np.ndarray:
    touched: np.ndarray = (image != without).any(axis=2)
    return touched


def test_the_frame_itself_is_drawn_on() -> None:
    assert changed(drawn([]), without=np.full((360, 640, 3), 120, np.uint8)).any()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_only_the_counters_corner_changes_without_people(width: int, height: int) -> None:
    touched = changed(drawn([], width=width, height=height), without=np.full((height, width, 3), 120, np.uint8))
    rows, columns = np.nonzero(touched)
    assert rows.max() < min(width, height) / 8
    assert columns.max() < min(width, height) / 2


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_drawing_stays_near_its_box(width: int, height: int) -> None:
    left, top, right, bottom = width // 2, height // 2, width // 2 + width // 8, height // 2 + height // 3
    image = drawn([(left, top, right, bottom)], width=width, height=height)
    touched = changed(image, without=np.full((height, width, 3), 120, np.uint8))
    small = min(width, height)
    touched[: small // 8, : small // 2] = False  # the counter
    rows, columns = np.nonzero(touched)
    line = max(6, small // 100)
    assert left - line <= columns.min()
    assert columns.max() <= max(right + line, left + small // 6)
    assert top - small // 12 <= rows.min()
    assert rows.max() <= bottom + line
    inside = touched[top + line : bottom - line, left + line : right - line]
    assert not inside.any()  # the person stays visible


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_box_is_seen_on_any_ground(width: int, height: int) -> None:
    box = (width // 4, height // 4, width // 2, height // 2)
    for shade in (0, 255):
        image = drawn([box], width=width, height=height, shade=shade)
        side = image[height // 3, box[0] - 20 : box[0] + 20].astype(int)
        assert np.abs(side - ACCENT).sum(axis=1).min() == 0
        assert (side.max(axis=1) < 60).any() or shade == 0  # a dark outline where the ground is light


def test_lines_grow_with_the_picture() -> None:
    widths = []
    for width, height in (*SIZES[:2], (3840, 2160)):
        row = drawn([(width // 4, height // 4, width // 2, height // 2)], width=width, height=height)[height // 3]
        widths.append(int(np.all(row == ACCENT, axis=1).sum()) / 2)
    assert widths[0] >= 1
    assert widths == sorted(widths)
    assert widths[2] >= 2 * widths[1]


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 639, 359),
        (-50, -50, 20, 20),
        (620, 340, 700, 400),
        (600, 0, 640, 100),
        (300, 2, 340, 50),
        (5, 350, 9, 359),
    ],
)
def test_labels_stay_in_the_picture(box: tuple[int, int, int, int]) -> None:
    labelled = drawn([box])
    plain = np.full((360, 640, 3), 120, np.uint8)
    result = DetectedFrame(Frame(plain, 0, 0.0, "x"), people([box]))
    result.detections.confidence = None
    Annotator().draw(result)
    label = changed(labelled, without=plain)
    rows, columns = np.nonzero(label)
    text = cv2.getTextSize("90%", cv2.FONT_HERSHEY_DUPLEX, 0.35, 1)[0]
    assert np.ptp(rows) + 1 >= text[1]  # all of it can be seen
    assert np.ptp(columns) + 1 >= text[0]


def test_labels_and_count_can_be_left_out_and_lines_be_chosen() -> None:
    def differs(annotator: Annotator) -> np.ndarray:
        plain = np.full((360, 640, 3), 120, np.uint8)
        annotator.draw(DetectedFrame(Frame(plain, 0, 0.0, "x"), people([(300, 150, 340, 250)])))
        return changed(plain, without=np.full_like(plain, 120))

    bare = Annotator(labels=False, count=False, line_width=1)
    assert not differs(bare)[:140].any()
    assert differs(bare).sum() < differs(Annotator(labels=False, count=False, line_width=9)).sum()
    assert differs(Annotator(count=False))[:140].any()  # the label, above the box
    assert differs(Annotator(labels=False))[:30, :120].any()


def test_labels_do_not_hide_the_neighbours() -> None:
    boxes = [(100, 100, 140, 200), (105, 60, 135, 98)]  # the second stands where the first one's label would
    marked = drawn(boxes)
    assert (marked[70:88, 112:128] == 120).all()


def test_kept_boxes_look_the_same() -> None:
    boxes = [(100, 100, 150, 200)]
    assert np.array_equal(drawn(boxes), drawn(boxes, kept=True))


def test_the_count_is_written_in_words() -> None:
    seen = {count: drawn([(300, 150, 340, 250)] * count)[:30, :120].tobytes() for count in (0, 1, 2, 12)}
    assert len(set(seen.values())) == 4


@pytest.mark.parametrize(("width", "height"), [(1, 1), (4, 4), (16, 9), (64, 48), (2000, 3)])
def test_pictures_too_small_for_text_are_still_drawn_on(width: int, height: int) -> None:
    assert drawn([(0, 0, width, height)], width=width, height=height).shape == (height, width, 3)


def with_tracks(**options: object) -> np.ndarray:
    image = np.full((360, 640, 3), 120, np.uint8)
    result = DetectedFrame(Frame(image, 0, 0.0, "x"), people([]), **options)  # type: ignore[arg-type]
    Annotator(count=False).draw(result)
    return changed(image, without=np.full_like(image, 120))


def test_ids_are_part_of_the_labels() -> None:
    labels = []
    for ids in (None, [-1], [7], [8]):
        image = np.full((360, 640, 3), 120, np.uint8)
        found = people([(300, 150, 340, 250)])
        found.tracker_id = None if ids is None else np.array(ids)
        Annotator().draw(DetectedFrame(Frame(image, 0, 0.0, "x"), found))
        labels.append(image.tobytes())
    assert labels[0] == labels[1], "who has no id yet looks as without tracks"
    assert len(set(labels)) == 3


def test_who_was_not_found_has_a_dashed_box_with_corners() -> None:
    held = people([(300, 150, 340, 250)])
    held.confidence, held.tracker_id = None, np.array([7])
    touched = with_tracks(held=held)
    side = touched[150:251, 300]
    assert 0.4 < side.mean() < 0.8
    assert all(touched[y, x] for y in (150, 250) for x in (300, 340))


def test_trails_are_drawn_from_foot_to_foot_and_stay_in_the_picture() -> None:
    touched = with_tracks(
        trails={7: np.array([[100.0, 200.0], [200.0, 200.0]]), 8: np.array([[630.0, 350.0], [700, 400]])}
    )
    assert touched[200, 100:201].all()
    assert touched[:190].sum() == 0
    assert with_tracks(trails={7: np.array([[100.0, 200.0]])}).sum() < 50  # one foot is no way yet


@pytest.mark.parametrize(
    "points",
    [
        ((160.0, 20.0), (160.0, 220.0)),
        ((160.0, 220.0), (160.0, 20.0)),
        ((20.0, 120.0), (300.0, 120.0)),
        ((300.0, 120.0), (20.0, 120.0)),
        ((60.0, 40.0), (260.0, 200.0)),
        ((4.0, 20.0), (4.0, 220.0)),  # no room for words on the other side
        ((300.0, 236.0), (20.0, 236.0)),
        ((20.0, 236.0), (300.0, 236.0)),
    ],
)
def test_what_is_read_at_a_line_does_not_hide_which_way_is_in(points: tuple[tuple[float, float], ...]) -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    words = Shape(points, "entering 12  leaving 34")
    result = DetectedFrame(Frame(image, 0, 0.0, "x"), people([]), shapes=(words,))
    Annotator(count=False).draw(result)
    accent = (image == SCENE_ACCENT).all(axis=2)
    (x, y), (to_x, to_y) = arrow(points, line=1)
    along = [(round(y + (to_y - y) * part), round(x + (to_x - x) * part)) for part in (0.2, 0.5, 0.8)]
    assert all(accent[at] for at in along if 0 <= at[0] < 240 and 0 <= at[1] < 320)
