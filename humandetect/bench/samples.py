"""What a worker brings home from a window: one sample a request, and the people it was told of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from humandetect.bench.schedule import Schedule


class Sample(NamedTuple):
    """What came of one request. Times are those of the worker's clock."""

    due: float
    ended: float
    images: int
    """How many it held."""
    error: str = ""
    """What kind of error came instead of an answer."""
    reported: tuple[int, ...] = ()
    """For each image the number, in `ReportedPeople`, of what the answer says of it."""


@dataclass
class ReportedPeople:
    """Who is in which image, as answers say it: each different answer once, to be judged when the clock has stopped."""

    known: list[tuple[int, list[dict[str, Any]]]] = field(default_factory=list)
    """The image's number, and its people."""
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, image: int, people: list[dict[str, Any]]) -> int:
        key = f"{image} {people}"
        number = self._numbers.setdefault(key, len(self.known))
        if number == len(self.known):
            self.known.append((image, people))
        return number


@dataclass
class WindowSamples:
    """All that a window gave."""

    sent: list[Sample]
    """Of every request that was sent."""
    counted: list[Sample]
    """Those of the time that counts."""
    seconds: float
    """How long that was."""
    reported: list[tuple[int, list[dict[str, Any]]]]
    client_cpu_seconds: float

    @classmethod
    def of(
        cls, sent: list[Sample], schedule: Schedule, reported: ReportedPeople, *, cpu_seconds: float
    ) -> WindowSamples:
        """Pick the samples that count."""
        counted = [sample for sample in sent if schedule.counts(sample.ended)]
        seconds = max(sample.ended for sample in counted) - schedule.began if counted else 0.0
        return cls(sent, counted, seconds, reported.known, cpu_seconds)
