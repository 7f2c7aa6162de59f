"""The workers of a Ray cluster: tasks of one CPU each, handed out a few at a time, and those that are lost again.

Tasks and not actors: those of a lost node wait for its return without an end where no CPU is free, and calls with them.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humandetect import __version__
from humandetect.archive.attempts import SILENT_SECONDS
from humandetect.cpus import usable_cpus
from humandetect.errors import EngineError, HumanDetectError, MissingExtra
from humandetect.storage import open_storage

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray looks: nothing is told to anybody

try:
    import ray
except ModuleNotFoundError as error:
    raise MissingExtra("--cluster needs more: pip install 'humandetect[cluster]'") from error

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from humandetect.archive.plan import model_checksum
from humandetect.archive.ray_metrics import RayMetrics
from humandetect.archive.ray_tasks import Begun, end_process, make_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from humandetect.archive.attempts import Attempt, Attempts
    from humandetect.config import ArchiveConfig

logger = logging.getLogger(__name__)

JOIN_SECONDS = 90.0
"""Ray itself takes 10 to 20 s to start."""
IDLE_SECONDS = 900.0
"""A cluster that grows by itself may begin without any machine, and one takes minutes to come."""
PATIENCE_SECONDS = 30.0
"""Then whoever waits is told for what."""
LISTEN_SECONDS = 0.2
TASKS_A_PLACE = 2
"""One under way and one waiting: what more would wait for is better given to whoever is free first."""
LOCAL = "local"


@dataclass(slots=True)
class _SubmittedTask:
    """One that was handed out."""

    attempt: Attempt
    heard: float = field(default_factory=time.monotonic)
    """When it last said something, or was handed out."""
    begun: Begun | None = None


class RayWorkers:
    """Hands out jobs as tasks until all are done or given up."""

    def __init__(self, config: ArchiveConfig) -> None:
        self._config = replace(config, out=open_storage(config.out).address)
        self._model_sha256 = model_checksum(config)
        self._tasks: dict[ray.ObjectRefGenerator[Any], _SubmittedTask] = {}
        """By the stream of what they say."""

    def run(self, attempts: Attempts) -> None:
        """Make the parts of all jobs. Raises EngineError where no worker can begin; Ctrl-C ends the tasks."""
        with _joined(self._config):
            attempts.begin(RayMetrics())
            idle_limit = _IdleLimit()
            while attempts:
                self._hand_out(attempts, ray.cluster_resources())
                streams = list(self._tasks)
                for stream in ray.wait(streams, num_returns=len(streams), timeout=LISTEN_SECONDS)[0]:
                    self._hear(stream, attempts)
                self._lose_silent(attempts)
                idle_limit.look(working=any(task.begun for task in self._tasks.values()))

    def _hand_out(self, attempts: Attempts, resources: Mapping[str, float]) -> None:
        """Have two tasks for each place, so that a cluster that can grow sees that there is more to do."""
        place = place_of(self._config, resources)
        places = max(1, int(resources.get("GPU" if "num_gpus" in place else "CPU", 0)))
        task = ray.remote(**place, max_retries=0, max_calls=0)(make_part)  # else Ray ends a process after one on a GPU
        while len(self._tasks) < places * TASKS_A_PLACE and (attempt := attempts.take()):
            self._tasks[task.remote(self._config, attempt.job)] = _SubmittedTask(attempt)

    def _hear(self, stream: ray.ObjectRefGenerator[Any], attempts: Attempts) -> None:
        task = self._tasks[stream]
        task.heard = time.monotonic()
        try:
            told = ray.get(next(stream))
        except (ray.exceptions.RayError, StopIteration) as error:  # a process or a node is gone, or a fault of ours
            told = HumanDetectError(f"its worker was lost: {_first_sentence(error)}")
        if isinstance(told, Begun):
            task.begun, task.attempt.node = told, told.node
            self._check_alike(told)
            return
        if isinstance(told, HumanDetectError):
            del self._tasks[stream]
            if isinstance(told, EngineError) and not attempts.outcome.made:  # no other worker would do better
                raise told
            attempts.fail(task.attempt, told)
            return
        attempts.tell(task.attempt, told)
        if told.done:
            del self._tasks[stream]

    def _check_alike(self, begun: Begun) -> None:
        """Raise EngineError for a machine that is not like this one: it would be the first to take what it fails at."""
        different = None
        if begun.humandetect != __version__:
            different = f"humandetect {begun.humandetect}, not {__version__}"
        elif begun.model_sha256 != self._model_sha256:
            different = f"another model by the name of {self._config.engine.model!r}"
        if different:
            raise EngineError(
                f"{begun.node} has {different}: install the same on all machines; then the same command goes on"
            )

    def _lose_silent(self, attempts: Attempts) -> None:
        """Give up waiting for workers that hang or were stopped; one that wakes late makes the same part."""
        for stream, task in list(self._tasks.items()):
            if time.monotonic() - task.heard < SILENT_SECONDS:
                continue
            del self._tasks[stream]
            if task.begun is None:  # it waits for its turn, or was given to a process that was stopped before
                ray.cancel(stream)
                attempts.give_back(task.attempt)
            else:
                node = NodeAffinitySchedulingStrategy(task.begun.node_id, soft=False)
                ray.remote(num_cpus=0, scheduling_strategy=node)(end_process).remote(task.begun.pid)
                lost = HumanDetectError(f"its worker was lost: silent for {SILENT_SECONDS:g} s")
                attempts.fail(task.attempt, lost)


class _IdleLimit:
    """Bounds the waiting for a cluster on which nothing begins."""

    def __init__(self) -> None:
        self._worked = time.monotonic()
        self._told = False

    def look(self, *, working: bool) -> None:
        """Say after a while that nothing works. Raises EngineError at last."""
        if working:
            self._worked, self._told = time.monotonic(), False
            return
        idle = time.monotonic() - self._worked
        if idle > PATIENCE_SECONDS and not self._told:
            self._told = True
            logger.warning("the cluster begins with nothing: it has %s; waiting up to %g s", _described(), IDLE_SECONDS)
        if idle > IDLE_SECONDS:
            raise EngineError(
                f"the cluster began with nothing for {IDLE_SECONDS:g} s: it has {_described()}. "
                "Are they in use, or is no worker node in it? What is complete stays: the same command goes on"
            )


def place_of(config: ArchiveConfig, resources: Mapping[str, float]) -> dict[str, float]:
    """Return what a task asks of a cluster that has these resources."""
    on_gpu = config.engine.engine == "tensorflow" and resources.get("GPU", 0) >= 1
    return {"num_cpus": 1, "num_gpus": 1} if on_gpu else {"num_cpus": 1}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _first_sentence(error: Exception) -> str:
    """Leave out what Ray advises, which is a page."""
    return _first_line(error).partition(". ")[0]


def _described() -> str:
    total, free = ray.cluster_resources(), ray.available_resources()
    return ", ".join(f"{total.get(name, 0):g} {name}s, {free.get(name, 0):g} free" for name in ("CPU", "GPU"))


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
            why = _first_line(failed[0]) if failed else f"no answer within {JOIN_SECONDS:g} s"
            if config.cluster != LOCAL and (not failed or isinstance(failed[0], ConnectionError)):
                why += ": does it run there, and has this machine its token, as `RAY_AUTH_MODE=token` asks for?"
            raise EngineError(f"cannot work on the Ray cluster {config.cluster!r}: {why}")
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # Ray prints pages about each loss
            yield
    finally:
        if joined.is_set() and not failed:
            ray.shutdown()  # with the tasks of this driver, and a cluster that it began
        left.set()
