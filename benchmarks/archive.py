"""An archive by the workers of this machine against plain detect on the same video: time, memory, and the same rows.

python benchmarks/archive.py [--seconds 120] [--rounds 3] [--jobs N] [--video]
python benchmarks/archive.py --cluster           on a Ray cluster of two machines of a CPU each, too: processes here

What a command takes for a video of one frame is its start: of Ray, to start and connect, and to begin a worker.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from common import clip_720p, parser, print_machine, print_table, say
from killed_archives import two_machines

from humandetect.bench.usage import watched
from humandetect.cpus import usable_cpus

HUMANDETECT = [sys.executable, "-m", "humandetect"]
SCORES = ["--results-score", "0.1"]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=120, help="length of the video")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--jobs", type=int, default=usable_cpus())
    options.add_argument("--video", action="store_true", help="annotated videos, too")
    options.add_argument("--cluster", action="store_true")
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name, two_machines() if args.cluster else nullcontext() as cluster:
        folder = Path(name)
        clip = args.clip or clip_720p(folder, seconds=args.seconds, key_each=20)
        frame = clip_720p(folder, seconds=0.1, key_each=20)
        detect = ["--precision", "f32", "--results", "plain.jsonl", *SCORES, *["-o", "plain.mp4"] * args.video]
        parts = ["--out", "parts", "--segment", "10", *["--video"] * args.video]
        commands = {
            "`detect --results`": ["detect", *detect],
            f"`archive`, {args.jobs} workers": ["archive", *parts, "--jobs", f"{args.jobs}"],
        }
        if cluster:
            commands["`archive --cluster`"] = ["archive", *parts, "--cluster", cluster.address]
        rounds: list[list[Taken]] = []
        for number in range(args.rounds):
            rounds.append([taken(folder, command, clip, frame) for command in commands.values()])
            say(f"{number + 1}: " + ", ".join(map(str, rounds[-1])))
        cost(folder, ["archive", *parts, "--merge", "merged.jsonl"])
        same = (folder / "plain.jsonl").read_bytes() == (folder / "merged.jsonl").read_bytes()
    rows, medians = [], [Taken(*map(statistics.median, zip(*one, strict=True))) for one in zip(*rounds, strict=True)]
    for what, one in zip(commands, medians, strict=True):
        seconds, working = (one.seconds / medians[0].seconds, one.working / medians[0].working)
        memory = f"{one.memory_mb:.0f} MB" if "cluster" not in what else ""
        rows.append(
            [what, f"{one.seconds:.1f} s", f"{seconds:.2f} x", f"{one.start:.1f} s", f"{working:.2f} x", memory]
        )
    title = f"A video of {args.seconds:g} s, 720p, float32, {args.jobs} workers, median of {args.rounds}"
    head = ["", "time", "to detect", "of it start", "after it, to detect", "peak memory, all processes"]
    print_table(title, head, rows)
    print(f"\nMerged, the rows are {'those' if same else 'NOT those'} of `detect`, byte for byte.")


class Taken(NamedTuple):
    """What a command takes, in all and to start."""

    seconds: float
    start: float
    memory_mb: float

    @property
    def working(self) -> float:
        return self.seconds - self.start

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, of it start {self.start:.1f} s, {self.memory_mb:.0f} MB"


def taken(folder: Path, command: list[str], clip: Path, frame: Path) -> Taken:
    """Have a command work on the shortest video, and then on that which is measured."""
    what, *options = command
    costs = []
    for video in (frame, clip):
        shutil.rmtree(folder / "parts", ignore_errors=True)
        costs.append(cost(folder, [what, str(video), *options]))
    (start, _), (seconds, memory_mb) = costs
    return Taken(seconds, start, memory_mb)


def cost(folder: Path, arguments: list[str]) -> tuple[float, float]:
    """Return wall seconds and peak resident MB of a command and its children."""
    began = time.perf_counter()
    with subprocess.Popen([*HUMANDETECT, *arguments, "--quiet"], cwd=folder) as process, watched(process.pid) as usage:
        code = process.wait()
    assert code == 0, arguments
    return time.perf_counter() - began, usage.peak_memory_mb


if __name__ == "__main__":
    main()
