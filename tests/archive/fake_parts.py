"""What a Ray cluster of tests works on: parts by a fake engine, and a worker that waits to be killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import ray

from humandetect.archive import ray_cluster, ray_tasks, worker
from humandetect.archive.run import archive
from humandetect.config import ArchiveConfig
from tests.archive.worker_here import Silent
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.archive.jobs import Job


HEAD, OTHER = "127.0.0.2", "127.0.0.3"


def held_by(config: ArchiveConfig) -> Path:
    return Path(config.merge or config.out).with_suffix(".held")


def fake_part(config: ArchiveConfig, job: Job) -> Iterator[object]:
    """Be a task, as `ray_tasks.make_part`."""
    worker.load_engine = lambda _: FakeEngine()  # type: ignore[assignment,attr-defined]
    yield from ray_tasks.make_part(config, job)


def held_part(config: ArchiveConfig, job: Job) -> Iterator[object]:
    """Be a task that, where it is the first of its archive off the head, says so and goes no further."""
    words = fake_part(config, job)
    yield next(words)
    yield next(words)
    node = ray.util.get_node_ip_address()
    with suppress(FileExistsError):
        if node != HEAD:
            with held_by(config).open("x") as file:
                file.write(f"{os.getpid()} {node}\n")
            signal.pause()
    yield from words


def occupy(until: Path) -> None:
    """Be a task of somebody else."""
    while not until.exists():
        time.sleep(0.01)


def main() -> None:
    """Be a command that is to be killed."""
    address, video, out = sys.argv[1:]
    ray_cluster.make_part = held_part  # type: ignore[assignment,attr-defined]
    archive(ArchiveConfig(sources=(video,), out=Path(out), segment_seconds=1, cluster=address), Silent())


if __name__ == "__main__":
    main()
