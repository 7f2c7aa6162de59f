"""How often each segment was tried, and what came of it: whoever works on them takes them from here."""

from __future__ import annotations

import json
import platform
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.archive.plan import Job, Told
    from humandetect.storage import Storage

SILENT_SECONDS = 120.0
"""A worker that says nothing for so long hangs: it says how far it is each second."""
HERE = platform.node()


class Progress(Protocol):
    """Whoever wants to be told how far it is."""

    def begin(self, jobs: Sequence[Job], /) -> None: ...
    def frames(self, number: int, node: str, /) -> None: ...
    def part(self, job: Job, node: str, /) -> None: ...
    def again(self, job: Job, reason: str, /) -> None: ...
    def failed(self, job: Job, reason: str, /) -> None: ...


@dataclass(slots=True)
class Outcome:
    """What came of the parts that were to be made."""

    made: int = 0
    frames: int = 0
    missing: int = 0
    """Frames that could not be decoded."""
    again: int = 0
    """Segments that were begun again."""
    failed: list[tuple[Job, str]] = field(default_factory=list)


class Attempt(NamedTuple):
    """A job in somebody's hands."""

    job: Job
    number: int
    """The first is 1."""


class Attempts:
    """Hands out jobs until each is made or given up. For threads to share."""

    def __init__(self, jobs: Sequence[Job], *, retries: int, storage: Storage, progress: Progress) -> None:
        self._retries, self._storage, self._progress = retries, storage, progress
        self._waiting = deque(Attempt(job, 1) for job in jobs)
        self._under_way = 0
        self._access = threading.Lock()
        self.outcome = Outcome()

    def __len__(self) -> int:
        """How many are neither made nor given up: those under way may be to be done again."""
        with self._access:
            return len(self._waiting) + self._under_way

    def begin(self) -> None:
        """Say that work begins."""
        self._progress.begin([attempt.job for attempt in self._waiting])

    def take(self) -> Attempt | None:
        """Return what is to be worked on, whose end must be told; None while nothing waits."""
        with self._access:
            if not self._waiting:
                return None
            self._under_way += 1
            return self._waiting.popleft()

    def tell(self, attempt: Attempt, told: Told, *, node: str = HERE) -> None:
        """Count what a worker says of its job, the end of it too."""
        with self._access:
            self.outcome.frames += told.frames
            self._progress.frames(told.frames, node)
            if told.done:
                self._under_way -= 1
                self.outcome.made += 1
                self.outcome.missing += told.missing
                self._progress.part(attempt.job, node)

    def fail(self, attempt: Attempt, reason: str) -> None:
        """Have a job begun again, or give it up and write down why there is no part. Raises SinkError."""
        job, number = attempt
        with self._access:
            self._under_way -= 1
            if number <= self._retries:
                self.outcome.again += 1
                self._waiting.append(Attempt(job, number + 1))
                self._progress.again(job, reason)
                return
            self.outcome.failed.append((job, reason))
            self._progress.failed(job, reason)
        note = {"source": job.video.source, "part": job.name, "error": reason, "tries": number, "host": HERE}
        self._storage.write(job.failure_name, json.dumps(note).encode())
