"""The YOLO families: a row (or column) of box, perhaps objectness, and class scores for each place of a grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from humandetect.models.dialects.base import (
    MOST_QUERIES,
    Boxes,
    Picture,
    as_fractions,
    best_class,
    corners,
    suppress,
)
from humandetect.models.dialects.coco import labels_by_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from humandetect.models.dialects.base import Output

STRIDES = (8, 16, 32)
YOLOV6_OUTPUT = "outputs"
"""What YOLOv6 calls its output, which has YOLOX's shape."""


@dataclass(frozen=True, slots=True)
class Yolo:
    """YOLOv5 to v12 and what ultralytics exports: centre, size, perhaps objectness, class scores."""

    outputs: tuple[int, ...]
    classes: int
    with_objectness: bool
    columns: bool
    """Whether a detection is a column, (1, 4 + C, N)."""
    picture: Picture = field(default_factory=Picture)
    name: ClassVar[str] = "yolo"

    @property
    def labels(self) -> dict[int, str]:
        """COCO's, where the number of classes fits."""
        return labels_by_count(self.classes)

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Multiply objectness in, and suppress."""
        rows = answers[0][0].T if self.columns else answers[0][0]
        return _boxes(rows, input_hw, classes=self.classes, with_objectness=self.with_objectness)


@dataclass(frozen=True, slots=True)
class Yolox:
    """YOLOX: offsets in cells and logarithms of sizes, on grids of three strides, one after the other."""

    outputs: tuple[int, ...]
    classes: int
    picture: Picture = field(default_factory=lambda: Picture(channels="bgr", scaling="0..255"))
    name: ClassVar[str] = "yolox"

    @property
    def labels(self) -> dict[int, str]:
        """COCO's, where the number of classes fits."""
        return labels_by_count(self.classes)

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Place the offsets on their grids, unless the graph has done so (`--decode_in_inference`)."""
        rows = answers[0][0]
        if np.abs(rows[:, :2]).max() < max(input_hw) / 4:  # pixels reach the picture's far edge, offsets a few cells
            rows = _placed(rows, input_hw)
        return _boxes(rows, input_hw, classes=self.classes, with_objectness=True)


@dataclass(frozen=True, slots=True)
class YoloPair:
    """YOLO-NAS, DAMO-YOLO and others: boxes and class scores of each place of a grid as two outputs."""

    outputs: tuple[int, ...]
    classes: int
    picture: Picture = field(default_factory=Picture)
    name: ClassVar[str] = "yolo-pair"

    @property
    def labels(self) -> dict[int, str]:
        """COCO's, where the number of classes fits."""
        return labels_by_count(self.classes)

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Suppress; boxes of a whole grid are corners where none is inside out."""
        boxes = answers[0][0]
        xyxy = boxes if (boxes[:, 2:] >= boxes[:, :2]).all() else corners(boxes)
        return as_fractions(suppress(Boxes(xyxy, *best_class(answers[1][0]))), input_hw)


def recognise_yolo(
    index: int, output: Output, input_hw: tuple[int, int], *, classes: int | None, masks: int
) -> list[Yolo | Yolox]:
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
    picture = Picture(keep_aspect=not are_queries(places, input_hw))
    yolo = Yolo((index,), count, with_objectness, columns, picture)
    if not with_objectness or columns:
        return [yolo]
    yolox = Yolox((index,), count)
    return [yolox, yolo] if places == cells(input_hw) and output.name != YOLOV6_OUTPUT else [yolo, yolox]


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


def _boxes(
    rows: NDArray[np.float32], input_hw: tuple[int, int], *, classes: int, with_objectness: bool
) -> Boxes:  # fmt: skip
    start = 5 if with_objectness else 4
    scores, class_ids = best_class(rows[:, start : start + classes])
    if with_objectness:
        scores = scores * rows[:, 4]
    return as_fractions(suppress(Boxes(corners(rows[:, :4]), scores, class_ids)), input_hw)


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
