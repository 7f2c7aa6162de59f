"""The contract between engines and the rest: what goes in, what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from humandetect.errors import UsageError
from humandetect.models.metadata import ModelMetadata
from humandetect.models.sizes import choose_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from humandetect.models.sizes import InputSize

MAX_SHAPES = 4
"""Shapes of pictures that are in use at once: each costs an engine compiled code and memory."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the detector must know of a loaded model."""

    name: str
    version: str
    engine: str
    """Who runs it, for people: `openvino 2026.4.1, CPU, bf16`."""
    size: InputSize | None
    """Images are shrunk to this before they travel; None: the model wants full frames."""
    parallel: int
    """Calls at once that help."""
    best_batch: int
    """Images per call that the engine is fastest with."""
    labels: dict[int, str]
    """Names of classes, for `class_name` of the detections."""
    person_classes: frozenset[int]
    default_score: float
    track_start_score: float = 0.5
    track_high_score: float = 0.3
    second_look: bool = False
    """Whether close-ups are worth one at half the size; see `detection.close_ups`."""
    dialect: str = "detection-api"
    """How the model writes what it found, for people."""
    resize: str = "linear"
    """`legacy` samples at x*W/w without half-pixel centres, as the TF1 Object Detection API does inside its graphs."""

    metadata: ModelMetadata = field(default_factory=ModelMetadata, repr=False)
    """What the model's maker says, of its other sizes, too."""

    @property
    def input_hw(self) -> tuple[int, int] | None:
        """Height and width of images, of those of 4:3 where the size follows the aspect."""
        return self.size.input_hw if self.size else None

    def at_size(self, wanted: str) -> ModelInfo:
        """Return this for pictures of a size, `small`, `default`, `far` or HxW, with its scores. Raises UsageError."""
        if self.size is None:
            raise UsageError(f"{self.name} gets pictures whole: leave out the size")
        fixed_hw = self.size.input_hw if self.size.multiple is None else None
        size, scores = choose_size(self.name, self.metadata, wanted, fixed_hw=fixed_hw)
        return replace(
            self, size=size, default_score=scores.default_score, track_start_score=scores.track_start_score,
            track_high_score=scores.track_high_score, second_look=scores.second_look and fixed_hw is None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RawDetections:
    """An engine's answer for a batch, before thresholds and scaling."""

    xyxy: NDArray[np.float32]
    """(B, N, 4), 0..1 of the image's width and height."""
    scores: NDArray[np.float32]
    """(B, N), 0 where there is no detection."""
    class_ids: NDArray[np.int32]
    """(B, N)."""

    def __post_init__(self) -> None:
        batch, count = self.scores.shape
        if self.xyxy.shape != (batch, count, 4) or self.class_ids.shape != (batch, count):
            raise ValueError(
                f"detections disagree: boxes {self.xyxy.shape}, "
                f"scores {self.scores.shape}, classes {self.class_ids.shape}"
            )


class Engine(Protocol):
    """Whatever can run the model."""

    info: ModelInfo

    def infer(self, images: NDArray[np.uint8]) -> RawDetections:
        """Find objects in (B, H, W, 3) RGB images. Thread-safe; blocks."""
        ...

    def close(self) -> None:
        """Free the model; may be called twice."""
        ...
