"""The workers of this machine: a process each, which may die at any time and costs at most its segment."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from humandetect.archive.attempts import SILENT_SECONDS
from humandetect.cpus import usable_cpus
from humandetect.errors import EngineError, HumanDetectError
from humandetect.processes import Child

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.archive.attempts import Attempt, Attempts
    from humandetect.config import ArchiveConfig

END_SECONDS = 5.0
START_SECONDS = 120.0
LISTEN_SECONDS = 0.5


class LocalWorkers:
    """Hands out jobs to processes until all are done or given up."""

    def __init__(self, config: ArchiveConfig) -> None:
        self._config = config
        self._stop = threading.Event()
        self._broken: HumanDetectError | None = None

    def run(self, attempts: Attempts) -> None:
        """Make the parts of all jobs. Raises EngineError and others if no worker can begin; Ctrl-C ends the workers."""
        attempts.begin()
        count = min(self._config.jobs or usable_cpus(), len(attempts))
        threads = [threading.Thread(target=self._guarded, args=(attempts, cpus), daemon=True) for cpus in shares(count)]
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

    def _guarded(self, attempts: Attempts, cpus: Sequence[int]) -> None:
        try:
            self._keep_working(attempts, cpus)
        except HumanDetectError as error:  # where failures are noted nothing can be written
            self._break(error)
        except Exception as error:
            self._break(HumanDetectError(f"the archive cannot go on: {type(error).__name__}: {error}"))

    def _keep_working(self, attempts: Attempts, cpus: Sequence[int]) -> None:
        """Have a worker, a new one where the last died, until nothing is left."""
        starts = 0
        while attempts and not self._stop.is_set():
            with Child("humandetect.archive.worker", end_seconds=END_SECONDS) as child:
                starts += 1
                try:
                    child.send((self._config, cpus))
                    self._hear(child, START_SECONDS)
                except HumanDetectError as error:  # no other worker would do better
                    self._break(error)
                except (ChildProcessError, TimeoutError) as error:
                    if starts > self._config.retries and not self._stop.is_set():
                        why = str(error) or f"no answer within {START_SECONDS:g} s"
                        self._break(EngineError(f"no worker could begin: {why}"))
                else:
                    starts = 0
                    self._feed(child, attempts)

    def _break(self, error: HumanDetectError) -> None:
        self._broken = error
        self._stop.set()

    def _feed(self, child: Child, attempts: Attempts) -> None:
        """Give one job after the other; returns when the worker is lost, or nothing is left."""
        while attempts and not self._stop.is_set():
            attempt = attempts.take()
            if attempt is None:
                self._stop.wait(0.1)
            elif not self._done(child, attempts, attempt):
                return

    def _done(self, child: Child, attempts: Attempts, attempt: Attempt) -> bool:
        """Have a job done; False if the worker is lost with it."""
        try:
            child.send(attempt.job)
            self._follow(child, attempts, attempt)
        except (ChildProcessError, TimeoutError) as error:
            if not self._stop.is_set():
                why = str(error) or f"silent for {SILENT_SECONDS:g} s"
                attempts.fail(attempt, HumanDetectError(f"its worker was lost: {why}"))
            return False
        except HumanDetectError as error:
            attempts.fail(attempt, error)
        return True

    def _follow(self, child: Child, attempts: Attempts, attempt: Attempt) -> None:
        done = False
        while not done:
            told = self._hear(child, SILENT_SECONDS)
            attempts.tell(attempt, told)
            done = told.done

    def _hear(self, child: Child, within_seconds: float) -> Any:
        """Return what a worker says next. Raises TimeoutError, soon once all is to end: an engine opens for seconds.

        Looks are counted: the clock goes on while all of this is stopped, or its machine.
        """
        for _ in range(round(within_seconds / LISTEN_SECONDS)):
            if self._stop.is_set():
                break
            with suppress(TimeoutError):
                return child.receive(LISTEN_SECONDS)
        raise TimeoutError


def shares(count: int) -> list[list[int]]:
    """Divide the CPUs of this process among workers; with more workers than CPUs none is bound."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [cpus[number::count] if len(cpus) >= count else [] for number in range(count)]
