"""Each dialect is told from the others by its shapes, and its answers are read to the pixel."""

from __future__ import annotations

import numpy as np
import pytest

from humandetect.models.dialects import Boxes, Output, recognise
from humandetect.models.dialects.base import whole

HW = (64, 96)
CELLS = 8 * 12 + 4 * 6 + 2 * 3
BOX = [0.25, 0.25, 0.5, 0.75]
"""As x1, y1, x2, y2 in 0..1: centre 36, 32, size 24, 32 in pixels."""


def read(arrays: list[np.ndarray], *, classes: int | None = None, wanted: str | None = None) -> tuple[str, Boxes]:
    outputs = [Output(f"out{index}", array.shape) for index, array in enumerate(arrays)]
    dialect = recognise(outputs, HW, classes=classes, wanted=wanted)
    assert dialect is not None
    answers = [arrays[index].astype(np.float32) for index in dialect.outputs]
    return dialect.name, dialect.decode(answers, HW)


def assert_one_person(boxes: Boxes, *, score: float = 0.9, class_id: int = 0) -> None:
    strong = boxes.scores >= 0.3
    assert boxes.xyxy[strong].tolist() == pytest.approx(np.array([BOX]), abs=1e-5)
    assert boxes.scores[strong] == pytest.approx([score], abs=1e-5)
    assert boxes.class_ids[strong].tolist() == [class_id]


def yolo_rows(places: int, attributes: int, *, objectness: bool, scale: float = 1.0) -> np.ndarray:
    """Two boxes on the same person, the weaker one suppressed."""
    rows = np.zeros((1, places, attributes))
    rows[0, :, 2:4] = 4
    rows[0, 7, :4] = np.array([36, 32, 24, 32]) * scale
    rows[0, 8, :4] = np.array([37, 32, 24, 32]) * scale
    start = 5 if objectness else 4
    rows[0, 7, start], rows[0, 8, start] = 0.9, 0.8
    if objectness:
        rows[0, :, 4] = 1
    return rows


def test_yolov8_has_columns_without_objectness() -> None:
    name, boxes = read([yolo_rows(2000, 84, objectness=False).transpose(0, 2, 1)])
    assert name == "yolo"
    assert_one_person(boxes)


def test_yolov5_has_rows_with_objectness() -> None:
    name, boxes = read([yolo_rows(3 * CELLS, 85, objectness=True)])
    assert name == "yolo"
    assert_one_person(boxes)


def test_the_models_own_classes_tell_objectness() -> None:
    assert_one_person(read([yolo_rows(2000, 7, objectness=False)], classes=3)[1])
    assert_one_person(read([yolo_rows(2000, 8, objectness=True)], classes=3)[1])


def test_columns_of_masks_are_no_classes() -> None:
    rows = yolo_rows(2000, 84 + 32, objectness=False)
    rows[0, :, 84:] = 5
    assert_one_person(read([rows.transpose(0, 2, 1), np.zeros((1, 32, 16, 24))])[1])


def test_yolo_boxes_may_be_fractions() -> None:
    rows = yolo_rows(2000, 84, objectness=False)
    rows[..., :4] /= [96, 64, 96, 64]
    rows[0, 9, :4] = 0.5, 0.5, 5, 5  # of score 0: small inputs have such
    assert_one_person(read([rows.transpose(0, 2, 1)])[1])


def test_scores_that_are_no_numbers_come_out_for_someone_to_tell_of_and_hide_nobody() -> None:
    rows = yolo_rows(2000, 84, objectness=False)
    rows[0, 100:, :] = np.nan
    boxes = read([rows.transpose(0, 2, 1)])[1]
    assert np.isnan(boxes.scores).any()
    assert_one_person(boxes)


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    rows = yolo_rows(2000, 84, objectness=False)
    rows[0, 8, 4], rows[0, 8, 4 + 16] = 0, 0.8
    boxes = read([rows.transpose(0, 2, 1)])[1]
    assert sorted(boxes.class_ids[boxes.scores > 0.3].tolist()) == [0, 16]


