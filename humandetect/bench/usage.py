"""What a process and its children use: memory, CPU time, memory of a GPU."""

from __future__ import annotations

import shutil
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_SECONDS = 0.1
GPU_QUERY = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")


@dataclass
class Usage:
    """What was used while it was looked at."""

    peak_memory_mb: float = 0.0
    """Resident, in 10^6 bytes."""
    cpu_seconds: float = 0.0


@contextmanager
def watched(pid: int) -> Iterator[Usage]:
    """Watch a process and its children during the block."""
    usage = Usage()
    process = psutil.Process(pid)
    before = cpu_seconds(process)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process, usage, ended), daemon=True)
    watcher.start()
    try:
        yield usage
    finally:
        ended.set()
        watcher.join()
        usage.cpu_seconds = max(0.0, cpu_seconds(process) - before)


def resident_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process and its children now, in 10^6 bytes."""
    return _sum(process, lambda one: one.memory_info().rss) / 1e6


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that a process and its living children have used."""
    return _sum(process, lambda one: sum(one.cpu_times()[:2]))


def gpu_memory_mb(pid: int) -> float | None:
    """Return the GPU memory of a process and its children, in 10^6 bytes; None where NVIDIA's tool tells of none."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return None
    try:
        said = subprocess.run([tool, *GPU_QUERY], capture_output=True, text=True, timeout=10, check=True).stdout
        pids = {one.pid for one in _tree(psutil.Process(pid))}
    except (OSError, subprocess.SubprocessError, psutil.Error):
        return None
    rows = [line.split(",") for line in said.splitlines() if line.count(",") == 1]
    used = [float(mib) for one, mib in rows if one.strip().isdigit() and int(one) in pids and mib.strip().isdigit()]
    return sum(used) * 2**20 / 1e6 if used else None


def _watch(process: psutil.Process, usage: Usage, ended: threading.Event) -> None:
    while True:
        usage.peak_memory_mb = max(usage.peak_memory_mb, resident_mb(process))
        if ended.wait(LOOK_SECONDS):
            return


def _sum(process: psutil.Process, value: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for one in _tree(process):
        with suppress(psutil.Error):
            total += value(one)
    return total


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
