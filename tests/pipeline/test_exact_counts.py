"""Counting against a truth known to the frame: people on known paths, from a file's timestamps to events and counts."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from humandetect.analytics.base import ENOUGH_PER_SECOND
from humandetect.config import AnalyzeConfig, CountingConfig, DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.engines.base import RawDetections
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.sources import Source
from humandetect.pipeline.analyze import analyze
from humandetect.pipeline.run import run
from tests.builders import picture
from tests.fakes import INFO
from tests.media.clips import write_stamps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

END = 12.0
WIDTH, HEIGHT = 0.08, 0.12
"""Of everybody's box, in shares of the picture."""

PATHS: dict[str, tuple[float, list[tuple[float, float]]]] = {
    "goes right": (0.15, [(0, 0.05), (END, 0.90)]),
    "goes left": (0.30, [(0, 0.95), (END, 0.10)]),
    "turns back on the line": (0.45, [(0, 0.35), (2, 0.503), (4, 0.35), (END, 0.35)]),
    "appears on the line": (0.60, [(3, 0.50), (5, 0.50), (END, 0.90)]),
    "stays a while": (0.75, [(0, 0.56), (2, 0.71), (6, 0.71), (10, 0.95)]),
    "is there all the time": (0.90, [(0, 0.70), (END, 0.70)]),
}
"""How far down each foot is, and where across at which second: straight between, nowhere before and after."""

LINE = "gate=50%,100%,50%,0%"
ZONE = "hall=65%,65%,85%,65%,85%,95%,65%,95%"
CROSSED = 0.45 / 0.85 * END
"""When both who go over the line do, one each way."""
ENTERED, LEFT = 1.2, 6 + 7 / 3
"""When who stays a while is in the zone."""


