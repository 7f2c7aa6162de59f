"""The run behind `analyze`: saved results instead of sources and finder, the same stages and outputs."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from humandetect.analytics.saved import MADE_ANEW, SavedResults
from humandetect.config import RunConfig
from humandetect.config.commands import command_line
from humandetect.media.sources import SourceRef
from humandetect.pipeline.failure_policy import costs_its_source, costs_the_rest
from humandetect.pipeline.outputs import Outputs
from humandetect.pipeline.run import NoProgress
from humandetect.pipeline.stages import WEAKEST_SCORE, SourceStages, scene_of
from humandetect.pipeline.summary import RunRecord, RunSummary

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.analytics.saved import SavedSource
    from humandetect.analytics.scene import Scene
    from humandetect.config import AnalyzeConfig
    from humandetect.pipeline.run import Progress


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
        files = [SavedResults(path) for path in config.files]
        refs = [SourceRef("video", source, files=(str(file.path),)) for file in files for source in file.sources()]
        with Outputs(run, refs, record, draw=lambda _: None, results_score=None).open() as outputs:
            loop = _Analysis(config, outputs, record, progress or NoProgress(), stop, scene)
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

    def read(self, file: SavedResults) -> None:
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
        if made.results_score is None or made.results_score > WEAKEST_SCORE:
            self.record.warnings.append(
                f"{path}: {made.source!r} was saved without the weak boxes that continue tracks: counts are a little "
                f"worse than those of detect; {MADE_ANEW}"
            )
        with self.outputs.of_source(made) as outputs:
            self.progress.start(made.source, None)
            stages = SourceStages(
                made, tracks=True, scene=self.scene,
                per_seconds=self.config.counting.per_seconds,
                add_counts=self.outputs.add_counts,
                reported_command=command_line(self.config, str(path)) if outputs.want_report else None,
            )  # fmt: skip
            try:
                for result in map(stages.update, source.frames):
                    if self.stop.is_set():
                        raise KeyboardInterrupt
                    outputs.write(result)
                    self.record.add(result)
                    self.progress.advance(result)
            finally:
                events, warnings = stages.finish()
                self.record.end_source(made.source, warnings=[f"{made.source!r}: {warning}" for warning in warnings])
                self.progress.stop()
                outputs.finish(events, stages.report)
