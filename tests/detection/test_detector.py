"""From pictures to people, around any engine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import supervision as sv
from PIL import Image

from humandetect.detection.detector import Detector, open_detector
from humandetect.detection.preprocess import PreparedImage
from humandetect.engines.base import RawDetections
from humandetect.errors import ModelNotFound, UsageError
from humandetect.models.metadata import ModelMetadata
from humandetect.models.sizes import InputSize
from tests.builders import picture
from tests.fakes import INFO, SizesEngine

if TYPE_CHECKING:
    from pathlib import Path


class BrightnessEngine:
    """Answers each image with one row whose score is its first pixel's red; counts its calls."""

    def __init__(self, **options: object) -> None:
        self.info = replace(INFO, **{"size": InputSize((4, 6)), **options})  # type: ignore[arg-type]
        self.shapes: list[tuple[int, ...]] = []
        self.closed = 0

    def infer(self, images: np.ndarray) -> RawDetections:
        self.shapes.append(images.shape)
        size = len(images)
        boxes = np.zeros((size, 1, 4), np.float32)
        boxes[..., 2:] = 1
        return RawDetections(boxes, (images[:, 0, 0, :1] / 255).astype(np.float32), np.ones((size, 1), np.int32))

    def close(self) -> None:
        self.closed += 1


def rows(boxes: list[list[float]], scores: list[float], classes: list[int] | None = None) -> RawDetections:
    ids = classes if classes is not None else [1] * len(boxes)
    return RawDetections(np.array([boxes], np.float32), np.array([scores], np.float32), np.array([ids], np.int32))


def test_equal_shapes_share_a_call_and_answers_keep_their_order() -> None:
    engine = BrightnessEngine(size=None)
    images = [PreparedImage(np.full((4 + index % 2, 6, 3), 10 * index, np.uint8)) for index in range(5)]
    answers = Detector(engine).infer(images)
    assert engine.shapes == [(3, 4, 6, 3), (2, 5, 6, 3)]
    assert [round(float(answer.scores[0, 0]) * 255) for answer in answers] == [0, 10, 20, 30, 40]
    assert {answer.xyxy.shape for answer in answers} == {(1, 1, 4)}


@pytest.mark.parametrize("picture_hw", [(40, 400), (400, 40), (40, 60)])
def test_boxes_of_a_padded_picture_are_pixels_of_the_picture(picture_hw: tuple[int, int]) -> None:
    """The engine sees a box over all of its input, which is padding below or beside the picture."""
    detector = Detector(BrightnessEngine(size=InputSize((4, 6), keep_aspect=True)))
    people = detector.detect(np.full((*picture_hw, 3), 255, np.uint8))
    height, width = picture_hw
    assert people.xyxy.tolist() == [[0, 0, width, height]]


def test_a_box_in_a_padded_picture_lies_where_it_was_seen() -> None:
    class HalfWay(BrightnessEngine):
        def infer(self, images: np.ndarray) -> RawDetections:
            raw = super().infer(images)
            return RawDetections(raw.xyxy * np.array([0.5, 0.25, 0.5, 0.25], np.float32), raw.scores, raw.class_ids)

    detector = Detector(HalfWay(size=InputSize((64, 96), keep_aspect=True)))
    people = detector.detect(np.full((480, 1440, 3), 255, np.uint8))  # fills 32 of 64 rows
    assert people.xyxy.tolist() == [[0, 0, 720, 240]]


def test_no_images_need_no_call() -> None:
    engine = BrightnessEngine()
    assert Detector(engine).infer([]) == []
    assert engine.shapes == []


def test_boxes_are_pixels_of_the_original_image_best_first() -> None:
    row = rows([[0.1, 0.5, 0.2, 0.75], [-0.1, 0.5, 1.2, 1.5]], [0.6, 0.9])
    people = Detector(BrightnessEngine()).people(row, (200, 100))
    np.testing.assert_allclose(people.xyxy, [[0, 100, 100, 200], [10, 100, 20, 150]], rtol=1e-6)
    assert people.xyxy.dtype == np.float32
    assert people.confidence is not None
    np.testing.assert_allclose(people.confidence, [0.9, 0.6], rtol=1e-6)


@pytest.mark.parametrize(("score", "count"), [(None, 2), (0.0, 3), (0.3, 3), (0.75, 1), (1.0, 0)])
def test_only_people_above_the_score_are_reported(score: float | None, count: int) -> None:
    row = rows([[0, 0, 1, 1]] * 5, [0.8, 0.5, 0.4, 0.9, 0.0], [1, 1, 1, 18, 1])
    people = Detector(BrightnessEngine(), score=score).people(row, (10, 10))
    assert len(people) == count
    assert people.class_id is not None
    assert set(people.class_id) <= {1}


