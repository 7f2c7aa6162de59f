"""What a run writes: which sinks there are, in which order they get a result, and whether what they wrote is whole."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.analytics.counts import CountRow
from humandetect.errors import HumanDetectError, UsageError
from humandetect.media.sinks.crops import CropsSink, EventCropsSink
from humandetect.media.sinks.event_sinks import open_counts, open_events
from humandetect.media.sinks.names import Destinations, refuse_input
from humandetect.media.sinks.pictures import ImageSink
from humandetect.media.sinks.text import open_results
from humandetect.media.sinks.video import VideoSink
from humandetect.media.sources import tree_roots
from humandetect.plural import counted
from humandetect.reporting.sinks import HeatmapSink, ReportSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.analytics.report import SourceReport
    from humandetect.config import RunConfig
    from humandetect.media.frames import DetectedFrame, Event, Provenance
    from humandetect.media.sinks.base import Sink
    from humandetect.media.sinks.event_sinks import CountsSink
    from humandetect.media.sinks.parquet import ParquetCounts
    from humandetect.media.sinks.text import RunSink
    from humandetect.media.sinks.window import WindowSink
    from humandetect.media.sources import Source, SourceRef
    from humandetect.pipeline.summary import RunRecord

    Draw = Callable[[DetectedFrame], None]
    """Draws what was found on the frame's own image."""


class Outputs:
    """What a config asks for: sinks for all sources of a run, and sinks for each of them alone.

    They are closed with their block and noted in the record: whole, or as NAME.partial.EXT after an error and once
    `partial` is set.
    """

    def __init__(
        self,
        config: RunConfig,
        refs: Sequence[SourceRef],
        record: RunRecord,
        *,
        draw: Draw,
        results_score: float | None,
    ) -> None:
        self.partial = False
        self._config = config
        self._record = record
        self._draw = draw
        self.results_score = results_score
        self._destinations, self._heatmaps = _destinations(config, refs)
        self._shared: list[Sink] = []
        self._window: WindowSink | None = None
        self._events: Sink | None = None
        self._counts: CountsSink | ParquetCounts | None = None
        self.save_event_crop: Callable[[str, NDArray[np.uint8]], str | None] | None = None
        """Writes a picture of whom an event is about, where those are wanted."""
        self._results: list[RunSink] = []

    @property
    def window_closed(self) -> bool:
        """Whether whoever watched has seen enough."""
        return self._window is not None and self._window.stopped

    def add_counts(self, row: CountRow) -> None:
        """Write a row of counts, where they are wanted."""
        if self._counts is not None:
            self._counts.add(row)

    @contextmanager
    def open(self) -> Iterator[Outputs]:
        """Open the sinks that serve every source."""
        with self._opened(self._shared_sinks()) as self._shared:
            yield self
        if renamed := [*self._destinations.renamed, *self._heatmaps.renamed]:
            self._record.warnings.append(
                f"{counted(len(renamed), 'result')} renamed, as several sources have one name: {renamed[0]}"
                f"{' and so on' if len(renamed) > 1 else ''}"
            )

    @contextmanager
    def of_source(self, provenance: Provenance, source: Source | None = None) -> Iterator[SourceOutputs]:
        """Open the sinks of one source beside those that serve all; without the source there are no pictures of it."""
        for results in self._results:
            results.begin(provenance)
        with self._opened(self._own_sinks(provenance, source)) as own:
            yield SourceOutputs([*self._shared, *own], draw=self._draw, events=self._events)

    @contextmanager
    def _opened(self, sinks: Iterable[Sink]) -> Iterator[list[Sink]]:
        with ExitStack() as stack:
            yield [stack.enter_context(self._closing(sink)) for sink in sinks]

    def _shared_sinks(self) -> Iterator[Sink]:
        for name in self._config.results:
            self._results.append(
                open_results(name, empty_rows=self._config.empty_rows, weakest_score=self.results_score)
            )
            yield self._results[-1]
        counting = self._config.counting
        if counting.events is not None:
            self._events = open_events(counting.events)
            yield self._events
        if counting.counts is not None:
            self._counts = open_counts(counting.counts, CountRow.__annotations__)
            yield self._counts
        if counting.event_crops is not None:
            crops = EventCropsSink(counting.event_crops)
            self.save_event_crop = crops.save
            yield crops
        if counting.report is not None:
            yield ReportSink(counting.report)
        if self._config.crops is not None:
            yield CropsSink(self._config.crops)
        if self._config.show:
            from humandetect.media.sinks.window import WindowSink

            self._window = WindowSink("humandetect")
            yield self._window

    def _own_sinks(self, provenance: Provenance, source: Source | None) -> Iterator[Sink]:
        if self._config.counting.heatmap is not None and provenance.kind != "image":
            yield HeatmapSink(self._heatmaps.heatmap(provenance.source))
        if source is None or not self._config.writes_pictures:
            return
        if source.info.kind == "image":
            yield ImageSink(lambda frame: self._destinations.image(frame.source), metadata=not self._config.no_metadata)
            return
        yield VideoSink(
            self._destinations.video(source.name),
            source.info,
            audio=source.audio,
            preset=self._config.preset,
            origin_seconds=self._config.source.start_seconds + source.unseen_seconds,
            tags=None if self._config.no_metadata else source.tags,
        )

    @contextmanager
    def _closing(self, sink: Sink) -> Iterator[Sink]:
        ended_well = False
        try:
            yield sink
            ended_well = True
        finally:
            try:
                where = sink.close(complete=ended_well and not self.partial)
                self._record.add_output(where, pictures=sink.pictures)
            except HumanDetectError as error:
                self._record.failures.append(error)
            except KeyboardInterrupt:
                self._record.add_output(sink.close(complete=False), pictures=sink.pictures)
                raise
            self._record.warnings += sink.warnings


