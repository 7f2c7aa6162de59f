"""How much of what a server can do does `humandetect feed` get? Feed and bench's client take turns on one server.

python benchmarks/feed.py [--clip VIDEO] [--endpoint auto request v1] [--rounds 3] [--frames 300]

Both send batches of 16 frames over 4 connections, JPEGs of the same quality; bench's client has them ready, where feed
reads and encodes them. Feed writes results only. Prints the rates, their ratio, and the CPU time of the feed process.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import clip_720p, measured, parser, print_machine

from humandetect.bench.child import Child, child
from humandetect.bench.load import Server
from humandetect.bench.plan import Load, Order
from humandetect.config import FeedConfig, ServeConfig, SourceConfig
from humandetect.feed import run
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import open_source
from humandetect.service.spawn import spawned

if TYPE_CHECKING:
    from argparse import Namespace

    from humandetect.bench.samples import Haul
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
        with spawned(ServeConfig()) as server, child("humandetect.bench.load") as client:
            client.ask(Server(server.url, pictures))
            _bench(client, seconds=1.0)
            for endpoint in args.endpoint:
                _compare(client, server.url, clip, endpoint, args, Path(name))


def _compare(client: Child, url: str, clip: Path, endpoint: Endpoint, args: Namespace, folder: Path) -> None:
    results = (str(folder / "people.jsonl"),)
    ratios = []
    for _ in range(args.rounds):
        bench = _bench(client, seconds=WINDOW_SECONDS)
        config = FeedConfig(
            sources=(str(clip),), results=results, url=url, endpoint=endpoint, concurrent=True,
            source=SourceConfig(limit=args.frames),
        )  # fmt: skip
        with measured() as cost:
            summary = run(config)
        cost.frames = summary.frames
        assert not summary.failures
        ratios.append(summary.fps / bench)
        print(
            f"{endpoint}: bench {bench:.1f} images/s, feed {summary.fps:.1f} frames/s, ratio {ratios[-1]:.2f}; "
            f"{cost.cpu_ms:.1f} ms CPU of feed a frame", flush=True,
        )  # fmt: skip
    print(f"{endpoint}: ratio {statistics.median(ratios):.2f}")


def _bench(client: Child, *, seconds: float) -> float:
    haul: Haul = client.ask(Order(LOAD, seconds))
    return sum(sample.images for sample in haul.counted if not sample.error) / haul.seconds


if __name__ == "__main__":
    main()
