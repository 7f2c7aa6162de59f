"""What looks at the results of one source in order, between finder and outputs."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from humandetect.analytics.anonymize import Anonymizer
from humandetect.analytics.base import WEAKEST_SCORE, Chain
from humandetect.analytics.counts import Counts
from humandetect.analytics.event_crops import EventCrops
from humandetect.analytics.events import SceneEvents
from humandetect.analytics.report import SourceReport
from humandetect.analytics.scene import read_scene
from humandetect.media.annotate.hiding import hide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.analytics.base import Stage
    from humandetect.analytics.counts import CountRow
    from humandetect.analytics.scene import Scene
    from humandetect.analytics.tracking import Tracker
    from humandetect.config import Anonymize, CountingConfig, RunConfig
    from humandetect.media.frames import DetectedFrame, Event, Provenance


def weakest_score(config: RunConfig, *, results_score: float | None = None) -> float | None:
    """Return from which score on boxes are wanted; None: only people."""
    wants_weak = config.tracks or config.anonymize is not None
    wanted = [score for score in (WEAKEST_SCORE if wants_weak else None, results_score) if score is not None]
    return min(wanted, default=None)


def scene_of(config: CountingConfig) -> Scene | None:
    """Read the lines and zones of a run; None where there are none. Raises UsageError."""
    return read_scene(config.scene, lines=config.line, zones=config.zone) if config.wanted else None


class SourceStages:
    """The stages of one source. Pictures are no moments of one scene: nobody is followed from one to the next."""

    def __init__(
        self,
        provenance: Provenance,
        *,
        tracks: bool,
        scene: Scene | None = None,
        per_seconds: float = 60.0,
        add_counts: Callable[[CountRow], object] = lambda _: None,
        save_event_crop: Callable[[str, NDArray[np.uint8]], str | None] | None = None,
        anonymize: Anonymize | None = None,
        reported_command: str | None = None,
        background: NDArray[np.uint8] | None = None,
    ) -> None:
        """Take what to do; with the command that it tells of there will be a report, over a given background."""
        is_picture = provenance.kind == "image"
        tracker = _tracker(provenance) if (tracks or anonymize) and not is_picture else None
        self._warnings = tracker.warnings if tracker and tracks else []
        self._lines: Sequence[str] = ()
        self._happening: SceneEvents | None = None
        self.report: SourceReport | None = None
        """Complete after `finish`."""
        stages: list[Stage] = [tracker] if tracker else []
        if anonymize:
            stages = [Anonymizer(partial(hide, style=anonymize), tracker=tracker, gives_ids=tracks)]
        if scene is not None and not is_picture:
            started = _started(provenance)
            self._lines, zones = scene.names(provenance.source)
            self._happening = SceneEvents(scene, started=started)
            counts = Counts(add_counts, per_seconds=per_seconds, lines=self._lines, zones=zones, started=started)
            stages += [self._happening, *([EventCrops(save_event_crop)] if save_event_crop else []), counts]
        if reported_command is not None and not is_picture:
            self.report = _report(provenance, scene, per_seconds, reported_command, background)
            stages.append(self.report)
        self._chain = Chain(stages)

    def update(self, result: DetectedFrame) -> DetectedFrame:
        return self._chain.update(result)

    @property
    def crossings(self) -> dict[str, dict[str, int]]:
        """How many crossed each line so far, `in` and `out`."""
        totals = self._happening.totals if self._happening else {}
        return {line: {way: totals.get((line, way), 0) for way in ("in", "out")} for line in self._lines}

    def finish(self) -> tuple[Sequence[Event], Sequence[str]]:
        """Take the end of the source; return what became certain with it, and what people should know."""
        return self._chain.finish(), self._warnings


def _tracker(provenance: Provenance) -> Tracker:
    from humandetect.analytics.tracking import Tracker  # its library is slow to import

    start_score, high_score = provenance.track_scores
    return Tracker(start_score=start_score, high_score=high_score)


def _report(
    provenance: Provenance,
    scene: Scene | None,
    per_seconds: float,
    command: str,
    background: NDArray[np.uint8] | None,
) -> SourceReport:
    lines, zones = scene.names(provenance.source) if scene else ([], [])
    return SourceReport(
        _made(provenance, command), lines=lines, zones=zones,
        way_labels=scene.way_labels(provenance.source) if scene else None,
        per_seconds=per_seconds, started=_started(provenance), background=background,
    )  # fmt: skip


def _started(provenance: Provenance) -> datetime | None:
    return datetime.fromisoformat(provenance.started) if provenance.started else None


def _made(provenance: Provenance, command: str) -> Mapping[str, str]:
    """Return what a report says of how it was made."""
    score = {} if provenance.score is None else {"score": f"{provenance.score:g}"}
    words = {**provenance.settings, **score}
    return {
        **{name[:1].upper() + name[1:]: value for name, value in words.items()},
        "humandetect": provenance.humandetect,
        "Command": command,
    }
