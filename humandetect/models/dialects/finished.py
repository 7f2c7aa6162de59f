"""Graphs that end in their own suppression: what is left is to name their columns."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from humandetect.models.dialects.base import MOST_QUERIES, Boxes, Dialect, WantedPicture, in_pixels, suppress, whole
from humandetect.models.dialects.coco import COCO_80, COCO_90, COCO_91

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Answers = Sequence[NDArray[np.float32]]


def rows(outputs: tuple[int, ...]) -> Dialect:
    """End to end: rows of x1, y1, x2, y2, score, class, as YOLOv10 and exports with suppression write them.

    More may follow, of masks or joints. Seven columns without a batch begin with the image's number, as YOLOv7 does.
    """
    return Dialect("rows", outputs, _rows, labels=COCO_80)


def labelled_rows(outputs: tuple[int, ...]) -> Dialect:
    """MMDetection's and OpenVINO Training Extensions': rows of x1, y1, x2, y2, score, and the classes beside them."""
    return Dialect("labelled-rows", outputs, _labelled_rows, WantedPicture(scaling="imagenet"), COCO_80)


def counted_rows(outputs: tuple[int, ...]) -> Dialect:
    """PaddleDetection's: rows of class, score, x1, y1, x2, y2, and their number beside them."""
    return Dialect("counted-rows", outputs, _counted_rows, WantedPicture(keep_aspect=False), COCO_80)


def detection_output(outputs: tuple[int, ...]) -> Dialect:
    """OpenVINO's and Caffe's SSD layer: rows of image, class, score, x1, y1, x2, y2 in 0..1."""
    picture = WantedPicture(keep_aspect=False, channels="bgr", scaling="0..255")
    return Dialect("detection-output", outputs, _detection_output, picture, {1: "person"})


def lists(outputs: tuple[int, ...], *, batched: bool) -> Dialect:
    """Boxes, then classes and scores in any order; with a fourth output, their number.

    With that TFLite writes fractions, y before x, and YOLO-NAS pixels, x before y. TFLite's SSDs take -1..1 (or bytes)
    and count COCO's classes from 0 with gaps, RT-DETR without; torchvision's models have COCO's own numbers.
    """
    counted = len(outputs) == 4
    picture = WantedPicture(keep_aspect=False, scaling="-1..1" if counted else "0..1")
    labels = COCO_90 if counted else COCO_80 if batched else COCO_91
    return Dialect("lists", outputs, partial(_lists, counted=counted), picture, labels)


def _rows(answers: Answers, _: tuple[int, int]) -> Boxes:
    table = answers[0].reshape(-1, answers[0].shape[-1])
    table = table[:, 1:] if answers[0].shape[1:] == (7,) else table
    class_ids, scores = _classes_and_scores(table[:, 5], table[:, 4])
    return Boxes(table[:, :4], scores, class_ids)


def _labelled_rows(answers: Answers, _: tuple[int, int]) -> Boxes:
    table, class_ids = answers[0].reshape(-1, 5), whole(answers[1].reshape(-1))
    return Boxes(table[:, :4], table[:, 4], class_ids)


def _counted_rows(answers: Answers, _: tuple[int, int]) -> Boxes:
    table = answers[0]
    return _first(Boxes(table[:, 2:], table[:, 1], whole(table[:, 0])), answers[1])


def _detection_output(answers: Answers, _: tuple[int, int]) -> Boxes:
    """Take the rows up to the first of image -1, which ends the list."""
    table = answers[0].reshape(-1, 7)
    table = table[: int(np.argmax(table[:, 0] < 0)) if (table[:, 0] < 0).any() else len(table)]
    return Boxes(table[:, 3:], table[:, 2], whole(table[:, 1]))


def _lists(answers: Answers, _: tuple[int, int], *, counted: bool) -> Boxes:
    """Take as many as there are; TFLite's and very many may not be suppressed yet."""
    class_ids, scores = _classes_and_scores(answers[1].reshape(-1), answers[2].reshape(-1))
    boxes = Boxes(answers[0].reshape(-1, 4), scores, class_ids)
    boxes = _first(boxes, answers[3]) if counted else boxes
    if counted and not in_pixels(boxes):
        boxes = replace(boxes, xyxy=boxes.xyxy[:, [1, 0, 3, 2]])
    return suppress(boxes) if counted or len(scores) > MOST_QUERIES else boxes


def _first(boxes: Boxes, number: NDArray[np.float32]) -> Boxes:
    """Keep as many as there are said to be; where that is no number of them, scores become NaN: a breach."""
    count = number.reshape(-1)[0]
    if not count >= 0:
        return replace(boxes, scores=np.full_like(boxes.scores, np.nan))
    rows = slice(int(min(count, len(boxes.scores))))
    return Boxes(boxes.xyxy[rows], boxes.scores[rows], boxes.class_ids[rows])


def _classes_and_scores(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Tell classes from scores by their being whole numbers: exporters disagree on the order."""
    if not _are_whole(first) and _are_whole(second):
        first, second = second, first
    return whole(first), second.astype(np.float32)


def _are_whole(numbers: NDArray[np.float32]) -> bool:
    return bool((numbers == np.floor(numbers)).all())
