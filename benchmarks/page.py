"""What the page of `watch` costs: CPU time of its process while nobody looks, and while some do.

python benchmarks/page.py [--cameras 12] [--viewers 3] [--rate 5]

Each camera shows the same results of the 720p sample, found beforehand: only what a page adds is measured. Those who
look are a process of their own, and say of each picture that they have seen it, as browsers do.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from common import clip_720p, measured, parser, print_machine, print_table

from humandetect import detect_frames, open_detector
from humandetect.config.web import WebConfig
from humandetect.cpus import usable_cpus
from humandetect.watch.base import CameraStatus
from humandetect.watch.store import Store
from humandetect.watch.web.server import page_served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from humandetect.analytics.counts import CountRow
    from humandetect.media.frames import DetectedFrame
    from humandetect.watch.base import Audience

RESULTS = 20
STAGES = {"painter": "drawing", "web": "telling", "cameras": "showing"}
"""Threads, and what they do."""
WARM_UP_SECONDS = 4.0


class Replay:
    """A View whose cameras show results in turn, each at its rate and none at the moment of another."""

    def __init__(self, results: Sequence[DetectedFrame], *, cameras: int, rate: float) -> None:
        self._results, self._rate = results, rate
        self._names = [f"c{number}" for number in range(cameras)]
        self._newest: dict[str, DetectedFrame] = {}
        self._audiences: list[Audience] = []
        self._since = datetime.now(UTC)

    def statuses(self) -> Sequence[CameraStatus]:
        return [
            CameraStatus(
                name, "rtsp://camera/…", "live", None, self._since, size=(1280, 720), people=10, delay_seconds=0.1
            )
            for name in self._names
        ]

    def newest(self, camera: str) -> DetectedFrame | None:
        return self._newest.get(camera)

    def counts(self, camera: str, *, since: datetime) -> Sequence[CountRow]:  # noqa: ARG002
        return ()

    def scene_file(self, camera: str) -> Path | None:  # noqa: ARG002
        return None

    def save_scene(self, camera: str, toml: str) -> None: ...

    def join(self, audience: Audience) -> Callable[[], None]:
        self._audiences.append(audience)
        return lambda: self._audiences.remove(audience)

    def run(self, ended: threading.Event) -> None:
        began, number = time.monotonic(), 0
        while not ended.wait(max(0.0, began + number / self._rate / len(self._names) - time.monotonic())):
            name = self._names[number % len(self._names)]
            shown = self._results[number // len(self._names) % len(self._results)]
            frame = replace(shown.frame, source=name, index=number, time_seconds=time.monotonic() - began)
            self._newest[name] = result = replace(shown, frame=frame)
            for audience in self._audiences:
                audience.on_result(name, result)
                audience.on_status(self.statuses()[0])  # their people are others at nearly each look
            number += 1


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cameras", type=int, default=12)
    options.add_argument("--viewers", type=int, default=3)
    options.add_argument("--rate", type=float, default=5.0)
    options.add_argument("--seconds", type=float, default=20.0)
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = found(args.clip or clip_720p(folder))
        store = Store(folder / "data")
        replay = Replay(results, cameras=args.cameras, rate=args.rate)
        with page_served(WebConfig("0"), replay, store) as (url, _), replaying(replay):
            rows = list(costs(url, viewers=args.viewers, seconds=args.seconds))
        store.close()
    head = ["viewers", *STAGES.values(), "CPU ms a second", f"of {usable_cpus()} cores", "pictures a second", "KB each"]
    print_table(f"{args.cameras} cameras at {args.rate:g} looks a second", head, rows)


def found(clip: Path) -> list[DetectedFrame]:
    """Find and follow the people of the first pictures of a clip."""
    with open_detector() as detector, closing(detect_frames(clip, detector, track=True)) as frames:
        return list(islice(frames, RESULTS))


@contextmanager
def replaying(replay: Replay) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=replay.run, args=(ended,), name="cameras")
    thread.start()
    yield
    ended.set()
    thread.join()


def costs(url: str, *, viewers: int, seconds: float) -> Iterator[list[str]]:
    """Yield a row without viewers, and one with them."""
    for count in (0, viewers):
        seen = multiprocessing.get_context("spawn").Array("q", [0, 0])
        lookers = multiprocessing.get_context("spawn").Process(target=look, args=(url, count, seen), daemon=True)
        lookers.start()
        time.sleep(WARM_UP_SECONDS)
        before = seen[:]
        begun = cpu_seconds()
        with measured() as cost:
            time.sleep(seconds)
        spent = cpu_seconds() - begun
        pictures, size = (now - then for now, then in zip(seen[:], before, strict=True))
        lookers.kill()
        lookers.join()
        used = cost.cpu_seconds / cost.wall_seconds
        yield [
            f"{count}",
            *(f"{spent[name] / cost.wall_seconds * 1000:.0f}" for name in STAGES),
            f"{used * 1000:.0f}",
            f"{used / usable_cpus():.1%}",
            f"{pictures / cost.wall_seconds:.0f}",
            f"{size / pictures / 1000:.1f}" if pictures else "-",
        ]


def cpu_seconds() -> Counter[str]:
    """Return what the threads of each stage have taken, by the name they begin with."""
    names = {thread.native_id: thread.name.split("_")[0] for thread in threading.enumerate()}
    spent: Counter[str] = Counter()
    for thread in psutil.Process().threads():
        spent[names.get(thread.id, "")] += thread.user_time + thread.system_time
    return spent


def look(url: str, count: int, seen: Any) -> None:
    """Look with so many sockets, in a process of its own; `seen` are the pictures, and their bytes."""
    asyncio.run(_look(f"{url.replace('http', 'ws', 1)}v1/live", count, seen))


async def _look(live: str, count: int, seen: Any) -> None:
    from websockets.asyncio.client import connect

    async def one() -> None:
        async with connect(live) as socket:
            async for said in socket:
                if isinstance(said, bytes):
                    seen[0] += 1
                    seen[1] += len(said)
                    await socket.send(json.dumps({"seen": said[2 : 2 + int.from_bytes(said[:2])].decode()}))

    await asyncio.gather(*(one() for _ in range(count)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
