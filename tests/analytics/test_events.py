"""Every event says what, where, when, who, and how far it can be trusted."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime

import numpy as np
import pytest

from humandetect.analytics.base import Chain
from humandetect.analytics.events import SceneEvents
from humandetect.analytics.scene import read_scene
from humandetect.analytics.tracking import Tracker
from humandetect.errors import UsageError
from humandetect.media.frames import DetectedFrame, Event, Frame
from tests.analytics.walking import brief, scene_events, told, walked
from tests.builders import people

FLAT = "flat=100,200,500,200"
HALL = "hall=200,200,400,200,400,300,200,300"
INSIDE, OUTSIDE = (300.0, 250.0), (100.0, 250.0)


def walk_over(*, rate: float = 10, seconds: float = 4, start: float = 0, track: int = 1) -> list[DetectedFrame]:
    """Somebody walks up over the line in the middle of the time."""
    steps = round(seconds * rate)
    return [walked(start + k / rate, {track: (300, 280 - 160 * k / steps)}) for k in range(steps + 1)]


def test_a_gap_ends_visits_at_the_last_time_seen_and_is_told_once_after_them() -> None:
    frames = [walked(k / 10, {1: INSIDE}) for k in range(21)] + [walked(9 + k / 10, {2: INSIDE}) for k in range(21)]
    events = told(scene_events(zones=[HALL]), frames)
    assert brief(events) == [
        ("enter", "hall", 1, 0), ("exit", "hall", 1, 2), ("gap", None, None, 2),
        ("enter", "hall", 2, 9), ("exit", "hall", 2, 11),
    ]  # fmt: skip
    assert (events[2].reason, events[2].frame) == ("no frame for 7.0 s", 200)


def test_a_restart_of_the_clock_is_a_gap() -> None:
    frames = [walked(5 + k / 10, {1: INSIDE}) for k in range(11)] + [walked(k / 10, {2: INSIDE}) for k in range(11)]
    events = told(scene_events(zones=[HALL]), frames)
    assert brief(events)[1:4] == [("exit", "hall", 1, 6), ("gap", None, None, 6), ("enter", "hall", 2, 0)]
    assert events[2].reason == "the clock went back 6.0 s"


def test_two_seconds_without_a_frame_are_no_gap() -> None:
    assert told(scene_events(), [walked(0, {}), walked(2, {}), walked(4, {})]) == []


def test_who_was_seen_first_before_the_source_went_away_is_not_followed_from_there() -> None:
    stage = scene_events(lines=[FLAT])
    first, then = walked(1, {1: (300, 230)}), walked(1.2, {1: (300, 170)})
    stage.update(walked(1, {}))
    assert stage.update(dataclasses.replace(then, first_seen=first)).events
    stage.lose("read nothing")
    assert not stage.update(dataclasses.replace(then, first_seen=first)).events


def test_frames_that_were_not_looked_at_tell_nothing() -> None:
    frames = [dataclasses.replace(f, detected=k % 2 == 0) for k, f in enumerate(walk_over())]
    elsewhere = [f if f.detected else walked(f.frame.time_seconds, {1: OUTSIDE}, detected=False) for f in frames]
    assert brief(told(scene_events(lines=[FLAT], zones=[HALL]), elsewhere)) == [
        ("enter", "hall", 1, 0), ("crossing", "in", 1, 2), ("exit", "hall", 1, 1.8),
    ]  # fmt: skip


def test_who_stays_longer_than_allowed_is_told_once_a_visit(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("scene") / "scene.toml"
    path.write_text('[[zone]]\nname = "hall"\npoints = [[200, 200], [400, 200], [400, 300]]\nloiter_seconds = 3\n')
    frames = [walked(k / 10, {1: (350, 250)}) for k in range(61)]
    events = told(SceneEvents(read_scene(path)), frames)
    assert brief(events) == [("enter", "hall", 1, 0), ("loiter", "hall", 1, 3), ("exit", "hall", 1, 6)]
    assert events[1].dwell_seconds == 3


def test_a_crowd_is_told_after_two_seconds_and_again_only_after_it_was_none(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("scene") / "scene.toml"
    path.write_text('[[zone]]\nname = "hall"\npoints = [[200, 200], [400, 200], [400, 300]]\nmax_people = 1\n')
    two = {*range(10, 29), *range(30, 80), *range(90, 120)}  # 1.8 s, then 4.9 s, then 2.9 s
    frames = [walked(k / 10, {-1: (350, 240), -2: (350, 250)} if k in two else {-1: (350, 250)}) for k in range(130)]
    assert brief(told(SceneEvents(read_scene(path)), frames)) == [
        ("crowd", "hall", None, 3),
        ("crowd", "hall", None, 9),
    ]


def test_a_crossing_tells_the_score_of_the_last_second_and_the_age_of_its_track() -> None:
    frames = walk_over()
    late = [f for f in frames if f.frame.time_seconds > 1.5]
    for frame in late:
        frame.detections.confidence = np.array([0.7])
    [event] = told(scene_events(lines=[FLAT]), frames)
    assert (event.time_seconds, event.track_age_seconds) == (2, 2.2)  # certain at 2.2 s
    assert event.score == pytest.approx((7 * 0.7 + 4 * 0.9) / 11, abs=1e-4)


def test_an_event_says_why_it_may_be_wrong() -> None:
    def reliability(frames: list[DetectedFrame]) -> list[str]:
        return [e.reliability for e in told(scene_events(lines=[FLAT]), frames) if e.event == "crossing"]

    assert reliability(walk_over()) == ["ok"]
    assert reliability(walk_over(rate=4, seconds=8)) == ["ok"]
    assert reliability(walk_over(rate=2, seconds=8)) == ["low_rate"]
    assert reliability(walk_over(seconds=1)) == ["short_track"]
    assert reliability(walk_over(rate=3, seconds=1)) == ["low_rate"]
    assert reliability([walked(0, {}), *walk_over(start=9, rate=2, seconds=8)]) == ["after_gap"]
    long_after = [walked(9 + k / 10, {}) for k in range(30)]
    assert reliability([walked(0, {}), *long_after, *walk_over(start=12)]) == ["ok"]


def test_ids_are_the_same_on_a_rerun_and_never_shared() -> None:
    frames = [*walk_over(), *walk_over(track=2), *walk_over(track=3, start=20)]  # the clock restarts, then jumps
    once, again = (told(scene_events(lines=[FLAT], zones=[HALL]), frames) for _ in range(2))
    assert once == again
    assert len({event.id for event in once}) == len(once) > 6


def test_wall_time_is_told_only_where_the_start_is_known() -> None:
    started = datetime(2026, 1, 2, 8, 0, tzinfo=UTC)
    known = SceneEvents(read_scene(lines=[FLAT]), started=started)
    assert [e.wall_time for e in told(known, walk_over())] == ["2026-01-02T08:00:02.000+00:00"]
    assert [e.wall_time for e in told(scene_events(lines=[FLAT]), walk_over())] == [None]


def test_what_others_told_before_is_kept() -> None:
    [other] = told(scene_events(lines=[FLAT]), walk_over())
    stage = scene_events()
    assert stage.update(dataclasses.replace(walked(0, {}), events=(other,))).events == (other,)
    assert stage.finish((other,)) == (other,)


def test_a_picture_of_another_size_ends_visits_and_moves_the_shapes() -> None:
    stage = scene_events(zones=["half=0%,0%,50%,0%,50%,100%,0%,100%"])
    frames = [walked(k / 10, {1: OUTSIDE}) for k in range(11)]
    small = Frame(np.zeros((200, 300, 3), np.uint8), index=200, time_seconds=1.1, source="clip.mp4")
    events = told(stage, [*frames, DetectedFrame(small, people([[160, 10, 180, 110]]))])
    assert brief(events) == [("enter", "half", 1, 0), ("exit", "half", 1, 1)]


def test_a_scene_that_does_not_fit_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        scene_events(lines=["gate=300,100,900,100"]).update(walked(0, {}))
    assert "lies partly outside the picture" in caplog.text
    with pytest.raises(UsageError, match="outside the picture"):
        scene_events(lines=["gate=700,100,900,100"]).update(walked(0, {}))


@pytest.mark.parametrize("rate", [25, 5, 2])
def test_a_tracker_and_a_scene_count_who_walks_through(rate: int) -> None:
    """Two people walk towards each other on their own paths, over a line and through a zone in the middle."""
    chain = Chain(
        [Tracker(), scene_events(lines=["middle=300,400,300,0"], zones=["stripe=200,0,400,0,400,400,200,400"])]
    )
    image = np.zeros((400, 600, 3), np.uint8)
    frames = []
    for k in range(11 * rate):
        x = 30 + 50 * k / rate
        boxes = [[x - 20, 50, x + 20, 150], [580 - x, 250, 620 - x, 350]]
        frames.append(DetectedFrame(Frame(image, k, k / rate, "clip.mp4"), people(boxes)))
    events = [event for frame in frames for event in chain.update(frame).events] + list(chain.finish())
    crossings = [(e.direction, round(e.time_seconds, 2)) for e in events if e.event == "crossing"]
    assert sorted(crossings) == [("in", 5.4), ("out", 5.4)]
    for kind, time in (("enter", 3.4), ("exit", 7.4)):
        assert [e.time_seconds for e in events if e.event == kind] == [pytest.approx(time, abs=1 / rate + 1e-6)] * 2


def test_two_sources_know_nothing_of_each_other() -> None:
    one, other = scene_events(lines=[FLAT]), scene_events(lines=[FLAT])
    first: list[Event] = []
    second: list[Event] = []
    for frame, elsewhere in zip(walk_over(), reversed(walk_over()), strict=True):
        first += one.update(frame).events
        back = walked(frame.frame.time_seconds, {1: (300, float(elsewhere.detections.xyxy[0, 3]))}, source="b.mp4")
        second += other.update(back).events
    assert [(e.source, e.direction) for e in first + second] == [("clip.mp4", "in"), ("b.mp4", "out")]
    assert first[0].id != second[0].id


def test_memory_does_not_grow_with_the_people_who_passed() -> None:
    stage = scene_events(lines=[FLAT], zones=[HALL])
    for k in range(400):
        stage.update(walked(k / 10, {k // 5 + 1: INSIDE}))
    assert len(stage._tracks) <= 5
    assert len(stage._lines._paths) <= 5
