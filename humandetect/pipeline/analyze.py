"""The run behind `analyze`: saved results instead of sources and finder, the same stages and outputs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.analytics.saved import MADE_ANEW, SavedResults
from humandetect.analytics.saved_archive import SavedArchive, is_archive
from humandetect.config import RunConfig
from humandetect.config.commands import command_line
from humandetect.detection.preprocess import read_picture
from humandetect.errors import UsageError
from humandetect.media.sources import SourceRef
from humandetect.pipeline.failure_policy import costs_its_source, costs_the_rest
from humandetect.pipeline.outputs import Outputs
from humandetect.pipeline.run import NoProgress
from humandetect.pipeline.stages import SourceStages, scene_of
from humandetect.pipeline.summary import RunRecord, RunSummary

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.analytics.saved import SavedSource
    from humandetect.analytics.scene import Scene
    from humandetect.config import AnalyzeConfig
    from humandetect.media.frames import Provenance
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
        scene = scene_of(config.counting)
        background = None if config.background is None else read_picture(config.background, otherwise=ONE_PICTURE)
        files = [SavedArchive(path) if is_archive(path) else SavedResults(path) for path in config.files]
        refs = [SourceRef("video", source, files=(str(file.path),)) for file in files for source in file.sources()]
        with Outputs(run, refs, record, draw=lambda _: None, results_score=None).open() as outputs:
            loop = _Analysis(config, outputs, record, progress or NoProgress(), stop, scene, background)
            for file in files:
                with costs_its_source(record, stop):
                    loop.read(file)
    return record.summary()


@dataclass(frozen=True, slots=True)
class _Analysis:
    """Takes saved results, source by source, through their stages to the outputs."""

    config: AnalyzeConfig
    outputs: Outputs
    record: RunRecord
    progress: Progress
    stop: threading.Event
    scene: Scene | None
    background: NDArray[np.uint8] | None

    def read(self, file: SavedResults | SavedArchive) -> None:
        try:
            for source in file:
                if source.provenance.kind == "image":
                    self.record.warnings.append(f"{source.provenance.source!r}: pictures have no tracks: left out")
                else:
                    self._read(source, file.path)
        finally:
            self.record.warnings += file.warnings

    def _read(self, source: SavedSource, path: Path) -> None:
        made = source.provenance
        if made.kind != "live" and (started := self.config.counting.started_at):
            made = replace(made, started=started.isoformat(timespec="milliseconds"))
        if made.results_score is None or made.results_score > WEAKEST_SCORE:
            self.record.warnings.append(
                f"{path}: {made.source!r} was saved without the weak boxes that continue tracks: counts are a little "
                f"worse than those of detect; {MADE_ANEW}"
            )
        if self.background is not None:
            _check_shape(self.background, made)
        with self.outputs.of_source(made) as outputs:
            self.progress.start(made.source, None)
            stages = SourceStages(
                made, tracks=True, scene=self.scene,
                per_seconds=self.config.counting.per_seconds,
                add_counts=self.outputs.add_counts,
                reported_command=command_line(self.config, str(path)) if outputs.want_report else None,
                background=self.background,
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
                self.record.end_source(made.source, warnings=[f"{made.source!r}: {warning}" for warning in warnings])
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