@pytest.mark.parametrize("decoded", [False, True])
def test_yolox_is_told_by_its_number_of_cells(decoded: bool) -> None:
    rows = np.zeros((1, CELLS, 85))
    place = 8 * 12 + 1 * 6 + 2  # stride 16, row 1, column 2
    rows[0, place] = [*([36, 32, 24, 32] if decoded else [0.25, 1, np.log(1.5), np.log(2)]), 1, 0.9, *[0] * 79]
    if decoded:
        rows[0, -1, :2] = 90
    name, boxes = read([rows])
    assert name == "yolox"
    assert_one_person(boxes)


def test_yolov6_is_told_from_yolox_by_the_name_of_its_output() -> None:
    dialects = [recognise([Output(name, (1, CELLS, 85))], HW) for name in ("output", "outputs")]
    assert [dialect and (dialect.name, dialect.picture.channels) for dialect in dialects] == [
        ("yolox", "bgr"), ("yolo", "rgb"),
    ]  # fmt: skip
    assert read([yolo_rows(CELLS, 85, objectness=True)], wanted="yolo")[0] == "yolo"


@pytest.mark.parametrize("as_corners", [False, True])
@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1)], ids=["rows", "columns"])
@pytest.mark.parametrize("order", [1, -1])
def test_boxes_and_scores_of_a_whole_grid_are_two_outputs(
    as_corners: bool, pixels: bool, axes: tuple[int, ...], order: int
) -> None:
    boxes = np.full((1, CELLS, 4), 0.5)
    boxes[0, :2] = BOX if as_corners else [0.375, 0.5, 0.25, 0.5]
    scores = np.zeros((1, CELLS, 80))
    scores[0, :2, 0] = 0.9, 0.8
    arrays = [boxes * ([96, 64, 96, 64] if pixels else 1), scores]
    name, found = read([one.transpose(axes) for one in arrays][::order])
    assert name == "yolo-pair"
    assert_one_person(found)


@pytest.mark.parametrize("reverse", [False, True])
def test_detr_with_sigmoid(reverse: bool) -> None:
    logits = np.full((1, 30, 80), -20.0)
    logits[0, 3, 0] = np.log(9)
    outputs = [detr_boxes(), logits]
    name, boxes = read(outputs[::-1] if reverse else outputs)
    assert name == "detr"
    assert_one_person(boxes)


def test_detr_with_softmax_and_a_class_that_is_no_object() -> None:
    logits = np.zeros((1, 30, 92))
    logits[0, :, 91] = 30
    logits[0, 3, 91], logits[0, 3, 1] = 0, 30
    assert_one_person(read([logits, detr_boxes()])[1], score=1, class_id=1)


def detr_boxes() -> np.ndarray:
    boxes = np.full((1, 30, 4), 0.1)
    boxes[0, 3] = [0.375, 0.5, 0.25, 0.5]
    return boxes


@pytest.mark.parametrize("shape", [(2, 6), (1, 2, 6)])
@pytest.mark.parametrize("pixels", [False, True])
def test_rows_of_six_are_finished(shape: tuple[int, ...], pixels: bool) -> None:
    box = np.array(BOX) * ([96, 64, 96, 64] if pixels else 1)
    name, boxes = read([np.array([[*box, 0.9, 0], [0, 0, 0, 0, 0, 0]]).reshape(shape)])
    assert name == "rows"
    assert_one_person(boxes)


def finished_rows(columns: int) -> np.ndarray:
    rows = np.zeros((1, 300, columns))
    rows[0, 0, :6] = [24, 16, 48, 48, 0.9, 0]
    rows[0, :, 6:] = 7
    return rows


def test_finished_rows_may_go_on_with_masks_or_joints() -> None:
    assert_one_person(read([finished_rows(38), np.zeros((1, 32, 16, 24))], classes=80)[1])
    assert_one_person(read([finished_rows(57)], classes=1)[1])


@pytest.mark.parametrize("end", [[0.9, 0], [0, 0.9]], ids=["score, class", "class, score"])
def test_rows_of_seven_without_a_batch_begin_with_the_image(end: list[float]) -> None:
    name, boxes = read([np.array([[0, 24, 16, 48, 48, *end], [0, 0, 0, 9, 9, *(0.2 if one else 16 for one in end)]])])
    assert name == "rows"
    assert_one_person(boxes)


