"""Cameras watched side by side: how late people are told of, what is dropped, and what stays behind, over time.

python benchmarks/watch.py [--cameras 12] [--seconds 600] [--rate 2]     all of them well
python benchmarks/watch.py --faults                                      half of them break, in random ways
python benchmarks/watch.py --fit                                         cores by number of cameras and looks a second

The cameras are loops of one 720p clip at 10 pictures a second from a server of its own process on this machine.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import httpx
import numpy as np
import psutil
from common import measured, parser, print_machine, print_table, say

from humandetect.config import WatchConfig
from humandetect.cpus import usable_cpus
from humandetect.memory import bound_arenas
from humandetect.models.find import bundled
from humandetect.watch.base import SEEN
from humandetect.watch.check import CARRIED_SHARE
from humandetect.watch.run import Watch
from humandetect.watch.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.watch.base import Audience, CameraStatus

FARM = Path(__file__).parents[1] / "tests" / "watch" / "rtsp_farm.py"
WARM_UP_SECONDS = 15.0
PERIOD_SECONDS = 10.0
FAULTS = ("state=freeze", "state=cut", "state=refuse", "state=hang", "state=missing", "kick=1", "jump=30", "loss=0.05")
WELL = "state=ok&loss=0"
FAULT_SECONDS, WELL_SECONDS = (2.0, 30.0), (5.0, 40.0)
BACK_SECONDS, GOP_SECONDS = 2.0, 1.0
"""From when a camera serves again until it is live, beyond what it has to wait for its turn."""
FIT = ((4, 1.0), (4, 4.0), (8, 1.0), (8, 3.0))
FIT_SECONDS = 20.0


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cameras", type=int, default=12)
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--rate", type=float, default=2.0)
    options.add_argument("--faults", action="store_true")
    options.add_argument("--fit", action="store_true")
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()
    random.seed(args.seed)
    bound_arenas(max(2, usable_cpus()))
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        clip = args.clip or camera_clip(Path(name))
        if args.fit:
            fit(clip, Path(name))
        else:
            run(clip, Path(name), cameras=args.cameras, rate=args.rate, seconds=args.seconds, faults=args.faults)


def camera_clip(folder: Path) -> Path:
    """Write what a camera sends: 720p, 10 pictures a second, a key frame each second."""
    import av

    path = folder / "camera.mp4"
    with av.open(str(bundled("examples/plaza.mp4"))) as sample, av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=10, options={"g": "10", "bf": "0", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for number, frame in enumerate(sample.decode(video=0)):
            scaled = frame.reformat(1280, 720, "yuv420p")
            scaled.pts, scaled.time_base, scaled.pict_type = number, Fraction(1, 10), av.video.frame.PictureType.NONE
            video.mux(stream.encode(scaled))
        video.mux(stream.encode(None))
    return path


@dataclass
class Served:
    """Cameras of a process of its own."""

    rtsp: int
    control: int
    names: Sequence[str]

    def addresses(self) -> tuple[str, ...]:
        return tuple(f"{name}=rtsp://127.0.0.1:{self.rtsp}/{name}" for name in self.names)

    def change(self, name: str, wanted: str) -> None:
        httpx.post(f"http://127.0.0.1:{self.control}/{name}?{wanted}", timeout=10)


@contextmanager
def served(clip: Path, count: int) -> Iterator[Served]:
    names = [f"c{number}" for number in range(count)]
    cameras = [word for name in names for word in ("--cam", f"{name}={clip}")]
    command = [sys.executable, str(FARM), "--port", "0", "--control", "0", "--seconds", "100000", *cameras]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ports = json.loads(process.stdout.readline())
        try:
            yield Served(ports["rtsp"], ports["control"], names)
        finally:
            process.terminate()


class Break(NamedTuple):
    """A camera broke, and serves again."""

    camera: str
    fault: str
    broken_at: float
    """By the clock on the wall."""
    served_at: float


class Changes:
    """An audience that notes when cameras became what."""

    def __init__(self) -> None:
        self.of: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)

    def on_event(self, event: Event) -> None:
        if event.state and event.wall_time:
            self.of[event.source].append((datetime.fromisoformat(event.wall_time).timestamp(), event.state))

    def on_result(self, camera: str, result: DetectedFrame) -> None: ...

    def on_status(self, status: CameraStatus) -> None: ...

    def on_cameras(self, names: Sequence[str]) -> None: ...


@contextmanager
def watching(cameras: Served, folder: Path, *, rate: float, audience: Audience | None = None) -> Iterator[Watch]:
    config = WatchConfig(cameras=cameras.addresses(), rate=rate, decode="all")
    store = Store(folder / "data")
    with Watch(config, memory=store, audiences=[audience] if audience else []) as watch:
        time.sleep(WARM_UP_SECONDS)
        yield watch
    store.close()


def run(clip: Path, folder: Path, *, cameras: int, rate: float, seconds: float, faults: bool) -> None:
    """Watch for a while and print a row each ten seconds or sixty rows, whichever is less."""
    process, rows, changes, breaks = psutil.Process(), [], Changes(), list[Break]()
    with served(clip, cameras) as farm, watching(farm, folder, rate=rate, audience=changes) as watch:
        broken = farm.names[: cameras // 2] if faults else []
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=break_often, args=(farm, name, end, breaks), daemon=True) for name in broken]
        for thread in threads:
            thread.start()
        before = dropped(watch.statuses(), set(broken))
        while time.monotonic() < end:
            with measured() as cost:
                time.sleep(min(max(PERIOD_SECONDS, seconds / 60), end - time.monotonic() + 0.01))
            statuses = watch.statuses()
            well = [one for one in statuses if one.name not in broken]
            delays = [one.delay_seconds for one in well if one.delay_seconds is not None]
            rows.append(
                [
                    f"{seconds - (end - time.monotonic()):.0f} s",
                    f"{max(delays, default=float('nan')) * 1000:.0f} ms",
                    f"{dropped(statuses, set(broken)) - before}",
                    f"{sum(one.state == 'live' for one in statuses)}",
                    f"{sum(sum(one.reconnects.values()) for one in statuses)}",
                    f"{process.memory_info().rss / 1e6:.0f}",
                    f"{process.num_fds()}",
                    f"{process.num_threads()}",
                    f"{cost.busy:.0%}",
                ]
            )
            say(" | ".join(rows[-1]))
        for thread in threads:
            thread.join()
    title = f"{cameras} cameras of 720p10 at {rate:g} looks a second" + (", half of them broken" if faults else "")
    head = ["after", "p95 of the well", "dropped by them", "live", "reconnects", "MB", "descriptors", "threads", "CPU"]
    print_table(title, head, rows)
    if faults:
        limit = f"{BACK_SECONDS:g} s and a GOP of {GOP_SECONDS:g} s"
        print_table(
            f"From serving again to live, less the back-off and the rest of a try from before: {limit} at most",
            ["broken by", "times", "median", "worst", "most tries", "longest wait", "in time"],
            back(changes, breaks),
        )


def back(changes: Changes, breaks: Sequence[Break]) -> list[list[str]]:
    """Return a row for each fault that cameras came back from, before the next one."""
    found: defaultdict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for one in breaks:
        later = [other.broken_at for other in breaks if other.camera == one.camera and other.broken_at > one.served_at]
        if came := way_back(changes.of[one.camera], one.served_at, min(later, default=math.inf)):
            found[one.fault].append(came)
    rows = []
    for fault, all_ in sorted(found.items()):
        seconds, waited, tries = zip(*all_, strict=True)
        in_time = sum(took <= BACK_SECONDS + GOP_SECONDS for took in seconds)
        took = (f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
        rows.append([fault, str(len(all_)), *took, str(max(tries)), f"{max(waited):.1f} s", f"{in_time}"])
    return rows


def way_back(
    changes: Sequence[tuple[float, str]], served_at: float, ends_at: float
) -> tuple[float, float, int] | None:  # fmt: skip
    """Return the seconds to live, those it had to wait on top, and the tries; None: it was not away, or still is."""
    took, waited, tries = 0.0, 0.0, 0
    for (at, state), (until, _) in pairwise([*changes, (math.inf, "")]):
        if until < served_at or at > ends_at:
            continue
        if state in SEEN:
            if tries:
                return took, waited, tries
            continue
        seconds = until - max(at, served_at)
        if state in ("waiting", "refused") or at < served_at:  # a try from before is given up when its time is
            waited += seconds
        else:
            took += seconds
        tries += state == "connecting"
    return None


def dropped(statuses: Sequence[CameraStatus], broken: set[str]) -> int:
    return sum(sum(one.dropped.values()) for one in statuses if one.name not in broken)


def break_often(farm: Served, name: str, end: float, breaks: list[Break]) -> None:
    """Break a camera in random ways for random times, and leave it well."""
    while (left := end - time.monotonic()) > WELL_SECONDS[1]:
        fault, broken_at = random.choice(FAULTS), time.time()  # noqa: S311
        farm.change(name, fault)
        time.sleep(min(random.uniform(*FAULT_SECONDS), left))  # noqa: S311
        farm.change(name, WELL)
        breaks.append(Break(name, fault, broken_at, broken_at if fault.startswith("kick") else time.time()))
        time.sleep(min(random.uniform(*WELL_SECONDS), max(0.0, end - time.monotonic())))  # noqa: S311
    farm.change(name, WELL)


def fit(clip: Path, folder: Path) -> None:
    """Print the cores that cameras take, and the formula through them."""
    rows, costs = [], []
    for count, rate in FIT:
        with served(clip, count) as farm, watching(farm, folder / f"{count}-{rate}", rate=rate), measured() as cost:
            time.sleep(FIT_SECONDS)
        costs.append(cost.cpu_seconds / cost.wall_seconds)
        rows.append([f"{count}", f"{rate:g}", f"{costs[-1]:.2f}"])
        say(" | ".join(rows[-1]))
    known = np.array([(count, count * rate) for count, rate in FIT])
    camera, look = np.linalg.lstsq(known, np.array(costs), rcond=None)[0]
    print_table("CPU of the watching process", ["cameras", "looks a second of each", "cores"], rows)
    carried = int(usable_cpus() * CARRIED_SHARE / (camera + 2 * look))
    print(f"\ncores = cameras x ({camera * 1000:.0f} + {look * 1000:.1f} x looks a second) ms")
    print(f"\nAt 2 looks a second {carried} cameras take {CARRIED_SHARE:.0%} of {usable_cpus()} cores.")


if __name__ == "__main__":
    main()
