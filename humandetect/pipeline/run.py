"""The one run behind `detect` and `feed`: sources -> finder -> sinks, complete files or partial ones, no lost error."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from humandetect.config import DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.detection.finders import EngineFinder, found_in, open_batcher
from humandetect.engines import load_engine
from humandetect.errors import HumanDetectError, SourceError, UsageError
from humandetect.media.reader import FrameReader
from humandetect.media.sinks.crops import CropsSink
from humandetect.media.sinks.names import Destinations, refuse_input
from humandetect.media.sinks.pictures import ImageSink
from humandetect.media.sinks.text import open_results
from humandetect.media.sinks.video import VideoSink
from humandetect.media.sources import expand, open_source
from humandetect.pipeline.summary import RunInterrupted, RunSummary, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from humandetect.config import RunConfig
    from humandetect.detection.finders import Finder
    from humandetect.media.frames import DetectedFrame
    from humandetect.media.reader import BufferPolicy
    from humandetect.media.sinks.base import Sink
    from humandetect.media.sinks.window import WindowSink
    from humandetect.media.sources import Source

logger = logging.getLogger(__name__)

READ_AHEAD_FRAMES = 2
"""Twice as many made nothing faster and cost 6 MB at 720p."""


class _Enough(Exception):
    """Whoever watches the results has gone: the window was closed, or the reader of stdout."""


class _Nothing(Exception):
    """No source gave a frame: older results are worth more than new empty ones."""


class Progress(Protocol):
    """Whoever wants to be told how far a run is."""

    def start(self, name: str, total: int | None, /) -> None: ...
    def advance(self, result: DetectedFrame, /) -> None: ...
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
    return run_with(lambda: _engine_finder(config, detector), config, progress=progress, stop=stop)


def run_with(
    open_finder: Callable[[], AbstractContextManager[Finder[Any]]],
    config: RunConfig,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> RunSummary:
    """Do what `run` does with another finder, opened once there is a source to read."""
    return _Run(open_finder, config, progress, stop or threading.Event()).run()


def detect_video(source: str | Path, *, output: str | Path | None = None, **options: Any) -> RunSummary:
    """Find people in one source; `options` are the fields of DetectConfig. Raises the first failure."""
    config = DetectConfig(sources=(str(source),), output=Path(output) if output else None, **options)
    summary = run(config)
    if summary.failures:
        raise summary.failures[0]
    return summary


def detect_frames(
    source: str | Path, detector: Detector, *, every: int = 1, part: SourceConfig | None = None
) -> Generator[DetectedFrame]:
    """Yield the frames of one source, or of a `part` of it, in order, with the people in them."""
    for ref in expand([str(source)]):
        with (
            open_source(ref, part) as opened,
            open_batcher(detector) as batcher,
            FrameReader(opened, buffer=READ_AHEAD_FRAMES, policy=_policy(opened)) as frames,
        ):
            yield from found_in(frames, EngineFinder(detector, batcher), every=every)


def _policy(source: Source) -> BufferPolicy:
    return "drop-oldest" if source.info.kind == "live" else "wait"


@contextmanager
def _engine_finder(config: DetectConfig, detector: Detector | None) -> Iterator[EngineFinder]:
    with ExitStack() as stack:
        own = detector is None
        detector = detector or stack.enter_context(Detector(load_engine(config.engine), score=config.score))
        batcher = stack.enter_context(open_batcher(detector, batch=config.batch))
        if own:  # before the batcher, which would wait for an engine that waits for its server
            stack.callback(detector.close)
        logger.info("model %s version %s runs on %s", detector.info.name, detector.info.version, detector.info.engine)
        yield EngineFinder(detector, batcher)


class _Run:
    """One run: what it was asked for, what it has counted, how its parts are opened and closed."""

    def __init__(
        self,
        open_finder: Callable[[], AbstractContextManager[Finder[Any]]],
        config: RunConfig,
        progress: Progress | None,
        stop: threading.Event,
    ) -> None:
        self.open_finder = open_finder
        self.config = config
        self.progress = progress
        self.stop = stop
        self.refs = expand(config.sources)
        self.inputs = [path for ref in self.refs for path in ref.paths]
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
        except _Nothing:
            return self.tally.summary()
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
            raise _Nothing
        stack.enter_context(first)
        finder = stack.enter_context(self.open_finder())
        self.tally.engine = finder.name
        self.tally.began = time.perf_counter()
        for source in chain([first], sources):
            try:
                with source, ExitStack() as own:
                    pictures = [
                        own.enter_context(self._closing(sink)) for sink in self._picture_sinks(source, destinations)
                    ]
                    self._read(source, finder, [*for_all, *pictures])
            except SourceError as error:
                self.tally.failures.append(error)
        if not self.tally.frames:
            raise _Nothing

    def _read(self, source: Source, finder: Finder[Any], sinks: Sequence[Sink]) -> None:
        info = source.info
        logger.info(
            "reading %r: %s of %d x %d, %s frames", source.name, info.kind, info.width, info.height, info.frame_count
        )
        if self.progress is not None:
            self.progress.start(source.name, info.frame_count)
        before = self.tally.frames
        keep_pixels = any(sink.picture != "none" for sink in sinks)
        with FrameReader(source, buffer=READ_AHEAD_FRAMES, policy=_policy(source)) as frames:
            try:
                for result in found_in(frames, finder, every=self.config.every, keep_pixels=keep_pixels):
                    self._check_stop()
                    self._write(result, sinks, draw=finder.draw)
            except SourceError as error:
                if info.kind != "live":
                    raise
                self.tally.failures.append(error)  # the end of every live source; what it gave is complete
            finally:
                self.tally.end_source(source, dropped=frames.dropped)
                if self.progress is not None:
                    self.progress.stop()
        if self.tally.frames == before and not source.failures:
            raise SourceError(f"{source.name!r} has no frames in the part that was asked for")

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt
        if self.window is not None and self.window.stopped:
            raise _Enough

    def _write(self, result: DetectedFrame, sinks: Sequence[Sink], *, draw: Callable[[DetectedFrame], None]) -> None:
        """Hand a result to every sink: first those that want clean pictures, then, drawn once, the others."""
        drawn = result.failure is not None
        for sink in sorted(sinks, key=lambda sink: sink.picture == "drawn"):
            if sink.picture == "drawn" and not drawn:
                draw(result)
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
                self._check_stop()  # libraries turn a Ctrl-C in their callbacks into errors of their own
                self.tally.failures.append(error)

    @property
    def _wants_pictures(self) -> bool:
        """Annotated pictures are written when asked for, or when nothing else would come out of the run."""
        config = self.config
        return config.output is not None or not (config.results or config.crops or config.show)

    def _destinations(self) -> Destinations:
        config = self.config
        several = len(self.inputs) > 1 or len(self.refs) > 1 or any(Path(ref).is_dir() for ref in config.sources)
        files = [Path(path) for path in (*config.results, config.output) if path not in (None, "-")]
        for path in files:
            refuse_input(path, self.inputs)
        if len({path.absolute() for path in files}) < len(files):
            raise UsageError("two outputs have the same name: choose different ones")
        return Destinations(config.output, several=several, inputs=self.inputs)

    def _sinks_for_all(self) -> Iterator[Sink]:
        """Sinks that serve every source of the run."""
        for name in self.config.results:
            yield open_results(name)
        if self.config.crops is not None:
            yield CropsSink(self.config.crops)
        if self.config.show:
            from humandetect.media.sinks.window import WindowSink

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
                self._note_output(sink.close(complete=complete))
            except HumanDetectError as error:
                self.tally.failures.append(error)
            except KeyboardInterrupt:
                self._note_output(sink.close(complete=False))
                raise
            self.tally.warnings += sink.warnings

    def _note_output(self, path: Path | None) -> None:
        if path is not None and path not in self.tally.outputs:
            self.tally.outputs.append(path)
