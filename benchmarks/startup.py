"""From the command to the result of one picture, first with an empty cache and then again; and `--help`.

python benchmarks/startup.py [--engine openvino|tensorflow] [--runs 5]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import clip_720p, parser, print_machine, print_table

from humandetect.config import SourceConfig
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import open_source


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--engine", default="openvino", choices=["openvino", "tensorflow"])
    options.add_argument("--runs", type=int, default=5)
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = _picture(args.clip or clip_720p(folder), folder)
        detect = ["detect", str(picture), "-o", str(folder / "out.jpg"), "--engine", args.engine, "--quiet"]
        first = [_seconds(detect, cache=folder / f"cache{run}") for run in range(args.runs)]
        again = [_seconds(detect, cache=folder / "cache0") for _ in range(args.runs)]
        helped = [_seconds(["--help"], cache=folder) for _ in range(args.runs)]
    times = {"first picture, empty cache": first, "first picture, warm cache": again, "`--help`": helped}
    rows = [[what, f"{statistics.median(some):.2f}", f"{max(some):.2f}"] for what, some in times.items()]
    print_table(f"Start, engine {args.engine}", ["", "median s", f"worst of {args.runs} s"], rows)


def _picture(clip: Path, folder: Path) -> Path:
    with open_source(str(clip), SourceConfig(limit=1)) as source:
        (frame,) = source
    (folder / "picture.jpg").write_bytes(encode_jpeg(frame.image))
    return folder / "picture.jpg"


def _seconds(arguments: list[str], *, cache: Path) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "humandetect", *arguments],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
