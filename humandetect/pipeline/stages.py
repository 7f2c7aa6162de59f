"""What looks at the results of one source in order, between finder and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from humandetect.analytics.base import Chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.detection.finders import Finder
    from humandetect.media.frames import DetectedFrame
    from humandetect.media.sources import Source

WEAKEST_SCORE = 0.1
"""Boxes from here on may continue a track."""


def weakest_score(*, track: bool, results_score: float | None = None) -> float | None:
    """Return from which score on boxes are wanted; None: only people."""
    wanted = [score for score in (WEAKEST_SCORE if track else None, results_score) if score is not None]
    return min(wanted, default=None)


class SourceStages:
    """The stages of one source. Pictures are no moments of one scene: nobody is followed from one to the next."""

    def __init__(self, source: Source, finder: Finder[Any], *, track: bool) -> None:
        self._warnings: list[str] = []
        if not track or source.info.kind == "image":
            self._chain = Chain([])
            return
        from humandetect.analytics.tracking import Tracker  # its library is slow to import

        start_score, high_score = finder.track_scores
        tracker = Tracker(start_score=start_score, high_score=high_score)
        self._chain, self._warnings = Chain([tracker]), tracker.warnings

    def update(self, result: DetectedFrame) -> DetectedFrame:
        return self._chain.update(result)

    def finish(self) -> Sequence[str]:
        """Take the end of the source and return what people should know of it."""
        self._chain.finish()
        return self._warnings
