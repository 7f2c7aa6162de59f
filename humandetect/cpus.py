"""How many CPUs this process may use: neither more than it is bound to, nor more than its container is allowed."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows a container the limits of its own."""


def usable_cpus(cgroups: Path = CGROUPS) -> int:
    """Return how many threads can run at once, at least 1."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _allowed(cgroups))))


def _allowed(cgroups: Path) -> float:
    """Return the CPUs that the container may use; infinite where nothing limits them."""
    try:
        quota, period = (cgroups / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:  # cgroups of version 1
            quota, period = ((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return math.inf
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return math.inf
    return cpus if cpus > 0 else math.inf  # -1: no limit
