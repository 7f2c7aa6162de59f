"""An archive by the workers of this machine against plain detect on the same video: time, memory, and the same rows.

python benchmarks/archive.py [--seconds 120] [--rounds 3] [--jobs N] [--video]
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import clip_720p, parser, print_machine, print_table, say

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
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = args.clip or clip_720p(folder, seconds=args.seconds, key_each=20)
        plain = ["detect", str(clip), "--precision", "f32", "--results", "plain.jsonl", *SCORES]
        many = ["archive", str(clip), "--out", "parts", "--segment", "10", "--jobs", f"{args.jobs}"]
        plain += ["-o", "plain.mp4"] * args.video
        many += ["--video"] * args.video
        rounds = []
        for number in range(args.rounds):
            shutil.rmtree(folder / "parts", ignore_errors=True)
            rounds.append([cost(folder, plain), cost(folder, many)])
            say(f"{number + 1}: " + ", ".join(f"{seconds:.1f} s, {memory:.0f} MB" for seconds, memory in rounds[-1]))
        cost(folder, ["archive", *many[2:], "--merge", "merged.jsonl"])
        same = (folder / "plain.jsonl").read_bytes() == (folder / "merged.jsonl").read_bytes()
    seconds = [statistics.median(one[which][0] for one in rounds) for which in (0, 1)]
    memory = [statistics.median(one[which][1] for one in rounds) for which in (0, 1)]
    rows = [
        ["`detect --results`", f"{seconds[0]:.1f} s", "", f"{memory[0]:.0f} MB"],
        [
            f"`archive`, {args.jobs} workers",
            f"{seconds[1]:.1f} s",
            f"{seconds[1] / seconds[0]:.2f} x",
            f"{memory[1]:.0f} MB",
        ],
    ]
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
