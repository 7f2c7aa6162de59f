"""What the models of all engines share: the TensorFlow Object Detection API's names, shapes and types."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.engines.base import DETECTION_API, RawDetections
from humandetect.errors import EngineError, ModelError
from humandetect.models.dialects.base import whole
from humandetect.models.dialects.coco import COCO_91
from humandetect.models.labels import labels_beside, person_classes_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from humandetect.engines.base import Engine
    from humandetect.models.dialects import Dialect
    from humandetect.models.metadata import ModelMetadata
    from humandetect.models.sizes import InputSize

INPUT_KEYS = ("inputs", "input_tensor", "image_tensor")
BOXES, SCORES, CLASSES, COUNT = "detection_boxes", "detection_scores", "detection_classes", "num_detections"
OUTPUT_KEYS = (BOXES, SCORES, CLASSES, COUNT)
OWN_KEYS = frozenset((BOXES, SCORES, CLASSES))
"""Which only models of this API have: KerasCV's, too, write `num_detections`."""
WARM_UP_HW = (300, 300)
"""Size of the first picture for models that want full frames."""


def choose_input(path: Path, names: Collection[str]) -> str:
    """Pick the model's image input by the names that the API uses; raise ModelError where there is none."""
    for key in INPUT_KEYS:
        if key in names:
            return key
    raise ModelError(
        f"{path}: no image input; expected one of {', '.join(INPUT_KEYS)}, the model has {_listed(names)}. "
        "Export it with the TensorFlow Object Detection API's exporter."
    )


def check_outputs(path: Path, names: Collection[str]) -> None:
    """Raise ModelError where an output that detection needs is missing."""
    missing = [key for key in OUTPUT_KEYS if key not in names]
    if missing:
        raise ModelError(
            f"{path}: not a detection model: it lacks the outputs {', '.join(missing)}; it has {_listed(names)}. "
            "Export it with the TensorFlow Object Detection API's exporter."
        )


def check_input(path: Path, *, dtype: str, shape: Sequence[int | None] | None) -> None:
    """Raise ModelError unless the input takes uint8 images (N, H, W, 3); None is a size left open."""
    if dtype == "uint8" and (shape is None or (len(shape) == 4 and _are_channels_last(shape))):
        return
    got = "any shape" if shape is None else f"({', '.join('?' if size is None else str(size) for size in shape)})"
    raise ModelError(
        f"{path}: expected an input of uint8 images (N, H, W, 3), the model takes {dtype} {got}. "
        "Export it with the input type image_tensor."
    )


def _are_channels_last(shape: Sequence[int | None]) -> bool:
    return shape[3] == 3 or (shape[3] is None and shape[1] != 3)


def with_people(metadata: ModelMetadata, *, model: str, path: Path | None = None) -> ModelMetadata:
    """Say which classes are people: those that the user gave, by name or number, or that a labels file names.

    `path` is where the model lies. Raises UsageError, ModelError.
    """
    if metadata.dialect not in (None, DETECTION_API):  # of another dialect, the labels of which are read with its graph
        return metadata
    said = "labels" in metadata.said
    beside = labels_beside(path, first=1) if path and not said else {}  # 0 is the background in this API
    if metadata.person_class is None and ("person_classes" in metadata.said or not (said or beside)):
        return replace(metadata, labels=beside or metadata.labels)
    labels = beside or (metadata.labels if said else COCO_91)
    people = person_classes_of(labels, metadata.person_class, model=model)
    return replace(metadata, labels=beside or metadata.labels, person_classes=people)


def check_images(images: NDArray[np.uint8], size: InputSize | None) -> None:
    """Raise EngineError unless `images` is a batch that the model takes."""
    fits = images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3 and images.size > 0
    if not fits or (size is not None and not size.takes(images.shape[1:3])):
        height, width = size.input_hw if size else ("H", "W")
        raise EngineError(
            f"expected RGB images (B, {height}, {width}, 3) uint8, got {images.shape} {images.dtype}; "
            "Detector.prepare makes such images"
        )


def raw_detections(answers: Sequence[Mapping[str, NDArray[Any]]]) -> RawDetections:
    """Join the model's answers to one or more calls, in order.

    Rows that `num_detections` does not count get score 0, and short answers are filled up with such rows. Where it is
    negative or NaN, scores become NaN, which is told as a breach.
    """
    total = sum(len(answer[SCORES]) for answer in answers)
    most = max(answer[SCORES].shape[1] for answer in answers)
    xyxy = np.zeros((total, most, 4), np.float32)
    scores = np.zeros((total, most), np.float32)
    class_ids = np.zeros((total, most), np.int32)
    start = 0
    for answer in answers:
        size, count = answer[SCORES].shape
        rows = slice(start, start + size)
        counts = np.asarray(answer[COUNT], np.float64).reshape(-1, 1)
        uncounted = np.where(counts >= 0, 0, np.nan)
        counted = np.arange(count) < counts
        xyxy[rows, :count] = answer[BOXES][..., [1, 0, 3, 2]]
        scores[rows, :count] = np.where(counted, answer[SCORES], uncounted)
        class_ids[rows, :count] = whole(answer[CLASSES])
        start += size
    return RawDetections(xyxy=xyxy, scores=scores, class_ids=class_ids)


def decoded(answers: Sequence[Sequence[NDArray[Any]]], dialect: Dialect, input_hw: tuple[int, int]) -> RawDetections:
    """Join a dialect's answers to pictures that travelled alone; short ones are filled up with rows of score 0."""
    pictures = [
        dialect.decode([array.astype(np.float32, copy=False) for array in answer], input_hw) for answer in answers
    ]
    most = max(len(boxes.scores) for boxes in pictures)
    xyxy = np.zeros((len(pictures), most, 4), np.float32)
    scores = np.zeros((len(pictures), most), np.float32)
    class_ids = np.zeros((len(pictures), most), np.int32)
    for row, boxes in enumerate(pictures):
        count = len(boxes.scores)
        xyxy[row, :count], scores[row, :count], class_ids[row, :count] = boxes.xyxy, boxes.scores, boxes.class_ids
    return RawDetections(xyxy=xyxy, scores=scores, class_ids=class_ids)


def warm_up(engine: Engine, path: Path | str) -> None:
    """Run the engine once, so that the first real picture is quick and odd outputs show here, as ModelError."""
    info = engine.info
    height, width = info.input_hw or WARM_UP_HW
    try:
        engine.infer(np.zeros((info.best_batch, height, width, 3), np.uint8))
    except EngineError as error:
        if info.size is not None or type(error) is not EngineError:
            raise
        raise ModelError(
            f"{path} may not take pictures as they are ({error}): say a size with --size HxW, or input_hw in "
            "humandetect.json"
        ) from error
    except (ValueError, IndexError, TypeError) as error:
        raise ModelError(
            f"{path}: the outputs do not have the shapes of the TensorFlow Object Detection API: {error}"
        ) from error


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
