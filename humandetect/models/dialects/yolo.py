"""The YOLO families: a row (or column) of box, perhaps objectness, and class scores for each place of a grid."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from humandetect.models.dialects.base import MOST_QUERIES, Boxes, Dialect, WantedPicture, best_class, corners, suppress
from humandetect.models.dialects.coco import labels_by_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from humandetect.models.dialects.base import Output

    Answers = Sequence[NDArray[np.float32]]

STRIDES = (8, 16, 32)
YOLOV6_OUTPUT = "outputs"
"""What YOLOv6 calls its output, which has YOLOX's shape."""


def yolos(index: int, output: Output, input_hw: tuple[int, int], *, classes: int | None, masks: int) -> list[Dialect]:
    """Tell which YOLO an output (1, N, A) or (1, A, N) may be from, likeliest first.

    `masks` columns at the end are none of its classes.
    """
    first, second = output.shape[1:]
    if first is None or second is None:
        return []
    columns = first < second
    attributes, places = sorted((first, second))
    found = attributes - masks - 4
    with_objectness = _has_objectness(found, columns=columns, classes=classes)
    count = classes if classes and classes <= found - with_objectness else found - with_objectness
    if count < 1:
        return []
    labels = labels_by_count(count)
    read = partial(_yolo, classes=count, with_objectness=with_objectness, columns=columns)
    yolo = Dialect("yolo", (index,), read, WantedPicture(keep_aspect=not are_queries(places, input_hw)), labels)
    if not with_objectness or columns:
        return [yolo]
    picture = WantedPicture(channels="bgr", scaling="0..255")
    yolox = Dialect("yolox", (index,), partial(_yolox, classes=count), picture, labels)
    return [yolox, yolo] if places == cells(input_hw) and output.name != YOLOV6_OUTPUT else [yolo, yolox]


def yolo_pair(boxes: int, scores: int, classes: int, *, columns: bool = False) -> Dialect:
    """YOLO-NAS, DAMO-YOLO and others: boxes and class scores of each place of a grid as two outputs."""
    read = partial(_yolo_pair, columns=columns)
    return Dialect("yolo-pair", (boxes, scores), read, labels=labels_by_count(classes))


def are_queries(places: int, input_hw: tuple[int, int]) -> bool:
    """Tell the few places of DETR's kin from those of a grid."""
    return places <= MOST_QUERIES and places != cells(input_hw)


def cells(input_hw: tuple[int, int]) -> int:
    """Count the places of an anchor-free detector's grids."""
    return sum((input_hw[0] // stride) * (input_hw[1] // stride) for stride in STRIDES)


def _has_objectness(found: int, *, columns: bool, classes: int | None) -> bool:
    """Tell it from the number of classes, ours or COCO's; else from habit: families with objectness write rows."""
    for known in (classes, 80):
        if known and found in (known, known + 1):
            return found == known + 1
    return not columns and classes is None


def _yolo(answers: Answers, _: tuple[int, int], *, classes: int, with_objectness: bool, columns: bool) -> Boxes:
    """Read rows, or columns, of centre, size, perhaps objectness, class scores: v5 to v12, what ultralytics exports."""
    return _suppressed(answers[0][0].T if columns else answers[0][0], classes, with_objectness=with_objectness)


def _yolox(answers: Answers, input_hw: tuple[int, int], *, classes: int) -> Boxes:
    """Place offsets in cells and logarithms of sizes on their grids, unless the graph did (`--decode_in_inference`)."""
    rows = answers[0][0]
    if np.abs(rows[:, :2]).max() < max(input_hw) / 4:  # pixels reach the picture's far edge, offsets a few cells
        rows = _placed(rows, input_hw)
    return _suppressed(rows, classes, with_objectness=True)


def _yolo_pair(answers: Answers, _: tuple[int, int], *, columns: bool) -> Boxes:
    """Suppress; boxes of a whole grid are corners where none is inside out."""
    boxes, scores = (answer[0].T if columns else answer[0] for answer in answers)
    xyxy = boxes if (boxes[:, 2:] >= boxes[:, :2]).all() else corners(boxes)
    return suppress(Boxes(xyxy, *best_class(scores)))


def _suppressed(rows: NDArray[np.float32], classes: int, *, with_objectness: bool) -> Boxes:
    start = 5 if with_objectness else 4
    scores, class_ids = best_class(rows[:, start : start + classes])
    if with_objectness:
        scores = scores * rows[:, 4]
    return suppress(Boxes(corners(rows[:, :4]), scores, class_ids))


def _placed(rows: NDArray[np.float32], input_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Turn offsets and logarithms into pixels."""
    grids, strides = [], []
    for stride in STRIDES:
        height, width = input_hw[0] // stride, input_hw[1] // stride
        y, x = np.mgrid[:height, :width]
        grids.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((height * width, 1), stride))
    stride_of = np.concatenate(strides).astype(np.float32)
    centres = (rows[:, :2] + np.concatenate(grids)) * stride_of
    return np.concatenate([centres, np.exp(rows[:, 2:4]) * stride_of, rows[:, 4:]], axis=1).astype(np.float32)
