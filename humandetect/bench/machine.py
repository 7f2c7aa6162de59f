"""What every figure depends on: the machine and the versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("humandetect", "openvino", "tensorflow", "av", "numpy", "opencv-python", "uvicorn", "fastapi")


def machine() -> dict[str, str | int | float]:
    """Return what there is to compute with."""
    return {
        "cpu": _cpu_name(),
        "cpus": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def versions() -> dict[str, str]:
    """Return the versions of what takes time, as far as it is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def described(machine: Mapping[str, str | int | float], versions: Mapping[str, str]) -> list[str]:
    """Return both as lines."""
    return [
        f"machine: {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, {machine['system']}",
        f"versions: Python {machine['python']}, " + ", ".join(f"{name} {one}" for name, one in versions.items()),
    ]
