"""What runs on the machines of a Ray cluster: tasks, by processes that keep their engine from task to task."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ray

from humandetect import __version__
from humandetect.archive.jobs import Told
from humandetect.archive.plan import model_checksum
from humandetect.archive.worker import Worker
from humandetect.errors import HumanDetectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.archive.jobs import Job
    from humandetect.config import ArchiveConfig


class Begun(NamedTuple):
    """A task's first word: where it is."""

    node: str
    """Its address."""
    node_id: str
    pid: int
    humandetect: str
    """Its version."""
    model_sha256: str


def make_part(config: ArchiveConfig, job: Job) -> Iterator[Begun | Told | HumanDetectError]:
    """Be a task, and say how far it is; what it fails at is its last word, because Ray would wrap it."""
    node, node_id = ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id()
    try:
        yield Begun(node, node_id, os.getpid(), __version__, _model_sha256(config))
        worker = _worker(config)
        yield Told(0)  # it lives: to open an engine takes long
        yield from worker.work(job)
    except HumanDetectError as error:
        yield error


def end_process(pid: int) -> None:
    """Be a task that ends the process of a silent one, also one that was stopped: Ray would wait for it for ever."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


_model_sha256 = cache(model_checksum)


@cache
def _worker(config: ArchiveConfig) -> Worker:
    """Return the engine of this process, opened by its first task."""
    return Worker(config, cpus=() if ray.get_gpu_ids() else _own_cpu())


@cache
def _own_cpu() -> Sequence[int]:
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
