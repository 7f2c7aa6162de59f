"""The one run behind `detect` and `feed`: source -> reader -> finder -> outputs, one source after the other.

Between finder and outputs are the stages: what looks at the results of one source in order and adds to them.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from humandetect import __version__
from humandetect.config.commands import command_line
from humandetect.detection.detector import Detector
from humandetect.detection.finders import EngineFinder, detect_in_order, open_batcher
from humandetect.engines import load_engine
from humandetect.errors import SourceError, UsageError
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.delay import DelayMeter
from humandetect.media.frames import Provenance
from humandetect.media.reader import FrameReader
from humandetect.media.sources import expand, open_source
from humandetect.pipeline.failure_policy import costs_its_source, costs_the_rest
from humandetect.pipeline.outputs import Outputs
from humandetect.pipeline.stages import SourceStages, scene_of, weakest_score
from humandetect.pipeline.summary import RunRecord, RunSummary
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from humandetect.analytics.scene import Scene
    from humandetect.config import DetectConfig, RunConfig
    from humandetect.detection.finders import Finder
    from humandetect.media.frames import DetectedFrame
    from humandetect.media.sources import Source, SourceRef
    from humandetect.pipeline.outputs import Draw, SourceOutputs

    OpenFinder = Callable[[], AbstractContextManager[Finder[Any]]]

logger = logging.getLogger(__name__)

READ_AHEAD_FRAMES = 2
"""Twice as many made nothing faster and cost 6 MB at 720p."""


class Progress(Protocol):
    """Whoever wants to be told how far a run is."""

    def start(self, name: str, total: int | None, /) -> None: ...
    def advance(self, result: DetectedFrame, /) -> None: ...

    def behind(self, seconds: float, /) -> None:
        """Take how late the frames of a live source come."""
        ...

    def frames(self, number: int, /) -> None: ...
    def stop(self) -> None: ...


class NoProgress:
    """Tells nobody."""

    def start(self, name: str, total: int | None, /) -> None: ...
    def advance(self, result: DetectedFrame, /) -> None: ...
    def behind(self, seconds: float, /) -> None: ...
    def frames(self, number: int, /) -> None: ...
    def stop(self) -> None: ...


def run(
    config: DetectConfig,
    *,
    detector: Detector | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> RunSummary:
    """Detect people in every source and write what `config` asks for; a given `detector` is used and left open.

    Inputs that fail, and an engine or output that fails on the way, are `failures` of the summary; what was finished
    until then is kept. Raises UsageError, SinkError or EngineError when the run cannot start, RunInterrupted on Ctrl-C
    and when `stop` is set.
    """
    annotator = Annotator(labels=not config.no_labels, count=not config.no_count, line_width=config.line_width)
    return run_with(
        lambda: _engine_finder(config, detector),
        config,
        draw=annotator.draw,
        results_score=config.results_score,
        progress=progress,
        stop=stop,
    )


def run_with(
    open_finder: OpenFinder,
    config: RunConfig,
    *,
    draw: Draw,
    results_score: float | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> RunSummary:
    """Do what `run` does with another finder, opened once there is a source to read."""
    record = RunRecord()
    with costs_the_rest(record):
        refs = expand(config.sources, recursive=config.source.recursive, warnings=record.warnings)
        _check_live(refs, config)
        scene = scene_of(config.counting)
        with Outputs(config, refs, record, draw=draw, results_score=results_score).open() as outputs:
            loop = _FrameLoop(config, outputs, record, progress or NoProgress(), stop or threading.Event(), scene)
            loop.read_all(refs, open_finder)
    return record.summary()


def _check_live(refs: Sequence[SourceRef], config: RunConfig) -> None:
    """Raise UsageError where a second live source would never be read."""
    live = [ref for ref in refs if ref.is_live]
    if len(live) > 1 and config.source.limit is None and config.source.duration_seconds is None:
        raise UsageError(
            f"{len(live)} live sources, and {live[0].name!r} has no end: watch cameras side by side with "
            "`humandetect watch`, or give each its --duration or --limit"
        )


def read_ahead(source: Source) -> FrameReader:
    """Read a source on its own thread; a live one does not wait for us."""
    if source.info.kind != "live":
        return FrameReader(source, buffer=READ_AHEAD_FRAMES)
    limit, source.limit = source.limit, None  # of results, not of pictures that are dropped
    return FrameReader(source, buffer=READ_AHEAD_FRAMES, policy="drop-oldest", limit=limit)


@contextmanager
def _engine_finder(config: DetectConfig, detector: Detector | None) -> Iterator[EngineFinder]:
    with ExitStack() as stack:
        own = detector is None
        detector = detector or stack.enter_context(Detector(load_engine(config.engine), score=config.score))
        batcher = stack.enter_context(open_batcher(detector.info, detector.infer, batch=config.batch))
        if own:  # before the batcher, which would wait for an engine that waits for its server
            stack.callback(detector.close)
        logger.info("model %s version %s runs on %s", detector.info.name, detector.info.version, detector.info.engine)
        weakest = weakest_score(config, results_score=config.results_score)
        yield EngineFinder(detector, batcher, weakest_score=weakest)


@dataclass(frozen=True, slots=True)
class _FrameLoop:
    """Takes the frames of one source after the other through a finder to the outputs."""

    config: RunConfig
    outputs: Outputs
    record: RunRecord
    progress: Progress
    stop: threading.Event
    scene: Scene | None

    def read_all(self, refs: Sequence[SourceRef], open_finder: OpenFinder) -> None:
        with ExitStack() as stack:
            finder: Finder[Any] | None = None
            for source in self._open_sources(refs):
                with costs_its_source(self.record, self.stop), source, read_ahead(source) as frames:
                    if finder is None:  # a source that cannot be opened must not cost the start of an engine
                        with self._unseen(source, frames):
                            finder = stack.enter_context(open_finder())
                            import supervision  # noqa: F401  slow: it would keep a camera waiting at the first result
                        self.record.begin(engine=finder.name)
                    self._read(source, frames, finder)
                if self.record.interrupted or self.record.stopped:
                    break
        if not self.record.frames:  # older results are worth more than new empty ones
            self.outputs.partial = True

    @contextmanager
    def _unseen(self, source: Source, frames: FrameReader) -> Iterator[None]:
        """Have a live source read until frames can be taken: pictures of a camera have the time at which they are read.

        The duration that was asked for, and the video that is written, begin with the first frame that is taken.
        """
        if source.info.kind != "live":
            yield
            return
        source.unseen_seconds = math.inf
        with frames.until_taken():
            yield
        unseen_seconds = max(0.0, (frames.oldest_seconds or 0.0) - self.config.source.start_seconds)
        source.unseen_seconds = unseen_seconds
        for track in source.audio:
            track.begin_later(unseen_seconds)

    def _open_sources(self, refs: Sequence[SourceRef]) -> Iterator[Source]:
        """Open one source after the other; those that cannot be opened are noted and left out."""
        for ref in refs:
            source: Source | None = None
            with costs_its_source(self.record, self.stop):
                source = open_source(ref, self.config.source, audio=self.config.writes_pictures)
            if source is not None:
                yield source

    def _read(self, source: Source, frames: FrameReader, finder: Finder[Any]) -> None:
        info = source.info
        logger.info(
            "reading %r: %s of %d x %d, %s frames", source.name, info.kind, info.width, info.height, info.frame_count
        )
        frames_before = self.record.frames
        provenance = provenance_of(source, finder, self.config, results_score=self.outputs.results_score)
        with self.outputs.of_source(provenance, source) as outputs:
            self.progress.start(source.name, info.frame_count)
            stages = SourceStages(
                provenance, tracks=self.config.tracks, scene=self.scene,
                per_seconds=self.config.counting.per_seconds,
                add_counts=self.outputs.add_counts,
                save_event_crop=self.outputs.save_event_crop,
                anonymize=self.config.anonymize,
                reported_command=command_line(self.config, source.name) if outputs.want_report else None,
            )  # fmt: skip
            results = detect_in_order(frames, finder, every=self.config.every, keep_pixels=outputs.want_pixels)
            try:
                # A failure is the end of every live source; what it gave is complete.
                with costs_its_source(self.record, self.stop) if info.kind == "live" else nullcontext():
                    delay = DelayMeter() if info.kind == "live" else None
                    self._write_all(results, stages, outputs, delay=delay, waited=frames.waited)
            except KeyboardInterrupt:
                if info.kind != "live" or self.record.frames == frames_before:
                    raise
                self.record.stopped = True  # how live sources end
            finally:
                frames.close()  # what the source says at its end is complete only then
                events, warnings = stages.finish()
                self.record.warnings += [f"{source.name!r}: {warning}" for warning in warnings]
                self.record.end_source(
                    source.name, lines=stages.crossings, dropped=frames.dropped, warnings=source.warnings,
                    failures=source.failures,
                )  # fmt: skip
                if frames.outdated:
                    logger.info("%s from before the start left out", counted(frames.outdated, "frame"))
                self.progress.stop()
                outputs.finish(events, stages.report)
            if self.record.frames == frames_before and not (source.failures or self.record.interrupted):
                raise SourceError(f"{source.name!r} has no frames in the part that was asked for")

    def _write_all(
        self, found: Iterator[DetectedFrame], stages: SourceStages, outputs: SourceOutputs, *,
        delay: DelayMeter | None, waited: int,
    ) -> None:  # fmt: skip
        for number, frame in enumerate(found):
            if self.stop.is_set():
                raise KeyboardInterrupt
            if self.outputs.window_closed:
                self.record.interrupted = self.outputs.partial = True
                return
            result = stages.update(frame)  # only now: counts must not know of a frame that nobody writes
            outputs.write(result)
            self.record.add(result)
            if delay is not None and number >= waited:
                delay.add(result.frame.time_seconds, time.monotonic())
                self.record.behind(delay.p95_seconds or 0.0)
                self.progress.behind(delay.p95_seconds or 0.0)
            self.progress.advance(result)


def provenance_of(
    source: Source, finder: Finder[Any], config: RunConfig, *, results_score: float | None = None
) -> Provenance:
    """Return how the results of a source are made."""
    started = source.opened_at if source.info.kind == "live" else config.counting.started_at
    return Provenance(
        source=source.name,
        kind=source.info.kind,
        size=(source.info.width, source.info.height),
        every=config.every,
        score=finder.score,
        results_score=results_score,
        track_scores=finder.track_scores,
        settings=finder.settings,
        started=started.isoformat(timespec="milliseconds") if started else None,
        humandetect=__version__,
    )
