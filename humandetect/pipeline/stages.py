"""What looks at the results of one source in order, between finder and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from humandetect.analytics.base import Chain
from humandetect.analytics.counts import Counts
from humandetect.analytics.events import SceneEvents
from humandetect.analytics.report import SourceReport
from humandetect.analytics.scene import read_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from humandetect.analytics.base import Stage
    from humandetect.analytics.counts import CountRow
    from humandetect.analytics.scene import Scene
    from humandetect.config import CountingConfig
    from humandetect.detection.finders import Finder
    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.media.sources import Source

WEAKEST_SCORE = 0.1
"""Boxes from here on may continue a track."""


def weakest_score(*, track: bool, results_score: float | None = None) -> float | None:
    """Return from which score on boxes are wanted; None: only people."""
    wanted = [score for score in (WEAKEST_SCORE if track else None, results_score) if score is not None]
    return min(wanted, default=None)


def scene_of(config: CountingConfig) -> Scene | None:
    """Read the lines and zones of a run; None where there are none. Raises UsageError."""
    return read_scene(config.scene, lines=config.line, zones=config.zone) if config.wanted else None


class SourceStages:
    """The stages of one source. Pictures are no moments of one scene: nobody is followed from one to the next."""

    def __init__(
        self,
        source: Source,
        finder: Finder[Any],
        *,
        tracks: bool,
        scene: Scene | None = None,
        per_seconds: float = 60.0,
        add_counts: Callable[[CountRow], object] = lambda _: None,
        made: Mapping[str, str] | None = None,
    ) -> None:
        """Take what to do, and where a report is wanted, how it was made."""
        self._warnings: list[str] = []
        stages: list[Stage] = []
        self._chain = Chain(stages)
        self.report: SourceReport | None = None
        """Complete after `finish`."""
        if source.info.kind == "image":
            return
        if tracks:
            from humandetect.analytics.tracking import Tracker  # its library is slow to import

            start_score, high_score = finder.track_scores
            tracker = Tracker(start_score=start_score, high_score=high_score)
            self._warnings = tracker.warnings
            stages.append(tracker)
        lines, zones = scene.names(source.name) if scene else ([], [])
        if scene is not None:
            stages += [SceneEvents(scene), Counts(add_counts, per_seconds=per_seconds, lines=lines, zones=zones)]
        if made is not None:
            self.report = SourceReport(made, lines=lines, zones=zones, per_seconds=per_seconds)
            stages.append(self.report)

    def update(self, result: DetectedFrame) -> DetectedFrame:
        return self._chain.update(result)

    def finish(self) -> tuple[Sequence[Event], Sequence[str]]:
        """Take the end of the source; return what became certain with it, and what people should know."""
        return self._chain.finish(), self._warnings
