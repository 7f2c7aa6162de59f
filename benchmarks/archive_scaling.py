"""What an archive costs beside detecting, by itself, and what follows for many workers: constants, and a model of them.

python benchmarks/archive_scaling.py [--frames 1500] [--rounds 5]
"""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
import psutil
import supervision as sv
from common import clip_720p, parser, print_machine, print_table

from humandetect.archive.jobs import Job, Video
from humandetect.archive.parts import PartRows
from humandetect.archive.plan import NAME, Plan, find_plan, make_plan
from humandetect.archive.run import merge, standing_of
from humandetect.config import AnalyzeConfig, ArchiveConfig, CountingConfig, SourceConfig
from humandetect.media.frames import DetectedFrame, Frame, Provenance
from humandetect.media.sources.segments import Segment, cut
from humandetect.pipeline.analyze import analyze
from humandetect.processes import Child
from humandetect.storage import FolderStorage

if TYPE_CHECKING:
    from collections.abc import Callable

FPS, SEGMENT_SECONDS, PEOPLE = 25, 60, 5
WORKERS = (1, 4, 16, 100, 1000)


class Costs(NamedTuple):
    """Seconds, of CPU where nothing is waited for."""

    file: float
    """To plan a file: to open it, and to decode its first picture."""
    indexed: float
    """To plan a frame more of it, by its index."""
    packet: float
    """By all packets, where it has none."""
    start: float
    """Until a worker has its engine."""
    frame: float
    """To detect in a frame, by one worker that has one CPU."""
    write: float
    """To write a part, safe on the disk."""
    merged: float
    """To merge the row of a frame."""
    analyzed: float
    """To track and count in the row of a frame, by one process."""
    name: float
    """To list a part."""
    planned: float
    """To read the plan of a segment."""
    plan_bytes: float
    """Of a segment in the plan."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=1500, help="of the videos that are detected in and merged")
    options.add_argument("--rounds", type=int, default=5)
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = args.clip or clip_720p(folder, key_each=50)
        costs = Costs(
            *planning(clip, folder, args.rounds),
            *detecting(clip, args.frames),
            *parts(folder, args.rounds),
            *reading(folder, args.frames),
        )
    print_costs(costs)
    print_model(costs)


def planning(clip: Path, folder: Path, rounds: int) -> tuple[float, float, float]:
    """Return seconds a file, a frame in an index, and a packet, from short and long videos."""
    plan = partial(cut, config=SourceConfig(), seconds=SEGMENT_SECONDS)
    frames = []
    for ending in ("mp4", "mkv"):
        short, long = (repeated(clip, folder / f"{times}.{ending}", times) for times in (1, 40))
        seconds = [fastest(partial(plan, str(path)), rounds) for path, _ in (short, long)]
        frames.append((seconds[1] - seconds[0]) / (long[1] - short[1]))
    return seconds[0] - frames[1] * short[1], frames[0], frames[1]


def repeated(clip: Path, path: Path, times: int) -> tuple[Path, int]:
    """Copy the packets of a video again and again; return how many there are."""
    count = 0
    with av.open(str(path), "w") as out:
        for _ in range(times):
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                if not count:
                    copy = out.add_stream_from_template(stream)
                    step = round(1 / ((stream.average_rate or FPS) * (stream.time_base or 1)))
                offset = count * step
                for packet in source.demux(stream):
                    if packet.pts is not None and packet.dts is not None:
                        packet.stream, packet.pts, packet.dts = copy, packet.pts + offset, packet.dts + offset
                        out.mux(packet)
                        count += 1
    return path, count


def detecting(clip: Path, frames: int) -> tuple[float, float]:
    """Return seconds that a worker takes to begin, and a frame."""
    with tempfile.TemporaryDirectory() as name:
        path, count = repeated(clip, Path(name) / "a.mp4", 1 + frames // 140)
        config = ArchiveConfig(sources=(str(path),), out=Path(name) / "out")
        began = time.perf_counter()
        with Child("humandetect.archive.worker", end_seconds=5) as child:
            child.send((config, [0]))
            child.receive(120)
            started, used = time.perf_counter(), cpu_seconds(child.pid)
            for job in make_plan(config).jobs():
                child.send(job)
                while not child.receive(120).done:
                    pass
            return started - began, (cpu_seconds(child.pid) - used) / count


def cpu_seconds(process: int) -> float:
    used = psutil.Process(process).cpu_times()
    return float(used.user + used.system)


def rows_of(people: int, job: Job, *, walking: np.random.Generator) -> PartRows:
    """Return frames of people who walk, each with jitter, which compresses as badly as what a model says."""
    made = Provenance(
        source=job.video.source, kind="video", size=(1280, 720), every=1, score=0.5, results_score=0.1,
        track_scores=(0.5, 0.3), settings={}, started=None, humandetect="",
    )  # fmt: skip
    image = np.broadcast_to(np.uint8(0), (720, 1280, 3))
    rows, begin, speed = (
        PartRows(job, made, model_sha256=""),
        walking.uniform(0, 1200, people),
        walking.uniform(-3, 3, people),
    )
    first, count = (job.segment.first_frame, job.segment.frames) if job.segment else (0, 0)
    for index in range(first, first + count):
        x = (begin + speed * index) % 1200
        corners = np.stack([x, x * 0 + 200, x + 50, x * 0 + 350], axis=1) + walking.normal(0, 1, (people, 4))
        found = sv.Detections(xyxy=corners, confidence=walking.uniform(0.6, 0.9, people))
        rows.add(DetectedFrame(Frame(image, index, index / FPS, made.source), found))
    return rows


def video(number: int, segments: int, frames: int) -> Video:
    name = f"video{number}.mp4"
    each = tuple(Segment(n, n * frames, frames, n * frames * 512, (n + 1) * frames * 512) for n in range(segments))
    return Video(name, (f"/recordings/{name}",), "video", name, "123456789:1234567890123456789 123456789", each)


def parts(folder: Path, rounds: int) -> tuple[float]:
    """Return seconds to write a part; print how large parts are."""
    job = next(Plan({}, (video(0, 1, FPS * SEGMENT_SECONDS),), {}).jobs())
    sizes = []
    for people in (0, 2, 5, 20):
        data = rows_of(people, job, walking=np.random.default_rng(1)).as_bytes()
        sizes.append([f"{people}", f"{len(data) / 1e3:,.0f} KB", f"{len(data) * 3600 / SEGMENT_SECONDS / 1e6:.1f} MB"])
    print_table(f"Parts of {SEGMENT_SECONDS} s at {FPS} frames/s", ["people", "a part", "an hour of video"], sizes)
    storage = FolderStorage(folder / "written")
    numbers = iter(range(10**6))

    def write() -> None:
        for number in islice(numbers, 50):
            storage.write(f"a/{number}", data)

    return (fastest(write, rounds, clock=time.perf_counter) / 50,)


def reading(folder: Path, frames: int) -> tuple[float, float, float, float, float]:
    """Return seconds to merge a row, to analyze it, to list a part, to read the plan of a segment, and its bytes."""
    out = folder / "archive"
    videos = tuple(video(number, 4, frames // 4) for number in range(2))
    walking = np.random.default_rng(1)
    plan = Plan({}, videos, {})
    for job in plan.jobs():
        FolderStorage(out).write(job.name, rows_of(PEOPLE, job, walking=walking).as_bytes())
    FolderStorage(out).create(NAME, plan.as_json())
    rows = len(videos) * (frames // 4) * 4
    config = ArchiveConfig(out=out, merge=str(folder / "merged.parquet"))
    merged = fastest(lambda: merge(config, []), 2)
    scene = CountingConfig(line=("gate=50%,0%,50%,100%",), events=str(folder / "events.jsonl"))
    analyzed = fastest(lambda: analyze(AnalyzeConfig((out,), counting=scene, jobs=1)), 2)
    many = folder / "many"
    big = Plan({}, tuple(video(number, 100, 1500) for number in range(1000)), {})
    for one in big.videos:
        (many / one.folder).mkdir(parents=True)
        for number in range(100):
            (many / one.folder / f"{number:06d}.parquet").touch()
    (many / NAME).write_bytes(big.as_json())
    planned = fastest(lambda: find_plan(FolderStorage(many)), 3)
    stood = fastest(lambda: standing_of(ArchiveConfig(out=many)), 3)
    shutil.rmtree(many)
    return merged / rows, analyzed / rows, (stood - planned) / 100_000, planned / 100_000, len(big.as_json()) / 100_000


def fastest(work: Callable[[], object], rounds: int, *, clock: Callable[[], float] = time.process_time) -> float:
    """Return the seconds of CPU of the fastest of some rounds: whatever else the machine does only adds to them."""
    taken = []
    for _ in range(rounds):
        began = clock()
        work()
        taken.append(clock() - began)
    return min(taken)


def print_costs(costs: Costs) -> None:
    rows = [
        ["plan a file", f"{costs.file * 1e3:.0f} ms"],
        ["and each frame of it, by the index of an MP4", f"{costs.indexed * 1e6:.1f} µs"],
        ["by all packets, as of an MKV", f"{costs.packet * 1e6:.1f} µs"],
        ["start a worker, with its engine", f"{costs.start:.1f} s"],
        ["detect in a frame, 720p, float32, one CPU", f"{costs.frame * 1e3:.0f} ms"],
        ["write a part, safe on the disk", f"{costs.write * 1e3:.1f} ms"],
        ["read the plan of a segment", f"{costs.planned * 1e6:.1f} µs, {costs.plan_bytes:.0f} bytes"],
        ["find out whether a part is there", f"{costs.name * 1e6:.1f} µs"],
        [f"merge a frame with {PEOPLE} people", f"{costs.merged * 1e6:.0f} µs"],
        [f"track and count in a frame with {PEOPLE} people", f"{costs.analyzed * 1e6:.0f} µs"],
    ]
    print_table("What it costs", ["", "measured"], rows)


def print_model(costs: Costs) -> None:
    """Print how long it takes beside the work that can be shared, and how near that is to a fair share."""
    rows = [
        [what, *(f"{efficiency(costs, hours, workers):.3f}" for workers in WORKERS)]
        for what, hours in (("an hour", 1), ("a day", 24), ("a month", 720), ("a month of 1,000 cameras", 720_000))
    ]
    print_table(
        f"Against a fair share of the work, in segments of {SEGMENT_SECONDS} s, of files of an hour",
        ["of video, by workers", *(f"{workers:,}" for workers in WORKERS)],
        rows,
    )


def efficiency(costs: Costs, hours: float, workers: int) -> float:
    """Return the time that a fair share of the work takes, to the time that it takes."""
    frames = hours * 3600 * FPS
    segments = hours * 3600 / SEGMENT_SECONDS
    work = frames * costs.frame + segments * costs.write
    alone = hours * costs.file + frames * costs.indexed + segments * (costs.planned + 2 * costs.name) + costs.start
    rounds = -(-segments // workers)  # all wait for those who have a segment more
    return work / workers / (alone + rounds * work / segments)


if __name__ == "__main__":
    main()