class Walkers:
    """An engine that sees, whatever the picture, who is there at the time of each frame."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self.info = dataclasses.replace(INFO, parallel=1, best_batch=1)
        self._seconds = iter(seconds)

    def infer(self, _images: np.ndarray) -> RawDetections:
        now = next(self._seconds)
        boxes, scores = [], []
        for down, path in PATHS.values():
            times, across = zip(*path, strict=True)
            x = float(np.interp(now, times, across))
            boxes.append([x - WIDTH / 2, down - HEIGHT, x + WIDTH / 2, down])
            scores.append(0.9 if times[0] <= now <= times[-1] else 0.0)
        return RawDetections(
            np.array([boxes], np.float32), np.array([scores], np.float32), np.ones((1, len(boxes)), np.int32)
        )

    def close(self) -> None:
        pass


class Clocked(Source):
    """Has frames at times that no file can have: ours stand still or go back."""

    def __init__(self, seconds: Sequence[float]) -> None:
        super().__init__("clock", VideoInfo(64, 48))
        self._seconds = seconds

    def _frames(self) -> Iterator[Frame]:
        for index, seconds in enumerate(self._seconds):
            yield Frame(picture(), index, seconds, self.name)

    def _release(self) -> None:
        pass


class Told(NamedTuple):
    """What a run said, and `analyze` of its results, byte for byte the same."""

    events: list[dict[str, Any]]
    counts: list[dict[str, str]]

    def times(self, kind: str) -> list[float]:
        return sorted(event["time_seconds"] for event in self.events if event["event"] == kind)

    def crossings(self) -> list[tuple[str, Any]]:
        return sorted((e["direction"], e["time_seconds"]) for e in self.events if e["event"] == "crossing")

    def total(self, column: str) -> float:
        return sum(float(row[column] or 0) for row in self.counts)


def times_at(rate: float) -> list[float]:
    return [k / rate for k in range(round(END * rate) + 1)]


def uneven_times() -> list[float]:
    steps = itertools.cycle([0.04, 0.04, 0.32, 0.1, 0.48, 0.04, 0.2])
    return [round(t, 3) for t in itertools.takewhile(lambda t: t <= END, itertools.accumulate(steps, initial=0.0))]


def go(
    folder: Path, *clocks: Sequence[float], seen: Sequence[float] | None = None, line: str = LINE, **options: Any
) -> Told:
    """Run over a clip for each clock; `seen` are the times on the people's paths where those are not the clock's."""
    folder.mkdir(exist_ok=True)
    clips = [
        write_stamps(folder / f"{number}.mkv", [round(seconds * 1000) for seconds in sorted({*clock})])
        for number, clock in enumerate(clocks)
    ]
    shapes: dict[str, Any] = {"line": (line,), "zone": (ZONE,), "per_seconds": 5.0}
    once, again = (
        CountingConfig(**shapes, events=str(folder / f"{name}.jsonl"), counts=folder / f"{name}.csv")
        for name in ("once", "again")
    )
    results = folder / "results.jsonl"
    config = DetectConfig(tuple(map(str, clips)), counting=once, results=(str(results),), results_score=0.1, **options)
    summary = run(config, detector=Detector(Walkers([*itertools.chain(*clocks)] if seen is None else seen)))
    assert not summary.failures
    analyze(AnalyzeConfig((results,), counting=again))
    for ending in ("jsonl", "csv"):
        assert (folder / f"once.{ending}").read_bytes() == (folder / f"again.{ending}").read_bytes()
    return Told(
        [json.loads(line) for line in (folder / "once.jsonl").read_text(encoding="utf-8").splitlines()],
        list(csv.DictReader((folder / "once.csv").read_text(encoding="utf-8").splitlines())),
    )


@pytest.fixture(scope="module")
def five_a_second(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return go(tmp_path_factory.mktemp("five"), times_at(5))


@pytest.mark.parametrize(
    "times", [times_at(25), times_at(5), times_at(2), uneven_times()], ids=["25", "5", "2", "uneven"]
)
def test_counts_are_exact_and_times_within_a_frame_at_any_rate(times: list[float], tmp_path: Path) -> None:
    told, frame = go(tmp_path, times), max(np.diff(times)) + 1e-3
    assert told.crossings() == [("in", pytest.approx(CROSSED, abs=0.01)), ("out", pytest.approx(CROSSED, abs=0.01))]
    assert told.times("enter") == [0, pytest.approx(ENTERED, abs=frame)]
    assert told.times("exit") == [pytest.approx(LEFT, abs=frame), times[-1]]
    dwells = sorted(event["dwell_seconds"] for event in told.events if event["event"] == "exit")
    assert dwells == [pytest.approx(LEFT - ENTERED, abs=2 * frame), times[-1]]
    trusted = {event["reliability"] for event in told.events if event["event"] == "crossing"}
    assert trusted == {"low_rate" if len(times) < ENOUGH_PER_SECOND * END else "ok"}
    assert len(told.events) == 6, "and nobody else crossed or came in"
    assert [told.total(column) for column in ("in", "out", "visits")] == [1, 1, 2]
    assert told.total("person_seconds") == pytest.approx(times[-1] + LEFT - ENTERED, abs=frame)
    assert max(row["inside_max"] for row in told.counts) == "2"


def test_fewer_frames_looked_at_are_a_lower_rate(five_a_second: Told, tmp_path: Path) -> None:
    told = go(tmp_path, times_at(25), seen=times_at(5), every=5)
    assert told.crossings() == five_a_second.crossings()
    assert [told.times(kind) for kind in ("enter", "exit")] == [five_a_second.times(k) for k in ("enter", "exit")]


def test_a_start_later_in_the_file_tells_the_rest_of_it(five_a_second: Told, tmp_path: Path) -> None:
    told = go(tmp_path, times_at(5), seen=[t for t in times_at(5) if t >= 3], source=SourceConfig(start_seconds=3))
    assert told.crossings() == five_a_second.crossings()
    assert (told.times("enter"), told.times("exit")) == ([3, 3], five_a_second.times("exit"))
    frames = [[e["frame"] for e in run.events if e["event"] == "crossing"] for run in (told, five_a_second)]
    assert frames[0] == frames[1]


def test_a_line_in_pixels_is_the_same_and_a_reversed_one_swaps_the_ways(five_a_second: Told, tmp_path: Path) -> None:
    assert go(tmp_path / "pixels", times_at(5), line="gate=32,48,32,0").crossings() == five_a_second.crossings()
    swapped = go(tmp_path / "reversed", times_at(5), line="gate=50%,0%,50%,100%")
    other = {"in": "out", "out": "in"}
    assert swapped.crossings() == sorted((other[way], seconds) for way, seconds in five_a_second.crossings())


def test_each_of_two_sources_has_its_own_people_and_counts(five_a_second: Told, tmp_path: Path) -> None:
    told = go(tmp_path, times_at(5), uneven_times())
    assert len(told.events) == 2 * len(five_a_second.events)
    first = Told([e for e in told.events if e["source"].endswith("0.mkv")], [])
    for kind in ("enter", "exit"):
        assert first.times(kind) == five_a_second.times(kind)
    assert first.crossings() == five_a_second.crossings()
    assert [told.total(column) for column in ("in", "out", "visits")] == [2, 2, 4]


@pytest.mark.parametrize("jump", [60.0, -5.0], ids=["a gap", "a restart of the clock"])
def test_over_a_jump_of_the_clock_totals_go_on_and_visits_begin_anew(
    jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = times_at(5)
    clock = [seconds if seconds < 5 else seconds + jump for seconds in seen]
    if jump < 0:
        monkeypatch.setattr("humandetect.pipeline.run.open_source", lambda *_, **__: Clocked(clock))
    told = go(tmp_path, clock, seen=seen)
    assert told.times("gap") == [4.8]
    assert told.crossings() == [(way, pytest.approx(CROSSED + jump, abs=0.01)) for way in ("in", "out")]
    assert told.times("enter") == pytest.approx(sorted([0, ENTERED, 5 + jump, 5 + jump]), abs=0.21)
    assert told.times("exit") == pytest.approx(sorted([4.8, 4.8, LEFT + jump, END + jump]), abs=0.21)
    assert [told.total(column) for column in ("in", "out", "visits")] == [1, 1, 4]


def test_frames_of_one_time_count_once(five_a_second: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [seconds for seconds in times_at(5) for _ in range(2)]
    monkeypatch.setattr("humandetect.pipeline.run.open_source", lambda *_, **__: Clocked(twice))
    told = go(tmp_path, twice)
    assert told.crossings() == five_a_second.crossings()
    assert [told.times(kind) for kind in ("enter", "exit")] == [five_a_second.times(k) for k in ("enter", "exit")]
    for column in ("in", "out", "visits", "person_seconds"):
        assert told.total(column) == pytest.approx(five_a_second.total(column))
