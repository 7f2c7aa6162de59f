"""An engine whose answers can be told from its input, for tests of what surrounds engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from humandetect.engines.base import ModelInfo, RawDetections
from humandetect.errors import EngineError
from humandetect.models.sizes import InputSize

if TYPE_CHECKING:
    import threading

INFO = ModelInfo(
    name="fake",
    version="1",
    engine="fake 1, CPU",
    size=InputSize((24, 32)),
    parallel=2,
    best_batch=2,
    labels={1: "person"},
    person_classes=frozenset({1}),
    default_score=0.5,
)


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
            assert self._gate.wait(10)
        self.calls.append(len(images))
        if self._fail_after is not None and sum(self.calls) > self._fail_after:
            raise EngineError("the fake engine broke, as it was told to")
        count = len(images)
        xyxy = np.tile(np.array([[[0.0, 0.25, 0.5, 0.75]]], np.float32), (count, 1, 1))
        scores = images[:, 0, 0, 0].astype(np.float32)[:, None] / np.float32(1000) + np.float32(0.7)
        return RawDetections(xyxy, scores, np.ones((count, 1), np.int32))

    def close(self) -> None:
        self.closed = True
