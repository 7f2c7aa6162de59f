"""How much of what a server can do does `humandetect feed` get? Feed and bench's client take turns on one server.

python benchmarks/feed.py [--clip VIDEO] [--endpoint auto request v1] [--rounds 3] [--frames 300]

Both send batches of 16 frames over 4 connections, JPEGs of the same quality; bench's client has them ready, where feed
reads and encodes them. Feed writes results only. Prints rates, CPU time of the server and of whoever asks it, and the
ratios of both: where all cores are busy they agree, where others use them too that of CPU time is the better.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from common import clip_720p, measured, parser, print_machine, print_table, say

from humandetect.bench.load_process import LoadProcess
from humandetect.bench.loads import Load, WindowPlan
from humandetect.bench.server_load import ServerSetup
from humandetect.bench.usage import watched
from humandetect.config import FeedConfig, ServeConfig, SourceConfig
from humandetect.feed import run
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import open_source
from humandetect.service.process.spawned import Spawned, spawned

if TYPE_CHECKING:
    from argparse import Namespace

    from humandetect.bench.samples import WindowSamples
    from humandetect.config import Endpoint

FEED = FeedConfig()
LOAD = Load("batch", FEED.batch, FEED.workers)
WINDOW_SECONDS = 4.0


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--endpoint", nargs="+", default=["auto", "request"], choices=["auto", "request", "v1"])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--frames", type=int, default=300)
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        clip = args.clip or clip_720p(Path(name), seconds=30)
        with open_source(str(clip), SourceConfig(limit=64)) as source:
            pictures = tuple(encode_jpeg(frame.image, quality=FEED.jpeg_quality) for frame in source)
        with spawned(ServeConfig()) as server, LoadProcess("humandetect.bench.server_load") as client:
            client.ask(ServerSetup(server.url, pictures))
            _bench(client, server.pid, seconds=1.0)
            _feed(server, clip, "auto", 2 * LOAD.batch)
            rows = [_row(client, server, clip, endpoint, args) for endpoint in args.endpoint]
    sides = [f"{side} {what}" for side in ("bench", "feed") for what in ("images/s", "server CPU ms", "own CPU ms")]
    title = f"Feed against bench, medians of {args.rounds} rounds"
    print_table(title, ["endpoint", *sides, "ratio of rates", "ratio of CPU time"], rows)


def _row(client: LoadProcess, server: Spawned, clip: Path, endpoint: Endpoint, args: Namespace) -> list[str]:
    rounds = []
    for _ in range(args.rounds):
        bench = _bench(client, server.pid, seconds=WINDOW_SECONDS)
        feed = _feed(server, clip, endpoint, args.frames)
        say(f"{endpoint}: bench {bench.rate:.1f}, feed {feed.rate:.1f} images/s")
        rounds.append((bench, feed))
    sides = [
        f"{median(getattr(side, what) for side in some):.1f}"
        for some in zip(*rounds, strict=True)
        for what in ("rate", "server_ms", "own_ms")
    ]
    rates = median(feed.rate / bench.rate for bench, feed in rounds)
    costs = median(bench.cpu_ms / feed.cpu_ms for bench, feed in rounds)
    return [endpoint, *sides, f"{rates:.2f}", f"{costs:.2f}"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Images a second, and CPU milliseconds an image: of the server, and of the process that asks it."""

    rate: float
    server_ms: float
    own_ms: float

    @property
    def cpu_ms(self) -> float:
        return self.server_ms + self.own_ms


def _bench(client: LoadProcess, pid: int, *, seconds: float) -> Outcome:
    with watched(pid) as usage:
        samples: WindowSamples = client.ask(WindowPlan(LOAD, seconds))
    good = sum(sample.images for sample in samples.counted if not sample.error)
    everything = sum(sample.images for sample in samples.sent)
    return Outcome(
        good / samples.seconds, usage.cpu_seconds / everything * 1000, samples.client_cpu_seconds / everything * 1000
    )


def _feed(server: Spawned, clip: Path, endpoint: Endpoint, frames: int) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        config = FeedConfig(
            sources=(str(clip),), results=(f"{folder}/people.jsonl",), url=server.url, endpoint=endpoint,
            concurrent=True, source=SourceConfig(limit=frames),
        )  # fmt: skip
        with measured() as cost, watched(server.pid) as usage:
            summary = run(config)
    assert not summary.failures
    cost.frames = summary.frames
    return Outcome(summary.fps, usage.cpu_seconds / summary.frames * 1000, cost.cpu_ms)


if __name__ == "__main__":
    main()
