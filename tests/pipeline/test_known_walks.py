"""Exact on known walks: from saved results through tracker and scene to the files of events and counts."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from humandetect.config import AnalyzeConfig, CountingConfig
from humandetect.pipeline.analyze import analyze

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Walk = Callable[[float], tuple[float, float] | None]
    """Where somebody's feet are at a time, in a picture of 600 x 400."""

MIDDLE = "middle=300,0,300,400"
"""Drawn down the picture, so that a walk to the right is `in`."""
STRIPE = "stripe=200,0,400,0,400,400,200,400"
CROSSED, ENTERED, LEFT, SECONDS = 5.4, 3.4, 7.4, 11.0
"""Of `to_the_right` and `to_the_left`."""


def to_the_right(seconds: float) -> tuple[float, float]:
    return 30 + 50 * seconds, 150


def to_the_left(seconds: float) -> tuple[float, float]:
    return 570 - 50 * seconds, 350


def steady(rate: int) -> list[float]:
    return [k / rate for k in range(round(SECONDS * rate) + 1)]


def unsteady() -> list[float]:
    """Between 3 and 50 frames a second, each fifth twice with the same time."""
    steps = np.random.default_rng(1).uniform(0.02, 0.34, 100)
    times = [seconds for seconds in steps.cumsum().round(6).tolist() if seconds < SECONDS]
    return sorted([*times, *times[::5]])


