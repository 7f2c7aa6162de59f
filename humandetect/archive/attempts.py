"""How often each segment was tried, and what came of it: whoever works on them takes them from here."""

from __future__ import annotations

import json
import platform
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from humandetect.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from humandetect.archive.jobs import Job, Told
    from humandetect.errors import HumanDetectError
    from humandetect.storage import Storage

SILENT_SECONDS = 120.0
"""A worker that says nothing for so long hangs: it says how far it is each second."""
HERE = platform.node()


class AttemptListener(Protocol):
    """Whoever wants to be told how far it is."""

    def begin(self, jobs: Sequence[Job], /) -> None: ...
    def frames(self, number: int, attempt: Attempt, /) -> None: ...
    def part(self, attempt: Attempt, /) -> None: ...
    def again(self, attempt: Attempt, reason: str, /) -> None: ...
    def given_up(self, attempt: Attempt, reason: str, /) -> None: ...


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


@dataclass(slots=True, eq=False)
class Attempt:
    """A job in somebody's hands."""

    job: Job
    number: int = 1
    node: str = HERE
    """The machine that works on it."""
    frames: int = 0
    """Detected so far."""


class Attempts:
    """Hands out jobs until each is made or given up. For threads to share."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        retries: int,
        storage: Storage,
        progress: AttemptListener,
        made: Callable[[Job], object] = lambda _: None,
    ) -> None:
        """`made` is called when a part is there."""
        self._retries, self._storage, self._made = retries, storage, made
        self._listeners = [progress]
        self._waiting = deque(map(Attempt, jobs))
        self._under_way = 0
        self._access = threading.Lock()
        self.outcome = Outcome()

    def __len__(self) -> int:
        """How many are neither made nor given up: those under way may be to be done again."""
        with self._access:
            return len(self._waiting) + self._under_way

    def begin(self, *also: AttemptListener) -> None:
        """Say that work begins, to others who want to be told too."""
        self._listeners += also
        jobs = [attempt.job for attempt in self._waiting]
        for listener in self._listeners:
            listener.begin(jobs)

    def take(self) -> Attempt | None:
        """Return what is to be worked on, whose end must be told; None while nothing waits."""
        with self._access:
            if not self._waiting:
                return None
            self._under_way += 1
            return self._waiting.popleft()

    def give_back(self, attempt: Attempt) -> None:
        """Let somebody else take what was taken and not begun."""
        with self._access:
            self._under_way -= 1
            self._waiting.appendleft(attempt)

    def tell(self, attempt: Attempt, told: Told) -> None:
        """Count what a worker says of its job, the end of it too."""
        with self._access:
            attempt.frames += told.frames
            for listener in self._listeners:
                listener.frames(told.frames, attempt)
            if told.done:
                self._under_way -= 1
                self.outcome.made += 1
                self.outcome.frames += attempt.frames
                self.outcome.missing += told.missing
                self._made(attempt.job)
                for listener in self._listeners:
                    listener.part(attempt)

    def fail(self, attempt: Attempt, error: HumanDetectError) -> None:
        """Have a job begun again, or give it up and write down why there is no part. Raises SinkError.

        Where a part cannot be written again and again that is no fault of its video, and others could not be either.
        """
        job, tries, reason = attempt.job, attempt.number, str(error)
        with self._access:
            self._under_way -= 1
            if tries <= self._retries:
                self.outcome.again += 1
                if isinstance(error, SinkError):  # before the others, whose results would be lost like this one's
                    self._waiting.appendleft(Attempt(job, tries + 1))
                else:
                    self._waiting.append(Attempt(job, tries + 1))
                for listener in self._listeners:
                    listener.again(attempt, reason)
                return
            if isinstance(error, SinkError):
                raise error
            self.outcome.failed.append((job, reason))
            for listener in self._listeners:
                listener.given_up(attempt, reason)
        note = {"source": job.video.source, "part": job.name, "error": reason, "tries": tries, "host": attempt.node}
        self._storage.write(job.failure_name, json.dumps(note).encode())
