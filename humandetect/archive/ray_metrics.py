"""What an archive says to Prometheus: Ray's agents publish it, with their own figures of each machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray.util.metrics import Counter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.archive.attempts import Attempt
    from humandetect.archive.jobs import Job


class RayMetrics:
    """Counts by the machine that works. Once Ray runs here."""

    def __init__(self) -> None:
        self._frames = Counter("humandetect_archive_frames", "Frames detected, lost tries too.", ("node",))
        self._segments = Counter(
            "humandetect_archive_segments", "Tries of segments: made, begun_again or given_up.", ("node", "outcome")
        )

    def begin(self, jobs: Sequence[Job]) -> None:
        """Nothing is counted yet."""

    def frames(self, number: int, attempt: Attempt) -> None:
        if number:
            self._frames.inc(number, {"node": attempt.node})

    def part(self, attempt: Attempt) -> None:
        self._count("made", attempt)

    def again(self, attempt: Attempt, reason: str) -> None:  # noqa: ARG002
        self._count("begun_again", attempt)

    def given_up(self, attempt: Attempt, reason: str) -> None:  # noqa: ARG002
        self._count("given_up", attempt)

    def _count(self, outcome: str, attempt: Attempt) -> None:
        self._segments.inc(1, {"node": attempt.node, "outcome": outcome})
