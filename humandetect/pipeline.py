"""The one loop behind `detect`: sources -> batches -> detections -> sinks, in order and within bounds."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from humandetect.batching import Batcher
from humandetect.config import DetectConfig
from humandetect.detector import Detector
from humandetect.engines import load_engine
from humandetect.errors import HumanDetectError, SourceError
from humandetect.media.annotate import Annotator
from humandetect.media.destinations import Destinations, refuse_input
from humandetect.media.frames import DetectedFrame
from humandetect.media.reader import FrameReader
from humandetect.media.results import CropsSink, open_results
from humandetect.media.sources import expand, open_source
from humandetect.media.video import ImageSink, VideoSink

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.engines.base import RawDetections
    from humandetect.media.frames import Frame
    from humandetect.media.reader import BufferPolicy
    from humandetect.media.results import Sink
    from humandetect.media.sources import Source
    from humandetect.media.window import WindowSink

    Batches = Batcher[NDArray[np.uint8], RawDetections]

logger = logging.getLogger(__name__)

WAITING_BYTES = 128 * 1024 * 1024
"""What the frames between reader and sinks may hold; fewer frames wait when they are large."""
READ_AHEAD_FRAMES = 4
MAX_WAIT_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did, lost and wrote."""

    engine: str = ""
    frames: int = 0
    detected_frames: int = 0
    dropped_frames: int = 0
    """Frames of live sources that came faster than they could be handled."""
    people_most: int = 0
    people_mean: float = 0.0
    seconds: float = 0.0
    """From the first frame read to the last result written; start-up is not in it."""
    outputs: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    failures: tuple[HumanDetectError, ...] = ()
    """Inputs that could not be read, or what ended the run early."""
    interrupted: bool = False

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = asdict(replace(self, failures=()))
        plain["outputs"] = [str(path) for path in self.outputs]
        plain["failures"] = [str(failure) for failure in self.failures]
        return plain | {"seconds": round(self.seconds, 3), "fps": round(self.fps, 2)}


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C or a signal ended a run; what was finished is kept, and `summary` says where."""

    def __init__(self, summary: RunSummary) -> None:
        super().__init__("interrupted")
        self.summary = summary


class _Enough(Exception):
    """Whoever watches the results has gone: the window was closed, or the reader of stdout."""


class Progress(Protocol):
    """Whoever wants to be told how far a run is."""

    def start(self, name: str, total: int | None, /) -> None: ...
    def advance(self, result: DetectedFrame, /) -> None: ...
    def stop(self) -> None: ...


def run(config: DetectConfig, *, detector: Detector | None = None, progress: Progress | None = None) -> RunSummary:
    """Detect people in every source and write what `config` asks for; a given `detector` is used and left open.

    Inputs that fail, and an engine or output that fails on the way, are `failures` of the summary; what was finished
    until then is kept. Raises UsageError, SinkError or EngineError when the run cannot start, RunInterrupted on Ctrl-C.
    """
    return _Run(config, detector, progress).run()


def detect_video(source: str | Path, *, output: str | Path | None = None, **options: Any) -> RunSummary:
    """Find people in one source; `options` are the fields of DetectConfig. Raises the first failure."""
    config = DetectConfig(sources=(str(source),), output=Path(output) if output else None, **options)
    summary = run(config)
    if summary.failures:
        raise summary.failures[0]
    return summary


def detect_frames(source: str | Path, detector: Detector, *, every: int = 1) -> Generator[DetectedFrame]:
    """Yield the frames of one source, in order, with the people in them."""
    config = DetectConfig(sources=(str(source),), every=every)
    for ref in expand(config.sources):
        with (
            open_source(ref, config.source) as opened,
            open_batcher(detector) as batcher,
            FrameReader(opened, buffer=READ_AHEAD_FRAMES, policy=_policy(opened)) as frames,
        ):
            yield from _detected(frames, detector, batcher, every=every)


def open_batcher(detector: Detector, *, batch: int | None = None) -> Batches:
    """Return a batcher that keeps the detector's engine busy."""
    info = detector.engine.info
    size = batch or info.best_batch
    return Batcher(
        detector.infer,
        max_batch=size,
        queue_size=2 * size * info.parallel,
        workers=info.parallel,
        max_wait_seconds=MAX_WAIT_SECONDS,
    )


