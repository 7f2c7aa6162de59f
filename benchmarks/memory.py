"""Peak memory of `humandetect detect` as a process of its own: a short and a long video must cost the same.

python benchmarks/memory.py [--engine openvino|tensorflow] [--seconds 30 600]
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import clip_720p, parser, print_machine, print_table, say

from humandetect.bench.usage import watched

OUTPUTS = {"video and results": ["-o", "out.mp4", "--results", "out.jsonl"], "results only": ["--results", "out.jsonl"]}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--engine", default="openvino", choices=["openvino", "tensorflow"])
    options.add_argument("--seconds", type=float, nargs="+", default=[30, 600], help="lengths of the videos")
    args = options.parse_args()
    print_machine()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seconds, (what, outputs) in itertools.product(args.seconds, OUTPUTS.items()):
            clip = args.clip or clip_720p(folder, seconds=seconds)
            peak, frames, fps = peak_mb(folder, ["detect", str(clip), "--engine", args.engine, *outputs])
            rows.append([f"{seconds:g} s, {what}", f"{peak:.0f}", f"{frames}", f"{fps}"])
            say(f"{rows[-1][0]}: {peak:.0f} MB")
    print_table(f"720p video, engine {args.engine}", ["", "peak MB", "frames", "frames/s"], rows)


def peak_mb(folder: Path, arguments: list[str]) -> tuple[float, int, float]:
    """Return the largest resident memory seen in MB (10^6 bytes), the frames and the frames a second."""
    command = [sys.executable, "-m", "humandetect", *arguments, "--json", "--quiet"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as process, watched(process.pid) as usage:
        summary = json.loads(process.communicate()[0])
    return usage.peak_memory_mb, summary["frames"], summary["fps"]


if __name__ == "__main__":
    main()
