"""Peak memory of `humandetect detect` as a process of its own: a short and a long video must cost the same.

python benchmarks/memory.py [--engine openvino|tensorflow] [--seconds 30 600]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from common import clip_720p, parser, print_machine


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--engine", default="openvino", choices=["openvino", "tensorflow"])
    options.add_argument("--seconds", type=float, nargs="+", default=[30, 600], help="lengths of the videos")
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seconds in args.seconds:
            clip = args.clip or clip_720p(folder, seconds=seconds)
            for outputs in (["-o", "out.mp4", "--results", "out.jsonl"], ["--results", "out.jsonl"]):
                peak, frames, fps = peak_mb(folder, ["detect", str(clip), "--engine", args.engine, *outputs])
                what = "video and results" if "-o" in outputs else "results only"
                print(
                    f"{args.engine}, {seconds:g} s of 720p, {what}: peak {peak:.0f} MB, {frames} frames, {fps} frames/s"
                )


def peak_mb(folder: Path, arguments: list[str]) -> tuple[float, int, float]:
    """Return the largest resident memory seen in MB (10^6 bytes), sampled and as the system's own high-water mark."""
    command = [sys.executable, "-m", "humandetect", *arguments, "--json", "--quiet"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)
    peak = [0]

    def watch() -> None:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak[0] = max(peak[0], watched.memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    summary = json.loads(process.communicate()[0])
    watcher.join()
    return peak[0] / 1e6, summary["frames"], summary["fps"]


if __name__ == "__main__":
    main()
