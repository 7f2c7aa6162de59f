"""The ways in which detectors write what they found, told apart by the shapes of their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.models.dialects.base import MOST_QUERIES, Boxes, Dialect, Output, WantedPicture
from humandetect.models.dialects.detr import detr
from humandetect.models.dialects.finished import counted_rows, detection_output, labelled_rows, lists, rows
from humandetect.models.dialects.yolo import are_queries, yolo_pair, yolos

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DIALECTS", "Boxes", "Dialect", "Output", "WantedPicture", "recognise"]

DIALECTS = (
    "yolo", "yolo-pair", "yolox", "detr", "rows", "labelled-rows", "counted-rows", "detection-output", "lists",
)  # fmt: skip


def recognise(
    outputs: Sequence[Output], input_hw: tuple[int, int], *, classes: int | None = None, wanted: str | None = None
) -> Dialect | None:
    """Name the dialect of a graph for pictures of that size, or None where none fits.

    `classes`: how many the model's own labels name. `wanted`: what humandetect.json says; it overrules the guess.
    """
    candidates = _candidates(outputs, input_hw, classes)
    return next((dialect for dialect in candidates if wanted in (None, dialect.name)), None)


def _candidates(outputs: Sequence[Output], input_hw: tuple[int, int], classes: int | None) -> list[Dialect]:
    """List the dialects that fit, likeliest first."""
    masks = next((output.shape[1] or 0 for output in outputs if len(output.shape) == 4), 0)
    found = [*_rows(outputs, input_hw, masks, classes), *_finished(outputs), *_pairs(outputs, input_hw, classes)]
    tables = [index for index, output in enumerate(outputs) if len(output.shape) == 3]
    if len(tables) == 1:
        found += yolos(tables[0], outputs[tables[0]], input_hw, classes=classes, masks=masks)
    return found


def _rows(outputs: Sequence[Output], input_hw: tuple[int, int], masks: int, classes: int | None) -> list[Dialect]:
    """Take few rows of six columns; of more, where they are of masks, or of joints and no scores of our classes."""
    tables = [index for index, output in enumerate(outputs) if len(output.shape) in (2, 3)]
    if len(tables) != 1 or len(outputs) > 1 + bool(masks):
        return []
    shape = outputs[tables[0]].shape
    places, columns = shape[-2] or 0, shape[-1] or 0
    if columns == 6 or (len(shape), columns) == (2, 7):
        return [rows((tables[0],))] if places <= MOST_QUERIES else []
    with_more = columns == 6 + masks if masks else classes and columns - classes not in (4, 5)
    return [rows((tables[0],))] if with_more and 6 < columns < places and are_queries(places, input_hw) else []


def _finished(outputs: Sequence[Output]) -> list[Dialect]:
    """Take rows of seven columns, rows with a list or a number beside them, or boxes with two lists."""
    shapes = [output.shape for output in outputs]
    if len(shapes) == 1:
        return [detection_output((0,))] if len(shapes[0]) == 4 and shapes[0][-1] == 7 else []
    if found := _rows_with_another(shapes):
        return [found]
    boxes = [index for index, shape in enumerate(shapes) if len(shape) in (2, 3) and shape[-1] == 4]
    if len(boxes) != 1 or len(shapes) not in (3, 4):
        return []
    rank = len(shapes[boxes[0]]) - 1
    others = [index for index, shape in enumerate(shapes) if index != boxes[0]]
    one = (1,) * rank if shapes[boxes[0]][-2] != 1 else None  # a number as long as a list of one
    two = [index for index in others if len(shapes[index]) == rank and shapes[index] != one]
    counts = [index for index in others if index not in two]
    return [lists((boxes[0], *two, *counts), batched=rank == 2)] if len(two) == 2 and len(counts) <= 1 else []


def _rows_with_another(shapes: Sequence[tuple[int | None, ...]]) -> Dialect | None:
    """Take rows of five columns with a class for each, or of six with their number; masks may follow."""
    for index, shape in enumerate(shapes):
        others = [other for other, one in enumerate(shapes) if len(one) == len(shape) - 1]
        if len(others) == 1 and len(shapes) <= 3:
            if len(shape) in (2, 3) and shape[-1] == 5:
                return labelled_rows((index, *others))
            if len(shape) == 2 and shape[-1] == 6:
                return counted_rows((index, *others))
    return None


def _pairs(outputs: Sequence[Output], input_hw: tuple[int, int], classes: int | None) -> list[Dialect]:
    """Take a table of boxes and one of classes with as many rows; among many, those that are named so."""
    tables = [(index, output) for index, output in enumerate(outputs) if len(output.shape) == 3]
    if len(tables) == 2 and (pair := _columns([index for index, _ in tables], outputs)):
        return [pair]
    boxes = _one_named([(index, output) for index, output in tables if output.shape[2] == 4], "pred_boxes")
    logits = _one_named([(index, output) for index, output in tables if output.shape[2] != 4], "logits")
    if boxes is None or logits is None or outputs[boxes].shape[1] != outputs[logits].shape[1]:
        return []
    _, places, columns = outputs[logits].shape
    if not columns:
        return []
    found = [detr(boxes, logits, columns, classes=classes), yolo_pair(boxes, logits, columns)]
    return found if are_queries(places or 0, input_hw) else found[::-1]


def _columns(tables: Sequence[int], outputs: Sequence[Output]) -> Dialect | None:
    """Take a pair whose places are columns, of four numbers in one and a score a class in the other."""
    for boxes, scores in (tables, tables[::-1]):
        (_, four, places), (_, classes, others) = outputs[boxes].shape, outputs[scores].shape
        if four == 4 and classes and places == others and places is not None and places > max(4, classes):
            return yolo_pair(boxes, scores, classes, columns=True)
    return None


def _one_named(tables: Sequence[tuple[int, Output]], name: str) -> int | None:
    """Pick the only table, or the first of several with such a name: exporters add layers' intermediate ones."""
    if len(tables) == 1:
        return tables[0][0]
    return next((index for index, output in tables if output.name.endswith(name)), None)
