from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
import supervision as sv

from humandetect.analytics.scene import read_scene
from humandetect.watch.analysis import CameraAnalysis, camera_event
from humandetect.watch.reader import StateChange
from tests.analytics.walking import walked
from tests.watch.memory import ListMemory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.media.frames import DetectedFrame, Event

STARTED = datetime.fromisoformat("2026-11-26T10:21:00+01:00")
LINE, ZONE = "gate=300,0,300,400", "hall=0,0,600,0,600,400,0,400"
RATE = 10


def analysis(memory: ListMemory, *, run: str = "1", anonymize: bool = False) -> CameraAnalysis:
    return CameraAnalysis(
        "door", scene=read_scene(lines=[LINE], zones=[ZONE]), memory=memory, started=STARTED, run=run,
        per_seconds=60.0, track_scores=(0.5, 0.3), anonymize="fill" if anonymize else None,
    )  # fmt: skip


def walk(*, first_seconds: float = 0.0) -> list[DetectedFrame]:
    """Somebody who walks over the line in five seconds."""
    frames = [walked(first_seconds + n / RATE, {1: (150 + 6 * n, 300)}, source="door") for n in range(5 * RATE)]
    return [replace(frame, detections=_without_ids(frame.detections)) for frame in frames]


def _without_ids(people: sv.Detections) -> sv.Detections:
    return sv.Detections(people.xyxy, confidence=people.confidence, class_id=np.ones(len(people), int))


def told(camera: CameraAnalysis, frames: Sequence[DetectedFrame]) -> list[Event]:
    return [event for frame in frames for event in camera.look(frame).events]


def test_a_loss_gives_the_exits_and_then_a_gap() -> None:
    camera = analysis(ListMemory())
    seen = told(camera, walk())
    assert [event.event for event in seen] == ["enter", "crossing"]
    lost = camera.lose("no picture for 20 s")
    assert [event.event for event in lost] == ["exit", "gap"]
    assert lost[-1].reason == "no picture for 20 s"
    assert {event.source for event in (*seen, *lost)} == {"door"}


def test_counts_follow_the_totals_at_once_and_no_minute_is_counted_twice() -> None:
    memory = ListMemory()
    camera = analysis(memory)
    told(camera, walk())
    assert not memory.rows
    assert crossings_counted(camera) == sum(camera.totals["gate"]) == 1
    told(camera, walk(first_seconds=70))
    assert memory.rows
    assert crossings_counted(camera) == sum(camera.totals["gate"]) == 2
    camera.finish()
    assert crossings_counted(camera) == 2


def test_counts_of_today_begin_today() -> None:
    camera = analysis(ListMemory())
    told(camera, walk())
    assert crossings_counted(camera, since=STARTED + timedelta(minutes=1)) == 0


def crossings_counted(camera: CameraAnalysis, *, since: datetime = STARTED) -> int:
    return sum((row["in"] or 0) + (row["out"] or 0) for row in camera.counts(since=since))


def test_a_camera_that_never_had_a_picture_has_no_gap() -> None:
    assert list(analysis(ListMemory()).lose("401")) == []


def test_after_a_loss_people_get_other_ids_and_are_counted_on() -> None:
    camera = analysis(ListMemory())
    before = told(camera, walk())
    camera.lose("away")
    after = told(camera, walk(first_seconds=30))
    assert {event.track_id for event in before}.isdisjoint({event.track_id for event in after} - {None})
    assert sum(camera.totals["gate"]) == 2


def test_ids_and_totals_go_on_after_a_restart() -> None:
    memory = ListMemory()
    first = analysis(memory)
    memory.add_events(told(first, walk()))
    second = analysis(memory, run="2")
    assert second.totals == first.totals
    assert sum(second.totals["gate"]) == 1
    seen = told(second, walk())
    assert min(event.track_id for event in seen if event.track_id) > memory.kept[0].track_id  # type: ignore[operator]
    assert sum(second.totals["gate"]) == 2


def test_the_id_of_an_event_is_of_its_run_and_the_same_within_it() -> None:
    ids = [[event.id for event in told(analysis(ListMemory(), run=run), walk())] for run in ("1", "1", "2")]
    assert ids[0] == ids[1]
    assert set(ids[0]).isdisjoint(ids[2])
    assert len(set(ids[0])) == len(ids[0])


def test_events_have_the_time_on_the_wall() -> None:
    (entered, *_) = told(analysis(ListMemory()), walk(first_seconds=75))
    assert entered.wall_time is not None
    assert entered.wall_time.startswith("2026-11-26T10:22:1")


def test_each_interval_has_its_counts_kept() -> None:
    memory = ListMemory()
    camera = analysis(memory)
    told(camera, [*walk(), *walk(first_seconds=66)])
    (row,) = (row for row in memory.rows if row["name"] == "gate")
    assert (row["in"] or 0) + (row["out"] or 0) == 1
    assert row["start_wall"] == STARTED.isoformat(timespec="milliseconds")


def test_hidden_people_are_counted_all_the_same() -> None:
    camera = analysis(ListMemory(), anonymize=True)
    bright = np.full((400, 600, 3), 255, np.uint8)
    for frame in walk():
        shown = camera.look(replace(frame, frame=replace(frame.frame, image=bright.copy())))
        for x0, y0, x1, y1 in shown.detections.xyxy.astype(int):
            assert not (shown.frame.image[y0:y1, x0:x1] == 255).all()
    assert sum(camera.totals["gate"]) == 1


@pytest.mark.parametrize("reason", [None, "no picture for 20 s"])
def test_a_change_of_state_is_an_event_with_its_reason(reason: str | None) -> None:
    change = StateChange("door", "lost", reason, STARTED)
    event = camera_event(change, seconds=12.3456789, run="1")
    assert (event.event, event.source, event.state, event.reason) == ("camera", "door", "lost", reason)
    assert (event.time_seconds, event.wall_time) == (12.345679, "2026-11-26T10:21:00.000+01:00")
    assert camera_event(change, seconds=12.3456789, run="1").id == event.id
    others = [
        camera_event(change, seconds=12.3456789, run="2"),
        camera_event(change, seconds=13, run="1"),
        camera_event(change._replace(camera="yard"), seconds=12.3456789, run="1"),
        camera_event(change._replace(state="waiting"), seconds=12.3456789, run="1"),
    ]
    assert len({event.id, *(other.id for other in others)}) == 5
