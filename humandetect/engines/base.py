"""The contract between engines and the rest: what goes in, what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from humandetect.errors import UsageError
from humandetect.models.metadata import ModelMetadata
from humandetect.models.sizes import Preset, choose_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from humandetect.models.sizes import InputSize

DETECTION_API = "detection-api"
"""The dialect of models that every engine takes."""
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
    preset: Preset = field(default_factory=Preset)
    """The scores that are best at this size."""
    metadata: ModelMetadata = field(default_factory=ModelMetadata, repr=False)
    """What the model's maker or its graph says, of its classes and of its other sizes, too."""

    @property
    def input_hw(self) -> tuple[int, int] | None:
        """Height and width of images, of those of 4:3 where the size follows the aspect."""
        return self.size.input_hw if self.size else None

    @property
    def dialect(self) -> str:
        """How the model writes what it found, for people."""
        return self.metadata.dialect or DETECTION_API

    @property
    def second_look(self) -> bool:
        """Whether close-ups are worth one at half the size; see `detection.close_ups`."""
        return self.preset.second_look and self.size is not None and self.size.multiple is not None

    def at_size(self, wanted: str) -> ModelInfo:
        """Return this for pictures of a size, `small`, `default`, `far` or HxW, with its scores. Raises UsageError."""
        if self.size is None:
            raise UsageError(f"{self.name} gets pictures whole: leave out the size")
        fixed_hw = self.size.input_hw if self.size.multiple is None else (None, None)
        size, preset = choose_size(self.name, self.metadata, wanted, fixed_hw=fixed_hw)
        return replace(self, size=size, preset=preset)


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