@pytest.mark.parametrize("rank", [2, 3])
def test_rows_of_five_have_their_classes_beside_them(rank: int) -> None:
    rows, classes = np.array([[24, 16, 48, 48, 0.9], [0, 0, 9, 9, 0.1]]), np.array([0, 2])
    more = [np.zeros((1, 2, 28, 28))] if rank == 3 else []
    name, boxes = read([rows.reshape([1] * (rank - 2) + [2, 5]), classes.reshape([1] * (rank - 2) + [2]), *more])
    assert name == "labelled-rows"
    assert_one_person(boxes)


def test_rows_of_six_with_their_number_begin_with_the_class() -> None:
    name, boxes = read([np.array([[0, 0.9, 24, 16, 48, 48], [0, 0.8, 0, 0, 9, 9]]), np.array([1])])
    assert name == "counted-rows"
    assert_one_person(boxes)


@pytest.mark.parametrize("number", [float("nan"), -1])
def test_a_number_of_rows_that_is_none_makes_scores_none(number: float) -> None:
    rows = np.array([[0, 0.9, 24, 16, 48, 48], [0, 0.8, 0, 0, 9, 9]])
    lists = [np.array([[BOX, BOX]]), np.array([[0, 16]]), np.array([[0.9, 0.7]]), np.array([number])]
    for arrays in ([rows, np.array([number])], lists):
        assert np.isnan(read(arrays)[1].scores).any()


def test_rows_of_seven_end_at_image_minus_one() -> None:
    name, boxes = read([np.array([[[[0, 1, 0.9, *BOX], [-1, 0, 0, 0, 0, 0, 0], [0, 1, 0.8, 0, 0, 1, 1]]]])])
    assert name == "detection-output"
    assert_one_person(boxes, class_id=1)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (2, 0, 3, 1)])
def test_lists_of_tflite_in_any_order(order: tuple[int, ...]) -> None:
    arrays = [np.array([[[0.25, 0.25, 0.75, 0.5], [0, 0, 1, 1]]]), np.array([[0.0, 16]]), np.array([[0.9, 0.7]])]
    arrays.append(np.array([1.0]))
    name, boxes = read([arrays[index] for index in order])
    assert name == "lists"
    assert_one_person(boxes)


@pytest.mark.parametrize("number", [(1, 1), (1,)])
def test_lists_of_a_number_and_pixels_have_x_before_y(number: tuple[int, ...]) -> None:
    boxes = np.array([[[24.0, 16, 48, 48], [0, 0, 9, 9], [0, 0, 9, 9]]])
    arrays = [np.full(number, 2), boxes, np.array([[0.9, 0.2, 0.1]]), np.array([[0, 0, 0]])]
    name, found = read(arrays)
    assert name == "lists"
    assert_one_person(found)


def test_lists_that_nothing_has_suppressed_are() -> None:
    boxes = np.tile(np.array(BOX) * [96, 64, 96, 64], (1, 2000, 1))
    assert_one_person(read([boxes, np.linspace(0.9, 0.31, 2000)[None], np.zeros((1, 2000))])[1])


def test_lists_of_torchvision_are_pixels() -> None:
    box = np.array([BOX]) * [96, 64, 96, 64]
    assert_one_person(read([box, np.array([1]), np.array([0.9])])[1], class_id=1)


def test_what_humandetect_json_says_overrules_the_guess() -> None:
    name, _ = read([yolo_rows(300, 6, objectness=True)], wanted="yolo")
    assert name == "yolo"


def test_other_shapes_are_no_dialect() -> None:
    assert recognise([Output("features", (1, 1000))], HW) is None


@pytest.mark.filterwarnings("error")
def test_numbers_of_classes_are_whole_and_those_that_cannot_be_are_negative() -> None:
    assert whole(np.array([0.99, 2, np.nan, np.inf, -np.inf, 1e20], np.float32)).tolist() == [1, 2, -1, -1, -1, -1]
    assert whole(np.array([200], np.uint8)).tolist() == [200]
