"""What the benchmark scripts share: the machine line, the 720p clip, CPU accounting."""

from __future__ import annotations

import argparse
import os
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import av
import psutil

from humandetect.models import bundled

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIP_SIZE = (1280, 720)
PACKAGES = ("openvino", "tensorflow", "av", "opencv-python", "numpy")


def print_machine() -> None:
    """Print what every figure depends on."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory = psutil.virtual_memory().total / 2**30
    print(f"machine: {cpu}, {os.cpu_count()} CPUs, {memory:.0f} GiB, {platform.platform()}")
    print(
        f"versions: Python {platform.python_version()}, " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    )


def parser(description: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--clip", type=Path, help="use this video instead of the sample scaled to 1280x720")
    return made


def clip_720p(folder: Path, *, seconds: float | None = None) -> Path:
    """Make the sample a 1280x720 H.264 clip; `seconds` repeats it to that length. Kept for the next call."""
    path = folder / (f"plaza720-{seconds:g}s.mp4" if seconds else "plaza720.mp4")
    if path.exists():
        return path
    width, height = CLIP_SIZE
    with av.open(str(bundled("examples/plaza.mp4"))) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        video = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        written, wanted = 0, int(seconds * rate) if seconds else stream.frames
        while written < wanted:
            source.seek(0)
            for frame in source.decode(stream):
                scaled = frame.reformat(width, height, "yuv420p")
                scaled.pts, scaled.time_base, scaled.pict_type = written, 1 / rate, av.video.frame.PictureType.NONE
                out.mux(video.encode(scaled))
                written += 1
                if written == wanted:
                    break
        out.mux(video.encode(None))
    return path


@dataclass
class Cost:
    """Wall and CPU seconds of a block; `frames` is filled by the block."""

    frames: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a frame."""
        return self.cpu_seconds / self.frames * 1000

    @property
    def fps(self) -> float:
        return self.frames / self.wall_seconds

    @property
    def busy(self) -> float:
        """Share of all cores that worked."""
        return self.cpu_seconds / self.wall_seconds / (os.cpu_count() or 1)


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block with this process's own CPU clock, all threads included."""
    cost = Cost()
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    cost.wall_seconds, cost.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
