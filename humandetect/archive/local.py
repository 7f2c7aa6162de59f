"""The workers of this machine: a process each, which may die at any time and costs at most its segment."""

from __future__ import annotations

import json
import os
import platform
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from humandetect.cpus import usable_cpus
from humandetect.errors import EngineError, HumanDetectError
from humandetect.processes import Child

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.archive.plan import Job
    from humandetect.config import ArchiveConfig
    from humandetect.storage import Storage

END_SECONDS = 5.0
START_SECONDS = 120.0
SILENT_SECONDS = 120.0
"""A worker that says nothing for so long hangs: it says how far it is each second."""


class Progress(Protocol):
    """Whoever wants to be told how far it is."""

    def begin(self, jobs: Sequence[Job], /) -> None: ...
    def frames(self, number: int, /) -> None: ...
    def part(self, job: Job, /) -> None: ...
    def again(self, job: Job, reason: str, /) -> None: ...


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


class LocalWorkers:
    """Hands out jobs to processes until all are done or given up."""

    def __init__(self, config: ArchiveConfig, storage: Storage, progress: Progress) -> None:
        self._config, self._storage, self._progress = config, storage, progress
        self._access = threading.Lock()
        self._waiting: deque[tuple[Job, int]] = deque()
        """With how often they were tried."""
        self._under_way = 0
        self._stop = threading.Event()
        self._broken: HumanDetectError | None = None
        self.outcome = Outcome()

    def run(self, jobs: Sequence[Job]) -> Outcome:
        """Make the parts of all jobs. Raises EngineError and others if no worker can begin; Ctrl-C ends the workers."""
        self._progress.begin(jobs)
        self._waiting.extend((job, 0) for job in jobs)
        count = min(self._config.jobs or usable_cpus(), len(jobs))
        threads = [threading.Thread(target=self._guarded, args=(share,), daemon=True) for share in shares(count)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        if self._broken:
            raise self._broken
        return self.outcome

    def _guarded(self, cpus: Sequence[int]) -> None:
        try:
            self._keep_working(cpus)
        except HumanDetectError as error:  # where failures are noted nothing can be written
            self._break(error)
        except Exception as error:
            self._break(HumanDetectError(f"the archive cannot go on: {type(error).__name__}: {error}"))

    def _keep_working(self, cpus: Sequence[int]) -> None:
        """Have a worker, a new one where the last died, until nothing is left."""
        starts = 0
        while not self._stop.is_set() and (self._waiting or self._under_way):
            with Child("humandetect.archive.worker", end_seconds=END_SECONDS) as child:
                starts += 1
                try:
                    child.send((self._config, cpus))
                    child.receive(START_SECONDS)
                except HumanDetectError as error:  # no other worker would do better
                    self._break(error)
                except (ChildProcessError, TimeoutError) as error:
                    if starts > self._config.retries:
                        self._break(EngineError(f"no worker could begin: {error}"))
                else:
                    starts = 0
                    self._feed(child)

    def _break(self, error: HumanDetectError) -> None:
        self._broken = error
        self._stop.set()

    def _feed(self, child: Child) -> None:
        """Give one job after the other; returns when the worker is lost, or nothing is left."""
        while not self._stop.is_set():
            with self._access:
                taken = self._waiting.popleft() if self._waiting else None
                self._under_way += taken is not None
                idle = not self._under_way
            if taken is None:
                if idle or self._stop.wait(0.1):
                    return
                continue
            if not self._done(child, *taken):
                return

    def _done(self, child: Child, job: Job, tries: int) -> bool:
        """Have a job done; False if the worker is lost with it."""
        lost = False
        try:
            child.send(job)
            self._follow(child, job)
        except (ChildProcessError, TimeoutError) as error:
            lost = True
            if not self._stop.is_set():
                self._judge(job, tries + 1, f"its worker was lost: {str(error) or f'silent for {SILENT_SECONDS:g} s'}")
        except HumanDetectError as error:
            self._judge(job, tries + 1, str(error))
        finally:
            with self._access:
                self._under_way -= 1
        return not lost

    def _follow(self, child: Child, job: Job) -> None:
        silent = 0.0
        while True:
            try:
                told = child.receive(0.5)
            except TimeoutError:
                silent += 0.5
                if self._stop.is_set() or silent >= SILENT_SECONDS:
                    raise
                continue
            silent = 0.0
            with self._access:
                self.outcome.frames += told.frames
                self._progress.frames(told.frames)
                if told.done:
                    self.outcome.made += 1
                    self.outcome.missing += told.missing
                    self._progress.part(job)
                    return

    def _judge(self, job: Job, tries: int, reason: str) -> None:
        """Begin a job again, or give it up."""
        with self._access:
            if tries <= self._config.retries:
                self.outcome.again += 1
                self._waiting.append((job, tries))
                self._progress.again(job, reason)
                return
            self.outcome.failed.append((job, reason))
        note_failure(self._storage, job, reason=reason, tries=tries)


def note_failure(storage: Storage, job: Job, *, reason: str, tries: int) -> None:
    """Write down why there is no part. Raises SinkError."""
    note = {"source": job.video.source, "part": job.name, "error": reason, "tries": tries, "host": platform.node()}
    storage.write(job.failure_name, json.dumps(note).encode())


def shares(count: int) -> list[list[int]]:
    """Divide the CPUs of this process among workers; with more workers than CPUs none is bound."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [cpus[number::count] if len(cpus) >= count else [] for number in range(count)]
