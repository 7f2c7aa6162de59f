"""Does `humandetect bench` say what an independent tool says? It and wrk take turns on one server with the same body.

python benchmarks/wrk.py [--seconds 5] [--pairs 5]

Prints images/s by both and their ratio, the middle of all pairs; exit code 1 where they differ by more than 10 %.
Needs wrk: apt-get install wrk, dnf install wrk, brew install wrk, or https://github.com/wg/wrk.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import parser, print_machine, print_table, say

from humandetect.bench.load_process import LoadProcess
from humandetect.bench.loads import Load, WindowPlan
from humandetect.bench.server_load import ServerSetup
from humandetect.bench.workload import read_pictures
from humandetect.client.detect_client import batch_body
from humandetect.config import SAMPLE, ServeConfig
from humandetect.service.process.spawned import spawned

if TYPE_CHECKING:
    from argparse import Namespace

    from humandetect.bench.samples import WindowSamples

# wrk leaves out what is under way when its time is over: a window must hold many more requests than that.
LOADS = (Load("stream", 1, 20), Load("batch", 4, 4))
MOST_APART = 0.1
SCRIPT = """
local file = io.open({path}, "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {{"requests": %d, "seconds": %f, "errors": %d}}\\n', summary.requests,
    summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def main() -> None:
    options = _options()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk, dnf install wrk or brew install wrk")
    print_machine()
    picture = read_pictures(SAMPLE).data[0]
    rows, largest = [], 0.0
    with spawned(ServeConfig()) as server:
        for load in LOADS:
            pairs = _pairs(server.url, load, (picture,) * load.batch, options)
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            largest = max(largest, abs(ratio - 1))
            ours, theirs = (statistics.median(rates) for rates in zip(*pairs, strict=True))
            rows.append([load.name, f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.3f}"])
    head = ["", "images/s by bench", "by wrk", "ratio"]
    print_table(f"Medians of {options.pairs} pairs of {options.seconds} s", head, rows)
    if largest > MOST_APART:
        sys.exit(f"they differ by {largest:.0%}, more than {MOST_APART:.0%}")


def _options() -> Namespace:
    options = parser(__doc__, clip=False)
    options.add_argument("--seconds", type=int, default=5, help="length of a window")
    options.add_argument("--pairs", type=int, default=5)
    return options.parse_args()


def _pairs(url: str, load: Load, pictures: tuple[bytes, ...], options: Namespace) -> list[tuple[float, float]]:
    """Return rates by bench and by wrk, which take turns."""
    pairs = []
    with LoadProcess("humandetect.bench.server_load") as client:
        client.ask(ServerSetup(url, pictures))
        client.ask(WindowPlan(load, seconds=1.0, requests=2 * load.concurrency))  # warm
        for number in range(options.pairs):
            if number % 2 == 0:
                ours, theirs = _bench(client, load, options.seconds), _wrk(url, load, pictures, options.seconds)
            else:
                theirs, ours = _wrk(url, load, pictures, options.seconds), _bench(client, load, options.seconds)
            say(f"{load.name}: bench {ours:.1f}, wrk {theirs:.1f} images/s")
            pairs.append((ours, theirs))
    return pairs


def _bench(client: LoadProcess, load: Load, seconds: float) -> float:
    samples: WindowSamples = client.ask(WindowPlan(load, seconds))
    return sum(sample.images for sample in samples.counted if not sample.error) / samples.seconds


def _wrk(url: str, load: Load, pictures: tuple[bytes, ...], seconds: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        body, script = Path(name) / "body.json", Path(name) / "post.lua"
        body.write_bytes(batch_body(pictures))
        script.write_text(SCRIPT.format(path=json.dumps(str(body))), encoding="utf-8")
        command = ["wrk", "-t1", f"-c{load.concurrency}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script)]
        said = subprocess.run([*command, f"{url}/request"], capture_output=True, text=True, check=True).stdout
    result = json.loads(next(line for line in said.splitlines() if line.startswith("RESULT "))[7:])
    if result["errors"]:
        sys.exit(f"wrk met {result['errors']} errors")
    rate: float = result["requests"] * load.batch / result["seconds"]
    return rate


if __name__ == "__main__":
    main()
