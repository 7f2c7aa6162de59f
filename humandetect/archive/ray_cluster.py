"""The workers of a Ray cluster: tasks of one CPU each, by processes that keep their engine from task to task.

Tasks and not actors: those of a lost node wait for its return without an end where no CPU is free, and calls with them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humandetect import __version__
from humandetect.archive.worker import Worker
from humandetect.cpus import usable_cpus
from humandetect.errors import EngineError, HumanDetectError, MissingExtra

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray looks: nothing is told to anybody

try:
    import ray
except ModuleNotFoundError as error:
    raise MissingExtra("--cluster needs more: pip install 'humandetect[cluster]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.archive.attempts import Attempt, Attempts
    from humandetect.archive.plan import Job, Told
    from humandetect.config import ArchiveConfig
    from humandetect.storage import Storage

JOIN_SECONDS = 90.0
"""Ray itself takes 10 to 20 s to start."""
NO_CPU_SECONDS = 120.0
"""A cluster that grows by itself may begin without any."""
TASKS_A_CPU = 2
"""One under way and one waiting: what more would wait for is better given to whoever is free first."""
LOCAL = "local"


class RayWorkers:
    """Hands out jobs as tasks until all are done or given up."""

    def __init__(self, config: ArchiveConfig) -> None:
        self._config = replace(config, out=config.out.absolute())
        self._under_way: dict[Any, Attempt] = {}
        """By the reference of the task."""

    def run(self, attempts: Attempts) -> None:
        """Make the parts of all jobs. Raises EngineError where no worker can begin; Ctrl-C ends the tasks."""
        with _joined(self._config):
            attempts.begin()
            self._work(attempts)

    def _work(self, attempts: Attempts) -> None:
        task = ray.remote(num_cpus=1, max_retries=0)(_make_part)
        had_cpu = time.monotonic()
        while attempts:
            cpus = int(ray.cluster_resources().get("CPU", 0))
            had_cpu = time.monotonic() if cpus else had_cpu
            if time.monotonic() - had_cpu > NO_CPU_SECONDS:
                raise EngineError(f"the cluster had no CPU for {NO_CPU_SECONDS:g} s: is a node with CPUs in it?")
            while len(self._under_way) < max(1, cpus) * TASKS_A_CPU and (attempt := attempts.take()):
                self._under_way[task.remote(self._config, attempt.job, __version__)] = attempt
            ready, _ = ray.wait(list(self._under_way), timeout=1.0)
            for reference in ready:
                self._hear(reference, attempts)

    def _hear(self, reference: Any, attempts: Attempts) -> None:
        attempt = self._under_way.pop(reference)
        try:
            told = ray.get(reference)
        except ray.exceptions.RayError as error:  # a process or a node that is gone, or a fault of ours
            told = HumanDetectError(f"its worker was lost: {str(error).splitlines()[0]}")
        if not isinstance(told, HumanDetectError):
            attempts.tell(attempt, told)
        elif isinstance(told, EngineError) and not attempts.outcome.made:  # no other worker would do better
            raise told
        else:
            attempts.fail(attempt, str(told))


@contextmanager
def _joined(config: ArchiveConfig) -> Iterator[None]:
    """Start Ray here, or join a cluster. Raises EngineError where that fails or takes for ever."""
    options: dict[str, Any] = {"address": config.cluster}
    if config.cluster == LOCAL:
        options |= {"num_cpus": config.jobs or usable_cpus(), "include_dashboard": False}
        if sys.platform == "linux":  # or it would listen at this machine's address; 127.0.0.1 it takes for that
            options["_node_ip_address"] = "127.0.0.2"
    failed: list[Exception] = []
    joined, left = threading.Event(), threading.Event()

    def join() -> None:
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # of many kinds
            failed.append(error)
        joined.set()
        left.wait()  # Linux ends Ray's processes with the thread that began them

    # Not by this thread: Ray would take its signals, and waits without an end for some addresses.
    threading.Thread(target=join, name="ray", daemon=True).start()
    try:
        if not joined.wait(JOIN_SECONDS) or failed:
            why = str(failed[0]).splitlines()[0] if failed else f"no answer within {JOIN_SECONDS:g} s"
            raise EngineError(f"cannot work on the Ray cluster {config.cluster!r}: {why}")
        yield
    finally:
        if joined.is_set() and not failed:
            ray.shutdown()  # with the tasks of this driver, and a cluster that it began
        left.set()


def _make_part(config: ArchiveConfig, job: Job, version: str) -> Told | HumanDetectError:
    """Be a task; what it fails at is its value, because Ray would wrap it."""
    if version != __version__:
        return HumanDetectError(f"{platform.node()} has humandetect {__version__}, not {version}: install the same")
    frames = 0

    def count(told: Told) -> None:
        nonlocal frames
        frames += told.frames

    try:
        told = _worker(config).work(job, count)
    except HumanDetectError as error:
        return error
    return told._replace(frames=told.frames + frames)


@cache
def _worker(config: ArchiveConfig) -> Worker:
    """Return the engine of this process, opened by its first task."""
    return Worker(config, cpus=_own_cpu())


@cache
def _own_cpu() -> list[int]:
    """Return a CPU that no other worker of this machine has, for as long as this process lives; empty: all are taken.

    Ray counts CPUs and binds nobody, and each engine would take all of them.
    """
    for cpu in sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []:
        path = Path(tempfile.gettempdir()) / f"humandetect-{os.getuid()}-cpu{cpu}.lock"
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return [cpu]  # never closed: the lock is this process's
        os.close(descriptor)
    return []