def _policy(source: Source) -> BufferPolicy:
    return "drop-oldest" if source.info.kind == "live" else "wait"


def _detected(frames: Iterable[Frame], detector: Detector, batcher: Batches, *, every: int) -> Iterator[DetectedFrame]:
    """Keep many frames under way and yield them in order; what a failing source gave before it failed comes first."""
    pending: deque[tuple[Frame, Future[RawDetections], bool]] = deque()
    future: Future[RawDetections] | None = None
    failure: SourceError | None = None

    def answer() -> DetectedFrame:
        frame, future, detected = pending.popleft()
        height, width = frame.image.shape[:2]
        return DetectedFrame(frame, detector.people(future.result(), (height, width)), detected=detected)

    try:
        for frame in frames:
            detect = future is None or frame.index % every == 0
            if detect or future is None:
                future = batcher.submit(detector.prepare(frame.image), timeout_seconds=None)
            pending.append((frame, future, detect))
            room = max(2, WAITING_BYTES // frame.image.nbytes)
            while pending and (pending[0][1].done() or len(pending) >= min(room, batcher.capacity)):
                yield answer()
    except SourceError as error:
        failure = error
    while pending:
        yield answer()
    if failure is not None:
        raise failure


@dataclass(slots=True)
class Tally:
    """What a run has counted so far."""

    engine: str = ""
    frames: int = 0
    detected_frames: int = 0
    dropped_frames: int = 0
    people: int = 0
    people_most: int = 0
    began: float | None = None
    outputs: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[HumanDetectError] = field(default_factory=list)

    def add(self, result: DetectedFrame) -> None:
        count = len(result.detections)
        self.frames += 1
        self.detected_frames += result.detected
        self.people += count
        self.people_most = max(self.people_most, count)

    def summary(self, *, interrupted: bool = False) -> RunSummary:
        return RunSummary(
            engine=self.engine,
            frames=self.frames,
            detected_frames=self.detected_frames,
            dropped_frames=self.dropped_frames,
            people_most=self.people_most,
            people_mean=self.people / self.frames if self.frames else 0.0,
            seconds=time.perf_counter() - self.began if self.began is not None else 0.0,
            outputs=tuple(self.outputs),
            warnings=tuple(self.warnings),
            failures=tuple(self.failures),
            interrupted=interrupted,
        )


class _Run:
    """One run: what it was asked for, what it has counted, how its parts are opened and closed."""

    def __init__(self, config: DetectConfig, detector: Detector | None, progress: Progress | None) -> None:
        self.config = config
        self.detector = detector
        self.progress = progress
        self.refs = expand(config.sources)
        self.inputs = [path for ref in self.refs for path in ref.paths]
        self.annotator = Annotator()
        self.window: WindowSink | None = None
        self.tally = Tally()

    def run(self) -> RunSummary:
        try:
            with ExitStack() as stack:
                self._run(stack)
        except KeyboardInterrupt as error:
            raise RunInterrupted(self.tally.summary(interrupted=True)) from error
        except (_Enough, BrokenPipeError):
            return self.tally.summary(interrupted=True)
        except HumanDetectError as error:
            if not self.tally.frames:
                raise
            self.tally.failures.append(error)
        return self.tally.summary()

    def _run(self, stack: ExitStack) -> None:
        destinations = self._destinations()
        for_all = [stack.enter_context(self._closing(sink)) for sink in self._sinks_for_all()]
        sources = self._open_sources()
        first = next(sources, None)  # a source that cannot be opened must not cost the start of an engine
        if first is None:
            return
        detector = self.detector or stack.enter_context(
            Detector(load_engine(self.config.engine), score=self.config.score)
        )
        batcher = stack.enter_context(open_batcher(detector, batch=self.config.batch))
        self.tally.engine = detector.info.engine
        logger.info("model %s version %s runs on %s", detector.info.name, detector.info.version, detector.info.engine)
        self.tally.began = time.perf_counter()
        for source in chain([first], sources):
            with source, ExitStack() as own:
                pictures = [
                    own.enter_context(self._closing(sink)) for sink in self._picture_sinks(source, destinations)
                ]
                self._read(source, detector, batcher, [*for_all, *pictures])

    def _read(self, source: Source, detector: Detector, batcher: Batches, sinks: Sequence[Sink]) -> None:
        info = source.info
        logger.info(
            "reading %r: %s of %d x %d, %s frames", source.name, info.kind, info.width, info.height, info.frame_count
        )
        if self.progress is not None:
            self.progress.start(source.name, info.frame_count)
        with FrameReader(source, buffer=READ_AHEAD_FRAMES, policy=_policy(source)) as frames:
            try:
                for result in _detected(frames, detector, batcher, every=self.config.every):
                    self._write(result, sinks)
                    if self.window is not None and self.window.stopped:
                        raise _Enough
            except SourceError as error:  # the source ended before its time; what it gave is complete
                self.tally.failures.append(error)
            finally:
                self.tally.dropped_frames += frames.dropped
                self.tally.warnings += source.warnings
                self.tally.failures += source.failures
                if self.progress is not None:
                    self.progress.stop()

    def _write(self, result: DetectedFrame, sinks: Sequence[Sink]) -> None:
        """Hand a result to every sink: first those that want clean pictures, then, drawn once, the others."""
        drawn = False
        for sink in sorted(sinks, key=lambda sink: sink.wants_drawing):
            if sink.wants_drawing and not drawn:
                self.annotator.draw(result)
                drawn = True
            sink.write(result)
        self.tally.add(result)
        if self.progress is not None:
            self.progress.advance(result)

    def _open_sources(self) -> Iterator[Source]:
        """Open one source after the other; those that cannot be opened are noted and left out."""
        for ref in self.refs:
            try:
                yield open_source(ref, self.config.source, audio=self._wants_pictures)
            except SourceError as error:
                self.tally.failures.append(error)

    @property
    def _wants_pictures(self) -> bool:
        """Annotated pictures are written when asked for, or when nothing else would come out of the run."""
        config = self.config
        return config.output is not None or not (config.results or config.crops or config.show)

    def _destinations(self) -> Destinations:
        several = len(self.inputs) > 1 or len(self.refs) > 1
        for path in (*self.config.results, self.config.crops or "-"):
            if path != "-":
                refuse_input(Path(path), self.inputs)
        return Destinations(self.config.output, several=several, inputs=self.inputs)

    def _sinks_for_all(self) -> Iterator[Sink]:
        """Sinks that serve every source of the run."""
        for name in self.config.results:
            yield open_results(name)
        if self.config.crops is not None:
            yield CropsSink(self.config.crops)
        if self.config.show:
            from humandetect.media.window import WindowSink

            self.window = WindowSink("humandetect")
            yield self.window

    def _picture_sinks(self, source: Source, destinations: Destinations) -> Iterator[Sink]:
        if not self._wants_pictures:
            return
        if source.info.kind == "image":
            yield ImageSink(lambda frame: destinations.image(frame.source))
        else:
            path = destinations.video(source.name)
            origin_seconds = self.config.source.start_seconds
            yield VideoSink(
                path, source.info, audio=source.audio, preset=self.config.preset, origin_seconds=origin_seconds
            )

    @contextmanager
    def _closing(self, sink: Sink) -> Iterator[Sink]:
        """Close the sink and note what it wrote: whole when the block ends well, partial when it does not."""
        complete = False
        try:
            yield sink
            complete = True
        finally:
            try:
                path = sink.close(complete=complete)
            except HumanDetectError as error:
                self.tally.failures.append(error)
            else:
                self.tally.outputs += [path] if path is not None else []
            self.tally.warnings += sink.warnings