def asked(
    folder: Path, sources: Mapping[str, tuple[Sequence[Walk], Sequence[float]]], *, line: str = MIDDLE,
    clock: Callable[[float], float] = float,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:  # fmt: skip
    """Events and counts of what is saved of each source: who walked there, seen at which times, by which clock."""
    lines = []
    for source, (walks, times) in sources.items():
        lines.append({
            "source": source, "kind": "video", "size": [600, 400], "every": 1, "score": 0.5, "results_score": 0.1,
            "track_scores": [0.5, 0.3], "settings": {}, "started": None, "humandetect": "1",
        })  # fmt: skip
        for index, seconds in enumerate(times):
            feet = [place for walk in walks if (place := walk(seconds))]
            boxes = [{"box": [x - 20, y - 100, x + 20, y], "score": 0.9} for x, y in feet]
            lines.append({"source": source, "frame": index, "time_seconds": round(clock(seconds), 6), "people": boxes})
    saved = folder / "saved.jsonl"
    saved.write_text("".join(json.dumps(said) + "\n" for said in lines), encoding="utf-8")
    told, counts = folder / "events.jsonl", folder / "counts.csv"
    counting = CountingConfig(line=(line,), zone=(STRIPE,), per_seconds=1.0, events=str(told), counts=counts)
    analyze(AnalyzeConfig((saved,), counting=counting))
    events = [json.loads(event) for event in told.read_text(encoding="utf-8").splitlines()]
    return events, list(csv.DictReader(counts.read_text(encoding="utf-8").splitlines()))


def events_of(folder: Path, walk: Walk, *, line: str = MIDDLE) -> list[dict[str, Any]]:
    return asked(folder, {"a.mp4": ([walk], steady(10))}, line=line)[0]


def crossings(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    return sorted(
        (event["direction"], round(event["time_seconds"], 2)) for event in events if event["event"] == "crossing"
    )


def total(rows: Sequence[Mapping[str, str]], column: str) -> float:
    return sum(float(row[column]) for row in rows if row[column])


@pytest.mark.parametrize("times", [steady(25), steady(5), steady(2), unsteady()], ids=["25", "5", "2", "unsteady"])
@pytest.mark.parametrize("start", [0.0, 3600.7])
def test_counts_times_occupancy_and_stays_are_those_of_the_walks(
    tmp_path: Path, times: list[float], start: float
) -> None:
    events, rows = asked(tmp_path, {"a.mp4": ([to_the_right, to_the_left], times)}, clock=lambda at: start + at)
    frame = max(after - before for before, after in pairwise(times)) + 1e-6
    crossed = round(start + CROSSED, 2)
    assert crossings(events) == [("in", crossed), ("out", crossed)]
    for kind, seconds in (("enter", ENTERED), ("exit", LEFT)):
        told = [event["time_seconds"] for event in events if event["event"] == kind]
        assert told == [pytest.approx(start + seconds, abs=frame)] * 2
    dwells = [event["dwell_seconds"] for event in events if event["event"] == "exit"]
    assert dwells == [pytest.approx(LEFT - ENTERED, abs=2 * frame)] * 2
    assert total(rows, "person_seconds") == pytest.approx(2 * (LEFT - ENTERED), abs=2 * frame)
    assert (total(rows, "in"), total(rows, "out"), total(rows, "visits")) == (1, 1, 2)
    assert max(int(row["inside_max"] or 0) for row in rows) == 2
    assert len(events) == 6


@pytest.mark.parametrize(
    ("line", "directions"),
    [
        ("middle=300,400,300,0", ("out", "in")),
        ("middle=50%,0%,50%,100%", ("in", "out")),
        ("middle=300,0,300,200", ("in", None)),
    ],
    ids=["reversed", "percent", "short"],
)
def test_a_line_counts_by_how_it_was_drawn(tmp_path: Path, line: str, directions: tuple[str | None, ...]) -> None:
    for walk, direction in zip((to_the_right, to_the_left), directions, strict=True):
        expected = [] if direction is None else [(direction, CROSSED)]
        assert crossings(events_of(tmp_path, walk, line=line)) == expected


def test_sources_know_nothing_of_each_other(tmp_path: Path) -> None:
    sources = {"a.mp4": ([to_the_right], steady(10)), "b.mp4": ([to_the_left], steady(5))}
    events, rows = asked(tmp_path, sources)
    for source, direction in (("a.mp4", "in"), ("b.mp4", "out")):
        own = [event for event in events if event["source"] == source]
        assert [event["event"] for event in own] == ["enter", "crossing", "exit"]
        assert crossings(own) == [(direction, CROSSED)]
        assert {event["track_id"] for event in own} == {1}
        assert total([row for row in rows if row["source"] == source], direction) == 1


@pytest.mark.parametrize("jump", [30.0, -5.0], ids=["gap", "restart"])
def test_a_jump_of_the_clock_ends_visits_and_keeps_totals(tmp_path: Path, jump: float) -> None:
    """It jumps when somebody has crossed the line and is still in the zone."""
    events, rows = asked(
        tmp_path, {"a.mp4": ([to_the_right], steady(10))}, clock=lambda at: at if at <= 6 else at + jump
    )
    assert [(event["event"], event["track_id"], event["time_seconds"]) for event in events] == [
        ("enter", 1, pytest.approx(ENTERED, abs=0.11)), ("crossing", 1, pytest.approx(CROSSED)), ("exit", 1, 6),
        ("gap", None, 6), ("enter", 2, pytest.approx(6.1 + jump)), ("exit", 2, pytest.approx(LEFT + jump)),
    ]  # fmt: skip
    assert (total(rows, "in"), total(rows, "visits")) == (1, 2)
    assert total([row for row in rows if row["kind"] == "zone"], "seconds_covered") == pytest.approx(SECONDS - 0.1)
    assert total(rows, "person_seconds") == pytest.approx(LEFT - ENTERED - 0.1, abs=0.11)


def test_who_turns_back_on_the_line_did_not_cross(tmp_path: Path) -> None:
    events = events_of(tmp_path, lambda at: to_the_right(min(at, 2 * CROSSED + 0.04 - at)))
    assert [event["event"] for event in events] == ["enter", "exit"]


@pytest.mark.parametrize("speed", [50, -50])
def test_who_appears_on_the_line_did_not_cross(tmp_path: Path, speed: int) -> None:
    assert not crossings(events_of(tmp_path, lambda at: (300 + speed * (at - 2), 200) if at >= 2 else None))


def test_who_appears_on_the_line_crosses_when_he_comes_back_over_it(tmp_path: Path) -> None:
    def there_and_back(at: float) -> tuple[float, float]:
        return 300 + 40 * min(at, 4 - at), 200

    assert crossings(events_of(tmp_path, there_and_back)) == [("out", 4.0)]


@pytest.mark.parametrize("rate", [25, 5, 2])
def test_who_comes_just_before_the_line_is_counted_from_the_first_frame(tmp_path: Path, rate: int) -> None:
    """With the next frame it is certain that there is somebody, and then somebody is over the line already."""
    came = 2.0
    crossed = came + 0.5 / rate

    def over_the_line(at: float) -> tuple[float, float] | None:
        return (300 + 50 * (at - crossed), 200) if at >= came else None

    events, rows = asked(tmp_path, {"a.mp4": ([over_the_line], steady(rate))})
    assert crossings(events) == [("in", round(crossed, 2))]
    assert [event["time_seconds"] for event in events if event["event"] == "enter"] == [came]
    assert (total(rows, "in"), total(rows, "visits")) == (1, 1)


def test_many_who_cross_in_one_frame_are_all_counted(tmp_path: Path) -> None:
    walks: list[Walk] = [lambda at, y=y: (30 + 50 * at, y) for y in (110, 220, 330)]  # type: ignore[misc]
    walks += [lambda at, y=y: (570 - 50 * at, y) for y in (165, 275, 385)]  # type: ignore[misc]
    events, rows = asked(tmp_path, {"a.mp4": (walks, steady(5))})
    assert crossings(events) == [("in", CROSSED)] * 3 + [("out", CROSSED)] * 3
    assert (total(rows, "in"), total(rows, "out"), total(rows, "visits")) == (3, 3, 6)
