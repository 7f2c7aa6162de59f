"""What the benchmark scripts share: Markdown, the 720p clip, CPU accounting, the plainly called model."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

from humandetect.bench.machine import described, machine, versions
from humandetect.bench.tables import Grid
from humandetect.config import DEFAULT_MODEL
from humandetect.models.find import bundled, find_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CLIP_SIZE = (1280, 720)


def print_machine() -> None:
    """Begin the Markdown that every script prints on stdout: what it measures, and what every figure depends on."""
    script = Path(sys.argv[0])
    purpose = (sys.modules["__main__"].__doc__ or "").split("\n\n")[0].replace("\n", " ")
    print(f"# {script.stem.replace('_', ' ').capitalize()}\n\n{purpose}\n")
    for line in described(machine(), versions()):
        print(f"* {line}")
    print(f"* command: `{shlex.join(['python', f'benchmarks/{script.name}', *sys.argv[1:]])}`")
    print(f"* day: {datetime.now(UTC):%Y-%m-%d}", flush=True)


def print_table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{Grid(title, head, rows).markdown()}", flush=True)


def say(what: str) -> None:
    """Tell whoever waits; it is no part of the result."""
    print(what, file=sys.stderr, flush=True)


def parser(description: str | None, *, clip: bool = True) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if clip:
        made.add_argument("--clip", type=Path, help="use this video instead of the sample scaled to 1280x720")
    return made


def clip_720p(folder: Path, *, seconds: float | None = None, key_each: int = 250) -> Path:
    """Make the sample a 1280x720 H.264 clip; `seconds` repeats it to that length. Kept for the next call."""
    path = folder / (f"plaza720-{seconds:g}s.mp4" if seconds else "plaza720.mp4")
    if path.exists():
        return path
    width, height = CLIP_SIZE
    with av.open(str(bundled("examples/plaza.mp4"))) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        video = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20", "g": f"{key_each}"})
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


class PlainModel:
    """The default model, called in TensorFlow image by image: what people begin with."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._constant = tf.constant
        folder = find_model(DEFAULT_MODEL)
        assert folder.metadata.preset.input_hw is not None
        self._input_wh = folder.metadata.preset.input_hw[::-1]
        self._model = tf.saved_model.load(str(folder.path))  # a signature does not keep it alive
        self._call = self._model.signatures["serving_default"]
        self(np.zeros((*folder.metadata.preset.input_hw, 3), np.uint8), score=1.0)

    def __call__(self, rgb: NDArray[Any], *, score: float) -> list[tuple[NDArray[np.float32], float]]:
        """Return (x1, y1, x2, y2 in 0..1, score) of each person."""
        answer = self._call(inputs=self._constant(cv2.resize(rgb, self._input_wh)[None]))
        boxes, scores = (answer[f"detection_{name}"][0].numpy() for name in ("boxes", "scores"))
        found = [(box, float(value)) for box, value in zip(boxes, scores, strict=True)]
        return [(box[[1, 0, 3, 2]], value) for box, value in found if value >= score]
