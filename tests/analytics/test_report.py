"""Every number of a report is a sum of events or of who was there: the same as in the counts."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.analytics.base import Chain
from humandetect.analytics.counts import CountRow, Counts
from humandetect.analytics.report import MOST_EVENTS, WHOLE_PICTURE, SourceReport
from humandetect.analytics.timeline import MOST_INTERVALS
from humandetect.media.frames import Event
from tests.analytics.walking import scene_events, walked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from humandetect.media.frames import DetectedFrame

LINE, ZONE = "gate=300,0,300,400", "door=400,0,600,0,600,400,400,400"


def walk(rate: int = 10, *, seconds: int = 30) -> list[DetectedFrame]:
    """People who walk to and fro over the line and into the zone, each at a pace of their own, with a gap."""
    frames = []
    for step in range(seconds * rate):
        now = step / rate
        feet = {who: (abs((now * 40 * who + 100 * who) % 1200 - 600), 150.0 + 40 * who) for who in (1, 2, 3)}
        frames.append(walked(now if now < 20 else now + 7, feet))
    return frames


def reported(frames: Iterable[DetectedFrame], **options: Any) -> tuple[SourceReport, list[CountRow], list[Event]]:
    """The report of what is seen at a line and in a zone, and the counts and events of the same."""
    rows: list[CountRow] = []
    report = SourceReport({}, lines=["gate"], zones=["door"], **options)
    chain = Chain([
        scene_events(lines=[LINE], zones=[ZONE]),
        Counts(rows.append, per_seconds=5, lines=["gate"], zones=["door"]),
        report,
    ])  # fmt: skip
    events = [event for frame in frames for event in chain.update(frame).events]
    return report, rows, [*events, *chain.finish()]


@pytest.mark.parametrize("rate", [25, 5])
def test_its_sums_are_those_of_the_counts_and_of_the_events(rate: int) -> None:
    report, rows, events = reported(walk(rate))
    gate, door = report.timeline.total("line", "gate"), report.timeline.total("zone", "door")
    crossings = [event.direction for event in events if event.event == "crossing"]
    assert (gate.entered, gate.left) == (crossings.count("in"), crossings.count("out"))
    assert gate.entered == sum(row["in"] or 0 for row in rows)
    assert gate.left == sum(row["out"] or 0 for row in rows)
    assert min(gate.entered, gate.left) > 3
    assert door.visits == sum(row["visits"] or 0 for row in rows) == sum(event.event == "enter" for event in events)
    assert door.person_seconds == pytest.approx(sum(row["person_seconds"] or 0 for row in rows), abs=1e-4)
    assert door.covered_seconds == pytest.approx(sum(row["seconds_covered"] for row in rows) / 2, abs=1e-4)
    assert door.most == max(row["inside_max"] or 0 for row in rows)
    stays = [event.dwell_seconds for event in events if event.event == "exit" and event.dwell_seconds is not None]
    assert statistics.median(report.dwell_seconds["door"]) == statistics.median(stays)


def test_the_whole_picture_is_a_zone_and_its_heatmap_has_the_same_person_seconds() -> None:
    report, _, _ = reported(walk())
    everybody = report.timeline.total("zone", WHOLE_PICTURE)
    assert everybody.mean == pytest.approx(3.0)
    assert everybody.most == 3
    assert everybody.person_seconds == pytest.approx(report.heatmap.person_seconds, abs=1e-4)
    assert everybody.covered_seconds == pytest.approx(report.heatmap.covered_seconds, abs=1e-4)


def test_beside_them_stands_what_to_think_of_them() -> None:
    frames = walk()
    frames[40:60] = [replace(frame, detected=False) for frame in frames[40:60]]
    frames[70] = replace(frames[70], failure="the server was away")
    report, _, events = reported(frames)
    assert (report.frames, report.kept_frames, report.failed_frames, report.gaps) == (300, 20, 1, 1)
    assert (report.begin_seconds, report.end_seconds) == (0.0, 36.9)
    assert report.track_ends.tracks == 3
    doubts = [event.reliability for event in events if event.line == "gate" and event.reliability != "ok"]
    assert doubts
    told = report.reliability["line", "gate"]
    assert told.total() - told["ok"] == len(doubts)


@pytest.mark.parametrize(("rate", "every"), [(10, 1), (10, 2), (2, 1)])
def test_the_rate_is_that_of_detections_not_of_frames(rate: int, every: int) -> None:
    frames = [replace(frame, detected=number % every == 0) for number, frame in enumerate(walk(rate))]
    report, _, _ = reported(frames)
    assert report.detections_per_second == pytest.approx(rate / every, rel=0.02)


def test_only_the_first_events_are_kept_and_all_are_counted() -> None:
    crossing = Event("crossing", "id", "clip.mp4", 0.0, line="gate", direction="in")
    report = SourceReport({}, lines=["gate"])
    for second in range(3):
        report.update(replace(walked(second, {}), events=(crossing,) * 100))
    report.finish((crossing,))
    assert (len(report.events), report.event_count) == (MOST_EVENTS, 301)
    assert report.timeline.total("line", "gate").entered == 301


def test_memory_does_not_grow_with_the_source() -> None:
    report = SourceReport({})
    for step in range(3000):
        report.update(walked(float(step), {1: (100 + step % 400, 200)}))
    assert len(report.timeline.intervals("zone", WHOLE_PICTURE, report.timeline.width_seconds)) <= MOST_INTERVALS
    assert len(report.heatmap._layers) == 1


@pytest.mark.parametrize("frames", [[], walk()[:1], [walked(0, {}), walked(1, {})]])
def test_nothing_one_frame_and_nobody_are_reports_too(frames: list[DetectedFrame]) -> None:
    report, _, _ = reported(frames)
    assert report.frames == len(frames)
    assert report.timeline.total("line", "gate").entered == 0
