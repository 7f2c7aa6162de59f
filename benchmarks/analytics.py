"""What it costs to ask saved results again: frames a second of `analyze`, tracker and counters, memory.

python benchmarks/analytics.py [--memory-frames 1000000]
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import supervision as sv
from common import measured, parser, print_machine, print_table, say

from humandetect.analytics.scene import read_scene
from humandetect.config import AnalyzeConfig, CountingConfig
from humandetect.media.frames import DetectedFrame, Frame, Provenance
from humandetect.media.sinks.text_formats import JsonLines
from humandetect.models.find import bundled
from humandetect.pipeline.analyze import analyze
from humandetect.pipeline.python_api import detect_video
from humandetect.pipeline.stages import SourceStages

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, HEIGHT, FPS = 1920, 1080, 25
MADE = Provenance(
    source="walkers.mp4", kind="video", size=(WIDTH, HEIGHT), every=1, score=0.5, results_score=0.1,
    track_scores=(0.5, 0.3), settings={}, started=None, humandetect="",
)  # fmt: skip
LINE, ZONE = "gate=50%,0%,50%,100%", "middle=30%,20%,70%,20%,70%,100%,30%,100%"
ROUNDS = 3


def walkers(people: int) -> Iterator[DetectedFrame]:
    """Yield frames without end in which people walk to and fro; each is seen weakly now and then."""
    rng = np.random.default_rng(people)
    size = rng.uniform([30, 80], [50, 140], (people, 2))
    phase, seconds = rng.uniform(0, 2, people), rng.uniform(8, 30, people)
    lane = rng.uniform(150, HEIGHT, people)
    image = np.broadcast_to(np.uint8(0), (HEIGHT, WIDTH, 3))
    for index in itertools.count():
        way = np.abs((phase + index / FPS / seconds * 2) % 2 - 1)
        feet = np.column_stack([60 + way * (WIDTH - 120), lane])
        xyxy = np.hstack([feet - size * [0.5, 1], feet + size * [0.5, 0]])
        scores = 0.9 - 0.5 * (rng.random(people) < 0.1)
        found = sv.Detections((xyxy + rng.normal(0, 1, xyxy.shape)).round(2), confidence=scores)
        strong = scores >= 0.5
        people_found, weak = found[strong], found[~strong]
        assert isinstance(people_found, sv.Detections)
        assert isinstance(weak, sv.Detections)
        yield DetectedFrame(Frame(image, index, index / FPS, MADE.source), people_found, weak=weak)


def stages_ms(people: int, *, frames: int = 500) -> float:
    """Return the CPU milliseconds a frame of tracker and counters; best of three."""
    results = list(itertools.islice(walkers(people), frames))
    best = float("inf")
    for _ in range(ROUNDS):
        stages = SourceStages(MADE, tracks=True, scene=read_scene(lines=[LINE], zones=[ZONE]))
        with measured() as cost:
            for result in results:
                stages.update(result)
            cost.frames = frames
        best = min(best, cost.cpu_ms)
    return best


def analyze_fps(saved: Path, folder: Path, *, times: int) -> float:
    """Return the frames a second of `analyze` over a file, given several times; best of three."""
    counting = CountingConfig(
        line=(LINE,), zone=(ZONE,), events=str(folder / "events.jsonl"), counts=folder / "counts.csv"
    )
    best = 0.0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        summary = analyze(AnalyzeConfig((saved,) * times, counting=counting))
        best = max(best, summary.frames / (time.perf_counter() - began))
    return best


def memory(folder: Path, *, frames: int, people: int) -> Iterator[tuple[int, float]]:
    """Yield the memory in MB of the command after so many frames, which come by a pipe: a file would have gigabytes."""
    pipe = folder / "walkers.jsonl"
    outputs = ["--line", LINE, "--zone", ZONE, "--events", str(folder / "e.jsonl"), "--counts", str(folder / "c.csv")]
    command = [sys.executable, "-m", "humandetect", "analyze", str(pipe), *outputs, "--quiet"]
    lines = JsonLines(weakest_score=0.1)
    lines.begin(MADE)
    results = walkers(people)
    os.mkfifo(pipe)
    with subprocess.Popen(command) as process:
        with pipe.open("w") as names:  # analyze first looks for the sources, then opens it again
            pipe.unlink()
            os.mkfifo(pipe)
            names.write(first := lines.text(next(results)))
        with pipe.open("w") as file:
            file.write(first)
            for number, result in enumerate(itertools.islice(results, frames - 1), 2):
                file.write(lines.text(result))
                if number in (frames // 10, frames // 2, frames):
                    yield number, psutil.Process(process.pid).memory_info().rss / 1e6
    if process.returncode:
        raise SystemExit(process.returncode)


def main() -> None:
    options = parser(__doc__, clip=False)
    options.add_argument("--memory-frames", type=int, help="show the memory over so many frames, which takes minutes")
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        saved = [folder / f"people{ending}" for ending in (".jsonl", ".parquet")]
        summary = detect_video(bundled("examples/plaza.mp4"), results=saved, results_score=0.1)
        rows = [[path.suffix, f"{analyze_fps(path, folder, times=10):.0f}"] for path in saved]
        title = f"`analyze` on the sample's results, {summary.people_mean:.1f} people a frame"
        print_table(title, ["results", "frames/s"], rows)
        rows = [[f"{count}", f"{stages_ms(count):.2f}"] for count in (10, 100)]
        print_table("Tracker, a line and a zone", ["people", "CPU ms a frame"], rows)
        if args.memory_frames:
            rows = []
            for frames, megabytes in memory(folder, frames=args.memory_frames, people=6):
                rows.append([f"{frames:,}", f"{megabytes:.0f}"])
                say(f"{rows[-1][0]} frames: {megabytes:.0f} MB")
            print_table("Memory of `analyze`, 6 people a frame", ["after frames", "MB"], rows)


if __name__ == "__main__":
    main()
