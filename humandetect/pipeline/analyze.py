"""The run behind `analyze`: saved results instead of sources and finder, the same stages and outputs."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from humandetect.addresses import is_in_memory
from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.analytics.saved import MADE_ANEW, SavedResults
from humandetect.analytics.saved_archive import SavedArchive
from humandetect.config import RunConfig
from humandetect.config.commands import command_line
from humandetect.cpus import usable_cpus
from humandetect.detection.preprocess import read_picture
from humandetect.errors import HumanDetectError, UsageError
from humandetect.media.frames import DetectedFrame, Provenance
from humandetect.media.sources import SourceRef
from humandetect.pipeline.analyze_workers import AnalyzeWorkers, Ending
from humandetect.pipeline.failure_policy import costs_its_source, costs_the_rest
from humandetect.pipeline.outputs import Outputs
from humandetect.pipeline.run import NoProgress
from humandetect.pipeline.stages import SourceStages, scene_of
from humandetect.pipeline.summary import RunRecord, RunSummary
from humandetect.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.analytics.counts import CountRow
    from humandetect.analytics.report import SourceReport
    from humandetect.analytics.saved import SavedSource
    from humandetect.analytics.scene import Scene
    from humandetect.config import AnalyzeConfig
    from humandetect.media.frames import Event
    from humandetect.pipeline.run import Progress

ASPECT_TOLERANCE = 0.01
"""As of scenes."""
ONE_PICTURE = "--background takes one picture, as a frame of the video is"


def analyze(
    config: AnalyzeConfig, *, progress: Progress | None = None, stop: threading.Event | None = None
) -> RunSummary:
    """Track and count what saved results have, and write what `config` asks for; it fails as `run` does."""
    record = RunRecord()
    record.begin(engine="")
    run = RunConfig(tuple(map(str, config.files)), results=config.results, counting=config.counting)
    stop = stop or threading.Event()
    with costs_the_rest(record):
        asked = Asked.of(config)
        files = [_saved(path) for path in config.files]
        refs = [SourceRef("video", source, files=(str(file.path),)) for file in files for source in file.sources()]
        with Outputs(run, refs, record, draw=lambda _: None, results_score=None).open() as outputs:
            analysis = Analysis(asked, outputs, record, progress or NoProgress(), stop)
            for file in files:
                jobs = _jobs_at(file, config)
                with costs_its_source(record, stop):
                    if isinstance(file, SavedArchive) and jobs > 1:
                        analysis.read_side_by_side(file, jobs=jobs)
                    else:
                        analysis.read(file)
    return record.summary()


def _jobs_at(file: SavedResults | SavedArchive, config: AnalyzeConfig) -> int:
    """Return how many processes read the videos of an archive side by side."""
    if isinstance(file, SavedResults) or is_in_memory(file.address):
        return 1
    return min(config.jobs or usable_cpus(), len(file))


def _saved(place: Path | str) -> SavedResults | SavedArchive:
    """Open a file of results, or an archive: a folder, or an address."""
    if isinstance(place, Path) and not place.is_dir():
        return SavedResults(place)
    return SavedArchive(open_storage(place))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every source."""

    config: AnalyzeConfig
    scene: Scene | None
    background: NDArray[np.uint8] | None

    @classmethod
    def of(cls, config: AnalyzeConfig) -> Asked:
        """Read what the config names. Raises UsageError and SourceError."""
        background = None if config.background is None else read_picture(config.background, otherwise=ONE_PICTURE)
        return cls(config, scene_of(config.counting), background)


class Written(Protocol):
    """Where the results of one source go; as SourceOutputs."""

    @property
    def want_report(self) -> bool: ...
    def write(self, result: DetectedFrame, /) -> None: ...
    def finish(self, events: Sequence[Event], report: SourceReport | None = None, /) -> None: ...


