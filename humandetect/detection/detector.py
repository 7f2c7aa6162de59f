"""From pictures to people: everything around an engine that does not depend on the engine."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from humandetect.config import DEFAULT_MODEL, EngineConfig, ServingConfig
from humandetect.detection.breaches import breach_of
from humandetect.detection.close_ups import merged, wants_second_look
from humandetect.detection.input_shapes import InputShapes
from humandetect.detection.preprocess import as_bgr, prepare_image, sample
from humandetect.engines import load_engine
from humandetect.engines.base import RawDetections
from humandetect.engines.detection_api import warm_up
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import supervision as sv
    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

    from humandetect.config import Device, EngineName, Precision
    from humandetect.detection.preprocess import PreparedImage
    from humandetect.engines.base import Engine, ModelInfo

logger = logging.getLogger(__name__)


class Detector:
    """Finds people in BGR images with an engine, which it owns and closes."""

    def __init__(self, engine: Engine, *, score: float | None = None, shapes: InputShapes | None = None) -> None:
        """`shapes` are those in use of the engine, where several detectors share it."""
        if score is not None and not 0 <= score <= 1:
            raise UsageError(f"the score must be within 0 and 1, got {score}")
        self.engine = engine
        self._given_score = score
        self.score = engine.info.preset.default_score if score is None else score
        start_score = engine.info.preset.track_start_score if score is None else score
        self.track_scores = start_score, min(engine.info.preset.track_high_score, start_score)
        """From which score on a box starts a track, and from which it is matched with tracks before weaker ones."""
        self.breach: str | None = None
        """How the model's answers break the contract, with the fix; None as long as none did."""
        self._person_classes = sorted(engine.info.metadata.person_classes)
        self._labels = engine.info.metadata.labels
        self._shapes = shapes or InputShapes()

    def __repr__(self) -> str:
        info = self.info
        return f"Detector({info.name} {info.version}, {info.engine}, score >= {self.score:g})"

    @property
    def info(self) -> ModelInfo:
        """What the engine says of its model; a served model's version may change."""
        return self.engine.info

    def at_size(self, size: str) -> Detector:
        """Return one that sees pictures as large as `size` says, by the same engine, which stays this one's.

        What either prepared both can `infer`. Raises UsageError where the model takes no such size.
        """
        engine = _SizedEngine(self.engine, size)
        warm_up(engine, self.info.name)  # some graphs say only then that they do not take it
        return Detector(engine, score=self._given_score, shapes=self._shapes)

    def prepare(self, image: NDArray[np.uint8]) -> PreparedImage:
        """Shrink a BGR image to what the model wants, as RGB; models without a size get it as large as it is."""
        size, resize = self.info.size, self.info.metadata.resize
        if size is None:
            return prepare_image(image, None, resize)
        input_hw = self._shapes.choose(size, image.shape[:2])
        prepared = prepare_image(image, input_hw, resize, keep_aspect=size.keep_aspect)
        return replace(prepared, second_look=self.info.second_look)

    def infer(self, prepared: Sequence[PreparedImage]) -> list[RawDetections]:
        """Run the engine on prepared images, once for each shape. Thread-safe; blocks.

        Returns answers of batch size 1, in order, with boxes relative to the picture, without its padding.
        """
        answers = self._look([image.pixels for image in prepared])
        self._look_again(prepared, answers)
        return [
            RawDetections(_without_padding(answer.xyxy, image.filled), answer.scores, answer.class_ids)
            for image, answer in zip(prepared, answers, strict=True)
        ]

    def _look(self, images: Sequence[NDArray[np.uint8]]) -> list[RawDetections]:
        indices_by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            indices_by_shape.setdefault(image.shape, []).append(index)
        answers: dict[int, RawDetections] = {}
        for group in indices_by_shape.values():
            raw = self.engine.infer(np.stack([images[index] for index in group]))
            for row, index in enumerate(group):
                one = slice(row, row + 1)
                answers[index] = RawDetections(raw.xyxy[one], raw.scores[one], raw.class_ids[one])
        return [answers[index] for index in range(len(images))]

    def _look_again(self, prepared: Sequence[PreparedImage], answers: list[RawDetections]) -> None:
        """Add to the answers what a second look at close-ups sees."""
        heights = [image.pixels.shape[0] for image in prepared]
        indices = [
            index
            for index, image in enumerate(prepared)
            if image.second_look and wants_second_look(answers[index], heights[index])
        ]
        size = self.info.size
        if size is None or not indices:
            return
        pixels = [prepared[index].pixels for index in indices]
        halves = [sample(image, size.half(image.shape[:2]), self.info.metadata.resize) for image in pixels]
        for index, second in zip(indices, self._look(halves), strict=True):
            answers[index] = merged(answers[index], second, heights[index])

    def people(self, row: RawDetections, image_hw: tuple[int, int], *, score: float | None = None) -> sv.Detections:
        """Pick the people out of one image's answer: best first, in pixels of the original image.

        `data["class_name"]` has the model's name for each. `score` takes the place of the detector's own threshold.
        """
        import supervision as sv  # takes as long to import as the model to load: only once there is something to show

        height, width = image_hw
        xyxy, scores, class_ids = row.xyxy[0], row.scores[0], row.class_ids[0]
        threshold = self.score if score is None else score
        self._look_for_breach(row, threshold)
        xyxy = xyxy.clip(0, 1) * np.array([width, height, width, height], np.float32)
        wanted = (scores >= threshold) & (scores > 0) & np.isin(class_ids, self._person_classes)
        wanted &= (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        order = np.argsort(-scores, kind="stable")
        order = order[wanted[order]]
        class_ids = class_ids[order].astype(int)
        names = np.array([self._labels.get(number, "person") for number in class_ids.tolist()], dtype=str)
        return sv.Detections(xyxy=xyxy[order], confidence=scores[order], class_id=class_ids, data={"class_name": names})

    def detect(self, image: NDArray[np.uint8] | str | Path | PillowImage) -> sv.Detections:
        """Find the people in one picture: (H, W, 3) uint8 in BGR order, a path, or a Pillow image.

        Raises UsageError for anything else, SourceError for a file that cannot be read.
        """
        bgr = as_bgr(image)
        return self.people(self.infer([self.prepare(bgr)])[0], bgr.shape[:2])

    def _look_for_breach(self, row: RawDetections, threshold: float) -> None:
        """Say once, as an error that also a quiet run shows, where answers mean something else than is made of them."""
        if self.breach is None:
            self.breach = breach_of(row, self.info, threshold)
            if self.breach:
                logger.error("%s", self.breach)

    def close(self) -> None:
        """Close the engine; may be called twice."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _SizedEngine:
    """Another's engine, asked with pictures of another size."""

    def __init__(self, engine: Engine, size: str) -> None:
        self.info = engine.info.at_size(size)
        self.infer = engine.infer

    def close(self) -> None:
        """Leave it to whose it is."""


def _without_padding(xyxy: NDArray[np.float32], filled: tuple[float, float]) -> NDArray[np.float32]:
    """Turn shares of the input into shares of the picture in it."""
    height, width = filled
    return xyxy if filled == (1, 1) else (xyxy / [width, height, width, height]).astype(np.float32)


def open_detector(
    model: str | Path = DEFAULT_MODEL,
    *,
    engine: EngineName = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    size: str = "default",
    score: float | None = None,
    models_dir: str | Path | None = None,
    person_class: str | None = None,
    serving: ServingConfig | None = None,
) -> Detector:
    """Load a model, by name or path, into an engine and wrap it as a detector.

    `size` is small, default, far or HxW, how large the model sees pictures; `serving` names servers that have it.
    """
    config = EngineConfig(
        engine=engine, device=device, precision=precision, model=str(model), size=size,
        person_class=person_class, models_dir=None if models_dir is None else Path(models_dir),
        serving=serving or ServingConfig(),
    )  # fmt: skip
    return Detector(load_engine(config), score=score)