class SourceOutputs:
    """The sinks that the results of one source go to."""

    def __init__(self, sinks: Sequence[Sink], *, draw: Draw, events: Sink | None = None) -> None:
        self.want_pixels = any(sink.picture != "none" for sink in sinks)
        self._undrawn = [sink for sink in sinks if sink.picture != "drawn"]
        self._drawn = [sink for sink in sinks if sink.picture == "drawn"]
        self._reports = [sink for sink in sinks if isinstance(sink, ReportSink | HeatmapSink)]
        self._draw = draw
        self._events = events
        self._last: DetectedFrame | None = None

    @property
    def want_report(self) -> bool:
        return bool(self._reports)

    def write(self, result: DetectedFrame) -> None:
        """Hand a result to every sink: first to those that want clean pictures, then, drawn once, to the others."""
        self._last = result
        for sink in self._undrawn:
            sink.write(result)
        if self._drawn and result.failure is None:
            self._draw(result)
        for sink in self._drawn:
            sink.write(result)

    def finish(self, events: Sequence[Event], report: SourceReport | None = None) -> None:
        """Write what became certain only with the end of the source, and what is reported of it."""
        if events and self._events is not None and self._last is not None:
            self._events.write(replace(self._last, events=tuple(events)))
        if report is not None and report.frames:
            for sink in self._reports:
                sink.add(report)


def _destinations(config: RunConfig, refs: Sequence[SourceRef]) -> tuple[Destinations, Destinations]:
    """Decide where pictures and heatmaps go. Raises UsageError for outputs that overwrite an input or each other."""
    inputs = [path for ref in refs for path in ref.paths]
    several = len(inputs) > 1 or len(refs) > 1 or any(Path(ref).is_dir() for ref in config.sources)
    counting = config.counting
    outputs = (
        *config.results, config.output, counting.events, counting.counts, counting.heatmap, counting.report,
    )  # fmt: skip
    files = [Path(path) for path in outputs if path not in (None, "-")]
    for path in files:
        refuse_input(path, inputs)
    if len({path.absolute() for path in files}) < len(files):
        raise UsageError("two outputs have the same name: choose different ones")
    roots = tree_roots(config.sources, recursive=config.source.recursive)
    pictures, heatmaps = (
        Destinations(output, several=several, inputs=inputs, roots=roots)
        for output in (config.output, counting.heatmap)
    )
    return pictures, heatmaps