class Destination(Protocol):
    """Where results go; as Outputs."""

    def of_source(self, provenance: Provenance, /) -> AbstractContextManager[Written]: ...
    def add_counts(self, row: CountRow, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Analysis:
    """Takes saved results, source by source, through their stages to the outputs."""

    asked: Asked
    outputs: Destination
    record: RunRecord
    progress: Progress
    stop: threading.Event

    def read(self, file: SavedResults | SavedArchive) -> None:
        try:
            for source in file:
                self._take(source, file.path)
        finally:
            self.record.warnings += file.warnings

    def read_one(self, archive: SavedArchive, number: int) -> None:
        """Read one video of an archive."""
        if (source := archive.source(number)) is not None:
            self._take(source, archive.path)
        self.record.warnings += archive.warnings
        archive.warnings.clear()

    def read_side_by_side(self, archive: SavedArchive, *, jobs: int) -> None:
        """Have the videos of an archive read by processes, and write what they say in the order of the videos."""
        workers = AnalyzeWorkers(
            self.asked.config, archive.address, videos=len(archive), jobs=jobs, progress=self.progress, stop=self.stop
        )
        self.progress.start(archive.path, archive.frames)
        try:
            with closing(iter(workers)) as videos:
                for items in videos:
                    self._write(items)
        finally:
            self.progress.stop()

    def _write(self, items: Iterable[object]) -> None:
        with ExitStack() as stack:
            for item in items:
                match item:
                    case Provenance():
                        source = stack.enter_context(self.outputs.of_source(item))
                    case DetectedFrame():
                        source.write(item)
                    case Ending(events, report):
                        source.finish(events, report)
                    case RunRecord():
                        self.record.join(item)
                    case HumanDetectError():
                        raise item
                    case _:
                        self.outputs.add_counts(cast("CountRow", item))

    def _take(self, source: SavedSource, path: Path | str) -> None:
        if source.provenance.kind == "image":
            self.record.warnings.append(f"{source.provenance.source!r}: pictures have no tracks: left out")
        else:
            self._look(source, path)

    def _look(self, source: SavedSource, path: Path | str) -> None:
        made, config = source.provenance, self.asked.config
        if made.kind != "live" and (started := config.counting.started_at):
            made = replace(made, started=started.isoformat(timespec="milliseconds"))
        if made.results_score is None or made.results_score > WEAKEST_SCORE:
            self.record.warnings.append(
                f"{path}: {made.source!r} was saved without the weak boxes that continue tracks: counts are a little "
                f"worse than those of detect; {MADE_ANEW}"
            )
        if self.asked.background is not None:
            _check_shape(self.asked.background, made)
        with self.outputs.of_source(made) as outputs:
            self.progress.start(made.source, None)
            stages = SourceStages(
                made, tracks=True, scene=self.asked.scene,
                per_seconds=config.counting.per_seconds,
                add_counts=self.outputs.add_counts,
                reported_command=command_line(config, str(path)) if outputs.want_report else None,
                background=self.asked.background,
            )  # fmt: skip
            try:
                for frame in source.frames:
                    if self.stop.is_set():
                        raise KeyboardInterrupt
                    result = stages.update(frame)
                    outputs.write(result)
                    self.record.add(result)
                    self.progress.advance(result)
            finally:
                events, warnings = stages.finish()
                told = [f"{made.source!r}: {warning}" for warning in warnings]
                self.record.end_source(made.source, lines=stages.crossings, warnings=told)
                self.progress.stop()
                outputs.finish(events, stages.report)


def _check_shape(background: NDArray[np.uint8], made: Provenance) -> None:
    """Raise UsageError unless a picture of the place has the shape of the source's pictures."""
    height, width = background.shape[:2]
    if abs(width * made.size[1] / (height * made.size[0]) - 1) > ASPECT_TOLERANCE:
        raise UsageError(
            f"--background is {width}x{height} and the pictures of {made.source!r} are {made.size[0]}x{made.size[1]}: "
            "give one of the same shape, as a frame of it"
        )