def test_boxes_without_area_are_nobody() -> None:
    row = rows([[0.5, 0.5, 0.5, 0.9], [0.2, 1.1, 0.4, 1.3], [np.nan, 0, 1, 1]], [0.9, 0.9, 0.9])
    assert len(Detector(BrightnessEngine()).people(row, (10, 10))) == 0


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_scores_outside_0_and_1_are_refused(score: float) -> None:
    with pytest.raises(UsageError, match=f"within 0 and 1, got {score}"):
        Detector(BrightnessEngine(), score=score)


def test_leaving_the_block_closes_the_engine() -> None:
    engine = BrightnessEngine()
    with Detector(engine):
        assert engine.closed == 0
    assert engine.closed == 1


def test_open_detector_finds_the_default_model_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    with open_detector(engine="openvino", score=0.9) as detector:
        assert detector.info.name == "human_detection"
        assert detector.score == 0.9
        assert len(detector.detect(np.zeros((48, 64, 3), np.uint8))) == 0


@pytest.mark.parametrize(
    ("option", "value", "choices"),
    [
        ("device", "cuda", "auto, cpu, gpu"),
        ("precision", "fp16", "auto, f32, bf16"),
        ("engine", "onnx", "auto, openvino, tensorflow, tf-serving"),
    ],
)
def test_open_detector_refuses_what_it_does_not_know_and_lists_what_it_does(
    option: str, value: str, choices: str
) -> None:
    with pytest.raises(UsageError) as refused:
        open_detector(**{option: value})  # type: ignore[arg-type]
    assert value in str(refused.value)
    assert choices in str(refused.value)


def test_a_detector_says_what_it_is() -> None:
    assert repr(Detector(BrightnessEngine(), score=0.25)) == "Detector(fake 1, fake 1, CPU, score >= 0.25)"


def test_people_have_the_model_s_own_name_for_them() -> None:
    engine = BrightnessEngine(metadata=ModelMetadata(labels={3: "walker"}, person_classes=frozenset({3, 4})))
    found = Detector(engine).people(rows([[0, 0, 1, 1]] * 3, [0.9, 0.8, 0.7], [3, 4, 1]), (10, 10))
    assert list(found.data["class_name"]) == ["walker", "person"]
    nobody = Detector(engine).people(rows([[0, 0, 1, 1]], [0.1]), (10, 10))
    assert list(sv.Detections.merge([nobody, found]).data["class_name"]) == ["walker", "person"]


def test_a_picture_may_be_an_array_a_path_or_a_pillow_image(tmp_path: Path) -> None:
    image = picture(6, 4, shade=200)
    path = tmp_path / "picture.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    with Image.open(path) as opened:
        given = [image, path, str(path), opened]
        found = [Detector(BrightnessEngine()).detect(one) for one in given]  # type: ignore[arg-type]
    assert [people.confidence for people in found] == [pytest.approx([200 / 255])] * 4
    assert found[0].xyxy.tolist() == [[0, 0, 6, 4]]


def test_open_detector_names_an_unknown_model() -> None:
    with pytest.raises(ModelNotFound, match="nobody"):
        open_detector("nobody")


def test_raw_detections_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"detections disagree: boxes \(1, 2, 4\), scores \(1, 3\)"):
        rows([[0, 0, 1, 1]] * 2, [0.5] * 3)


def test_detectors_of_other_sizes_share_an_engine_and_each_has_the_scores_of_its_size() -> None:
    engine = SizesEngine()
    detector = Detector(engine)
    small = detector.at_size("small")
    image = picture(64, 48)
    prepared = [one.prepare(image) for one in (detector, small)]
    assert [one.pixels.shape[:2] for one in prepared] == [(24, 32), (12, 16)]
    answers = detector.infer(prepared)
    assert [len(one.people(row, (48, 64))) for one, row in zip((detector, small), answers, strict=True)] == [1, 0]
    assert small.track_scores == (0.9, 0.3)
    assert Detector(engine, score=0.6).at_size("small").score == 0.6
    small.close()
    assert not engine.closed


@pytest.mark.parametrize(
    ("size", "said"), [("far", "has no size 'far'; it has default, small"), ("30x30", "multiples of 4")]
)
def test_a_size_that_the_model_does_not_take_is_refused(size: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Detector(SizesEngine()).at_size(size)


def test_a_model_of_one_size_or_of_whole_pictures_has_no_other() -> None:
    with pytest.raises(UsageError, match="takes pictures of 4x6 only"):
        Detector(BrightnessEngine()).at_size("small")
    with pytest.raises(UsageError, match="gets pictures whole: leave out the size"):
        Detector(BrightnessEngine(size=None)).at_size("small")
