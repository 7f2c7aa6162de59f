"""An archive by the workers of this machine against plain detect on the same video: time, memory, and the same rows.

python benchmarks/archive.py [--seconds 120] [--rounds 3] [--jobs N] [--video]
python benchmarks/archive.py --cluster           on a Ray cluster of two machines of a CPU each, too: processes here
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
        plain = ["detect", str(clip), "--precision", "f32", "--results", "plain.jsonl", *SCORES]
        many = ["archive", str(clip), "--out", "parts", "--segment", "10"]
        plain += ["-o", "plain.mp4"] * args.video
        many += ["--video"] * args.video
        commands = {"`detect --results`": plain, f"`archive`, {args.jobs} workers": [*many, "--jobs", f"{args.jobs}"]}
        if cluster:
            commands["`archive --cluster`"] = [*many, "--cluster", cluster.address]
        rounds: list[list[tuple[float, float]]] = []
        for number in range(args.rounds):
            rounds.append([])
            for command in commands.values():
                shutil.rmtree(folder / "parts", ignore_errors=True)
                rounds[-1].append(cost(folder, command))
            say(f"{number + 1}: " + ", ".join(f"{seconds:.1f} s, {memory:.0f} MB" for seconds, memory in rounds[-1]))
        cost(folder, ["archive", *many[2:], "--merge", "merged.jsonl"])
        same = (folder / "plain.jsonl").read_bytes() == (folder / "merged.jsonl").read_bytes()
    rows, plain_seconds = [], statistics.median(one[0][0] for one in rounds)
    for which, what in enumerate(commands):
        seconds, memory = (statistics.median(one[which][of] for one in rounds) for of in (0, 1))
        rows.append(
            [
                what,
                f"{seconds:.1f} s",
                f"{seconds / plain_seconds:.2f} x",
                f"{memory:.0f} MB" if "cluster" not in what else "",
            ]
        )
    title = f"A video of {args.seconds:g} s, 720p, float32, {args.jobs} workers, median of {args.rounds}"
    print_table(title, ["", "time", "to detect", "peak memory, all processes"], rows)
    print(f"\nMerged, the rows are {'those' if same else 'NOT those'} of `detect`, byte for byte.")


def cost(folder: Path, arguments: list[str]) -> tuple[float, float]:
    """Return wall seconds and peak resident MB of a command and its children."""
    began = time.perf_counter()
    with subprocess.Popen([*HUMANDETECT, *arguments, "--quiet"], cwd=folder) as process, watched(process.pid) as usage:
        code = process.wait()
    assert code == 0, arguments
    return time.perf_counter() - began, usage.peak_memory_mb


if __name__ == "__main__":
    main()
