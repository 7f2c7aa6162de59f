"""An engine whose answers can be told from its input, for tests of what surrounds engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from humandetect.engines.base import ModelInfo, RawDetections
from humandetect.errors import EngineError
from humandetect.models.metadata import ModelMetadata
from humandetect.models.sizes import InputSize, Preset

if TYPE_CHECKING:
    import threading

INFO = ModelInfo("fake", "1", "fake 1, CPU", InputSize((24, 32)), parallel=2, best_batch=2)


class FakeEngine:
    """Sees one person in the left half of every picture, with the picture's red shade / 1000 + 0.7 as the score."""

    def __init__(self, *, fail_after: int | None = None, gate: threading.Event | None = None) -> None:
        self.info = INFO
        self.calls: list[int] = []
        self.closed = False
        self._fail_after = fail_after
        self._gate = gate

    def infer(self, images: np.ndarray) -> RawDetections:
        if self._gate is not None:
            assert self._gate.wait(60)
        self.calls.append(len(images))
        if self._fail_after is not None and sum(self.calls) > self._fail_after:
            raise EngineError("the fake engine broke, as it was told to")
        count = len(images)
        xyxy = np.tile(np.array([[[0.0, 0.25, 0.5, 0.75]]], np.float32), (count, 1, 1))
        scores = images[:, 0, 0, 0].astype(np.float32)[:, None] / np.float32(1000) + np.float32(0.7)
        return RawDetections(xyxy, scores, np.ones((count, 1), np.int32))

    def close(self) -> None:
        self.closed = True


class SizesEngine(FakeEngine):
    """Takes pictures of the sizes default, 24 x 32, and small, 12 x 16, or of any multiple of 4; knows which came."""

    def __init__(self) -> None:
        super().__init__()
        small = Preset((12, 16), default_score=0.8, track_start_score=0.9)
        metadata = ModelMetadata(preset=Preset((24, 32)), sizes={"small": small}, multiple=4)
        self.info = replace(INFO, size=InputSize((24, 32), multiple=4), metadata=metadata)
        self.shapes: list[tuple[int, int]] = []
        """Of each picture."""

    def infer(self, images: np.ndarray) -> RawDetections:
        self.shapes += [images.shape[1:3]] * len(images)
        return super().infer(images)


class Clock:
    """A time that passes when it is told to: nothing takes longer because the machine is busy."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now
