"""People near the camera get a second look, others cost nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from humandetect.detection.close_ups import wants_second_look
from humandetect.detection.detector import Detector
from humandetect.engines.base import RawDetections
from humandetect.models.sizes import InputSize, Preset
from tests.fakes import INFO

TALL, TALLER, SMALL = [0.1, 0.1, 0.4, 0.8], [0.5, 0.0, 0.9, 0.95], [0.5, 0.5, 0.6, 0.7]
WHOLE, LEFT_PART, RIGHT_PART = [0.42, 0.13, 0.66, 1], [0.43, 0.14, 0.57, 0.8], [0.5, 0.36, 0.71, 1]
"""What two looks saw of one man."""


class TwoSizes:
    """Sees other people in small pictures than in large ones."""

    def __init__(
        self, large: dict[float, list[float]], small: dict[float, list[float]], *, second_look: bool = True
    ) -> None:
        preset = Preset(default_score=0.1, second_look=second_look)
        self.info = replace(INFO, size=InputSize((384, 512), step=32, multiple=32), preset=preset)
        self._seen = {384: large, 192: small}
        self.shapes: list[tuple[int, ...]] = []

    def infer(self, images: np.ndarray) -> RawDetections:
        self.shapes.append(images.shape)
        seen = self._seen[images.shape[1]]
        boxes = np.array([list(seen.values())] * len(images), np.float32).reshape(len(images), -1, 4)
        scores = np.array([list(seen)] * len(images), np.float32)
        return RawDetections(boxes, scores, np.ones(scores.shape, np.int32))

    def close(self) -> None:
        pass


def scores(engine: TwoSizes) -> list[float]:
    people = Detector(engine).detect(np.zeros((384, 512, 3), np.uint8))
    assert people.confidence is not None
    return [round(float(score), 2) for score in people.confidence]


def test_the_second_look_adds_those_that_the_first_missed() -> None:
    engine = TwoSizes({0.5: TALL}, {0.9: TALLER})
    assert scores(engine) == [0.9, 0.5]
    assert engine.shapes == [(1, 384, 512, 3), (1, 192, 256, 3)]


def test_of_two_boxes_of_one_person_that_of_a_sure_second_look_stays() -> None:
    assert scores(TwoSizes({0.8: TALL}, {0.9: TALL})) == [0.9]
    assert scores(TwoSizes({0.8: TALL}, {0.6: TALL})) == [0.6]


def test_a_second_look_in_doubt_takes_nobody_away() -> None:
    assert scores(TwoSizes({0.8: TALL}, {0.4: TALL})) == [0.8]
    assert scores(TwoSizes({0.8: LEFT_PART, 0.7: RIGHT_PART}, {0.4: WHOLE})) == [0.8, 0.7, 0.4]


def test_parts_of_a_person_whom_the_second_look_saw_whole_are_no_people() -> None:
    assert scores(TwoSizes({0.98: LEFT_PART, 0.6: RIGHT_PART}, {0.97: WHOLE})) == [0.97]


def test_small_people_before_a_close_one_stay() -> None:
    assert scores(TwoSizes({0.5: TALL, 0.4: [0.2, 0.3, 0.3, 0.7]}, {0.9: TALL})) == [0.9, 0.4]


def test_close_is_what_is_large_in_the_input_also_in_an_upright_picture() -> None:
    third = RawDetections(np.array([[[0.2, 0.3, 0.7, 0.64]]]), np.array([[0.9]]), np.array([[1]]))
    assert not wants_second_look(third, 384)
    assert wants_second_look(third, 704)


def test_small_people_are_left_to_the_first_look() -> None:
    assert scores(TwoSizes({0.5: TALL}, {0.9: SMALL})) == [0.5]


@pytest.mark.parametrize("seen", [{0.9: SMALL}, {0.19: TALL}, {}])
def test_pictures_without_close_ups_are_looked_at_once(seen: dict[float, list[float]]) -> None:
    engine = TwoSizes(seen, {0.9: TALLER})
    scores(engine)
    assert len(engine.shapes) == 1


def test_models_that_need_no_second_look_have_none() -> None:
    engine = TwoSizes({0.5: TALL}, {0.9: TALLER}, second_look=False)
    assert scores(engine) == [0.5]


@pytest.mark.parametrize(("hw", "half"), [((384, 512), (192, 256)), ((384, 704), (192, 352)), ((300, 300), (150, 150))])
def test_half_of_a_size_is_one_that_the_graph_takes(hw: tuple[int, int], half: tuple[int, int]) -> None:
    assert InputSize((384, 512), multiple=1).half(hw) == half
    assert InputSize((384, 512), multiple=32).takes(InputSize((384, 512), multiple=32).half(hw))
