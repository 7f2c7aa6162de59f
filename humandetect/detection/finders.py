"""Who finds the people in frames, and the loop that keeps many frames under way and their order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from humandetect.detection.batching import Batcher
from humandetect.errors import SourceError
from humandetect.media.frames import DetectedFrame, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray

    from humandetect.detection.detector import Detector
    from humandetect.detection.preprocess import PreparedImage
    from humandetect.engines.base import ModelInfo, RawDetections
    from humandetect.media.frames import Frame

    Batches = Batcher[PreparedImage, RawDetections]

Answer = TypeVar("Answer")

WAITING_BYTES = 128 * 1024 * 1024
"""What the frames between reader and sinks may hold; fewer frames wait when they are large."""
MAX_WAIT_SECONDS = 0.005


class Finder(Protocol[Answer]):
    """Finds people in frames, many at once: an engine of this process, or a server."""

    @property
    def name(self) -> str:
        """Who finds them, for the summary."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """What finds them, in words by their names, for results and reports."""
        ...

    @property
    def score(self) -> float | None:
        """From which on a box is a person; None: a server decides."""
        ...

    @property
    def capacity(self) -> int:
        """Frames that can be waiting or worked on at once."""
        ...

    @property
    def track_scores(self) -> tuple[float, float]:
        """As of Detector."""
        ...

    def submit(self, frame: Frame) -> Future[Answer]:
        """Begin with a frame; blocks while too many are under way."""
        ...

    def result(self, frame: Frame, answer: Answer, *, detected: bool) -> DetectedFrame:
        """Make of an answer what the sinks take; not `detected`, it is the answer to an earlier frame."""
        ...


class EngineFinder:
    """Finds people with a detector and a batcher, both of them the caller's, and weak boxes from `weakest_score` on."""

    def __init__(self, detector: Detector, batcher: Batches, *, weakest_score: float | None = None) -> None:
        self._lowest_score = detector.score if weakest_score is None else min(weakest_score, detector.score)
        self.name = detector.info.engine
        self.score = detector.score
        self.track_scores = detector.track_scores
        self.capacity = batcher.capacity
        self._detector = detector
        self._batcher = batcher

    @property
    def settings(self) -> Mapping[str, str]:
        info = self._detector.info
        size = "{} x {}".format(*info.input_hw) if info.input_hw else "that of the picture"
        return {"model": f"{info.name} {info.version}".rstrip(), "input size": size, "engine": info.engine}

    def submit(self, frame: Frame) -> Future[RawDetections]:
        return self._batcher.submit(self._detector.prepare(frame.image), timeout_seconds=None)

    def result(self, frame: Frame, answer: RawDetections, *, detected: bool) -> DetectedFrame:
        height, width = frame.image.shape[:2]
        boxes = self._detector.people(answer, (height, width), score=self._lowest_score)
        # By the score that is written: whoever reads the results again draws the same line.
        strong = cast("NDArray[np.float64]", rounded(boxes).confidence) >= self._detector.score
        people, weak = (cast("sv.Detections", boxes[rows]) for rows in (strong, ~strong))
        return DetectedFrame(frame, people, detected=detected, weak=weak)


def open_batcher(
    info: ModelInfo,
    infer: Callable[[list[PreparedImage]], Sequence[Answer]],
    *,
    batch: int | None = None,
    queue_size: int | None = None,
    max_wait_seconds: float = MAX_WAIT_SECONDS,
    hung_after_seconds: float | None = None,
) -> Batcher[PreparedImage, Answer]:
    """Return a batcher that keeps an engine busy; without a `batch` and a `queue_size` they are what it needs."""
    size = batch or info.best_batch
    return Batcher(
        infer,
        max_batch=size,
        queue_size=queue_size or size * info.parallel,
        workers=info.parallel,
        max_wait_seconds=max_wait_seconds,
        hung_after_seconds=hung_after_seconds,
    )


def detect_in_order(
    frames: Iterable[Frame], finder: Finder[Answer], *, every: int, keep_pixels: bool = True
) -> Iterator[DetectedFrame]:
    """Keep many frames under way and yield them in order; what a failing source gave before it failed comes first.

    Without `keep_pixels` the frames that come out know their size only, which saves the memory of those under way.
    """
    pending: deque[tuple[Frame, Future[Answer], bool]] = deque()
    period = 0
    future: Future[Answer] | None = None
    failure: SourceError | None = None

    def answer() -> DetectedFrame:
        frame, future, detected = pending.popleft()
        return finder.result(frame, future.result(), detected=detected)

    try:
        for frame in frames:
            # By periods too, because the very frame whose turn it is may have been dropped by a live source.
            detect = future is None or frame.index % every == 0 or frame.index // every != period
            period = frame.index // every
            if detect or future is None:
                future = finder.submit(frame)
            pending.append((frame if keep_pixels else frame.without_pixels(), future, detect))
            room = max(2, WAITING_BYTES // frame.image.nbytes)
            while pending and (pending[0][1].done() or len(pending) >= min(room, finder.capacity)):
                yield answer()
    except SourceError as error:
        failure = error
    while pending:
        yield answer()
    if failure is not None:
        raise failure
