"""Cameras of a farm, watched with an engine that sees somebody in the left half of every picture."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from humandetect.config.counting import CountingConfig
from humandetect.config.web import WebConfig
from humandetect.detection.detector import Detector
from humandetect.errors import UsageError
from humandetect.watch import connection, epoch, reader, run, states
from humandetect.watch.analysis import CameraAnalysis
from humandetect.watch.camera import Camera
from humandetect.watch.web.server import page_served
from tests.builders import make_clip
from tests.fakes import FakeEngine, SizesEngine
from tests.media.sources.test_live import Files, serving
from tests.waiting import eventually
from tests.watch.rtsp_farm import farm_in_thread
from tests.watch.watching import Listener, pair, watched

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    import numpy as np

    from humandetect.media.frames import DetectedFrame, Event
    from tests.watch.rtsp_farm import RunningFarm


FROZEN_SECONDS = 2.0
"""Until a camera is frozen, where a test waits for that: longer than the other one stands still on a busy machine."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "BACK_OFF_SECONDS", (0.1,))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ReaderSettings", partial(connection.ReaderSettings, open_seconds=2.0))


def test_people_of_all_cameras_are_seen_by_one_engine(farm: RunningFarm) -> None:
    with watched(*pair(farm)) as one:
        for name in ("door", "yard"):
            one.listener.sees(name)
            newest, status = one.watching.newest(name), one.status(name)
            assert newest is not None
            assert len(newest.detections) == status.people == 1
            assert (status.state, status.size) == ("live", (320, 240))
            assert status.frames >= status.detected >= 2
            assert status.delay_seconds is not None
            assert status.last_picture is not None
    assert one.listener.states("door") == one.listener.states("yard") == ["live", "stopped"]
    told = [status.people for status in one.listener.statuses if status.name == "door"]
    assert told == [None, 1, None]  # at each change, and not at each look
    assert {status.name for status in one.listener.statuses} == {"door", "yard"}


def test_a_frozen_camera_is_lost_and_does_not_disturb_the_other(farm: RunningFarm) -> None:
    with watched(*pair(farm), watchdog_seconds=FROZEN_SECONDS) as one:
        one.listener.sees("door")
        one.listener.sees("yard")
        farm.change("door", state="freeze")
        one.listener.hears("door", "waiting")
        assert one.status("door").people is None
        assert one.watching.newest("door") is None
        one.listener.sees("yard", more=5)
        farm.change("door", state="ok")
        one.listener.hears("door", "live", times=2)
        one.listener.sees("door")
        assert one.status("door").reconnects["silent"] == 1
    assert one.listener.states("yard") == ["live", "stopped"]
    assert [event.event for event in one.memory.kept if event.source == "yard"] == ["camera", "camera"]
    door = [event for event in one.memory.kept if event.source == "door"]
    lost = next(number for number, event in enumerate(door) if event.state == "lost")
    assert [event.event for event in door[:lost]] == ["camera", "gap"]
    assert door[lost - 1].reason == door[lost].reason == "nothing came for 2 s"


def test_a_camera_whose_pictures_stop_is_frozen_though_its_sound_goes_on(farm: RunningFarm) -> None:
    farm.change("door", sound=1)
    with watched(*pair(farm), watchdog_seconds=FROZEN_SECONDS) as one:
        one.listener.sees("door")
        farm.change("door", state="freeze")
        one.listener.hears("door", "waiting")
        assert one.status("door").reconnects == {"frozen": 1}
        farm.change("door", state="ok")
        one.listener.hears("door", "live", times=2)
    lost = next(event for event in one.memory.kept if event.state == "lost")
    assert lost.reason == "no picture for 2 s"
    assert one.listener.states("yard") == ["live", "stopped"]


def test_cameras_that_lie_disturb_no_other_and_are_seen_as_far_as_can_be(
    clip: Path, larger_clip: Path, tmp_path: Path
) -> None:
    fast = make_clip(tmp_path / "fast.mp4", width=320, height=240, frames=200, fps=200, gop=50)
    names = ("yard", "changing", "fast", "backwards", "garbage")
    with farm_in_thread(dict.fromkeys(names, str(clip)) | {"fast": str(fast)}) as farm:
        farm.change("backwards", drift=-1)
        farm.change("garbage", corrupt=1)
        with watched(*(f"{name}={farm.url(name)}" for name in names)) as one:
            for file in (clip, larger_clip, clip):
                farm.change("changing", file=file)
                one.listener.sees("yard", more=3)
            for name in names[:-1]:
                one.listener.sees(name, more=1)
                assert one.status(name).state == "live"
    assert one.listener.states("yard") == one.listener.states("backwards") == ["live", "stopped"]
    assert one.listener.seen("garbage") == 0


class Endless(Files):
    """Begins a JPEG that never ends."""

    def do_GET(self) -> None:  # noqa: N802
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8")
            while True:
                self.wfile.write(bytes(4096))
                time.sleep(0.01)


@pytest.mark.usefixtures("impatient")
def test_a_picture_without_an_end_is_waited_for_no_longer_than_any(farm: RunningFarm) -> None:
    with (
        serving(Endless) as url,
        watched(f"door={url}/video.mjpg", pair(farm)[1], watchdog_seconds=FROZEN_SECONDS) as one,
    ):
        one.listener.hears("door", "waiting")
        assert one.status("door").reconnects.keys() <= {"silent", "unreachable"}
        one.listener.sees("yard", more=5)
    assert one.listener.states("yard")[-2:] == ["live", "stopped"]


@pytest.mark.usefixtures("impatient")
def test_a_camera_is_seen_though_nearly_all_others_are_dead(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CROWD_OPEN_SECONDS", 0.2)
    monkeypatch.setattr(states, "BACK_OFF_SECONDS", (1.0,))
    at_once: list[int] = []
    waits: list[float] = []
    opened = connection.Connection.__init__

    def counting(*values: Any, **options: Any) -> None:
        (openings,) = {camera.reader._openings for camera in one.watching._cameras.values()}
        at_once.append(len(openings._open))
        waits.append(options["open_seconds"])
        opened(*values, **options)

    monkeypatch.setattr(connection.Connection, "__init__", counting)
    dead = [f"dead{number}" for number in range(49)]
    with farm_in_thread(dict.fromkeys([*dead, "yard"], str(clip))) as farm:
        for number, name in enumerate(dead):
            farm.change(name, state="refuse" if number % 2 else "hang")
        threads = threading.active_count()
        with watched(*(f"{name}={farm.url(name)}" for name in [*dead, "yard"])) as one:
            one.listener.sees("yard", more=1)
            farm.change("yard", kick=1)  # all others are known to be dead by now, and try again and again
            one.listener.hears("yard", "live", times=2)
            one.listener.sees("yard", more=5)
            assert threading.active_count() - threads <= 50 + 8
    assert 1 < max(at_once) <= 4
    assert waits[:4] == [0.2] * 4  # though nobody has waited yet


def test_a_camera_whose_pictures_take_long_to_convert_costs_the_other_nothing(
    farm: RunningFarm, larger_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, image = threading.Event(), connection.CameraPicture.image

    def slow(picture: connection.CameraPicture) -> np.ndarray:
        if picture.size == (480, 368):
            assert gate.wait(60)
        return image(picture)

    monkeypatch.setattr(connection.CameraPicture, "image", slow)
    with watched(*pair(farm)) as one:
        one.listener.sees("yard")
        farm.change("door", file=larger_clip)
        eventually(lambda: one.status("door").size == (480, 368))
        one.listener.sees("yard", more=5)
        gate.set()
        one.listener.sees("door")


def test_events_are_kept_before_anybody_is_told_and_in_order(farm: RunningFarm) -> None:
    counting = CountingConfig(zone=("all=0,0,320,0,320,240,0,240",))
    with watched(pair(farm)[0], counting=counting) as one:
        eventually(lambda: any(event.event == "enter" for event in one.listener.events))
        assert one.status("door").occupancy == {"all": 1}
    assert one.listener.unkept == []
    assert one.listener.events == one.memory.kept
    assert [event.event for event in one.memory.kept] == ["camera", "enter", "camera", "exit"]


def test_a_picture_is_told_before_what_happened_in_it_so_that_its_people_can_be_shown(farm: RunningFarm) -> None:
    was_shown: list[bool] = []

    class Shown(Listener):
        def on_event(self, event: Event) -> None:
            if event.event == "enter":
                was_shown.append(any(event.id in [one.id for one in result.events] for result in self.results))

    with watched(pair(farm)[0], counting=CountingConfig(zone=("all=0,0,320,0,320,240,0,240",))) as one:
        one.watching.join(Shown(one.memory))
        eventually(lambda: was_shown)
    assert was_shown == [True]


class SettableClock(datetime):
    """The clock of a machine, which somebody may set."""

    set_by = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.set_by


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_is_followed_by_what_happens_from_then_on(
    farm: RunningFarm, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    monkeypatch.setattr(epoch, "datetime", SettableClock)
    counting = CountingConfig(zone=("all=0,0,320,0,320,240,0,240",))

    def entered() -> list[Event]:
        return [event for event in one.listener.events if event.event == "enter"]

    with watched(pair(farm)[0], counting=counting) as one:
        eventually(entered)
        monkeypatch.setattr(SettableClock, "set_by", timedelta(hours=hours))
        eventually(lambda: len(entered()) == 2)
        assert one.status("door").state == "live"
    before, after = (datetime.fromisoformat(event.wall_time or "") for event in entered())
    assert abs(after - before - timedelta(hours=hours)) < timedelta(seconds=60)
    assert [event.event for event in one.memory.kept] == ["camera", "enter", "exit", "enter", "camera", "exit"]
    ids = [event.track_id for event in entered()]
    assert ids[0] != ids[1]
    starts = {datetime.fromisoformat(row["start_wall"] or "") for row in one.memory.rows}
    assert starts
    assert {(start.second, start.microsecond) for start in starts} == {(0, 0)}


def test_a_camera_that_is_added_while_the_clock_is_set_is_counted_by_the_new_time(
    farm: RunningFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch, "datetime", SettableClock)
    door, yard = (f'[camera.{name}]\nurl = "{farm.url(name)}"\n' for name in ("door", "yard"))
    file = tmp_path / "cameras.toml"
    file.write_text(door)

    def entered(name: str) -> list[Event]:
        return [event for event in one.listener.events if event.event == "enter" and event.source == name]

    def made_while_the_clock_is_set(*given: Any, **said: Any) -> Camera:
        camera = Camera(*given, **said)
        monkeypatch.setattr(SettableClock, "set_by", timedelta(hours=1))
        eventually(lambda: len(entered("door")) == 2)  # which goes on by the new time
        return camera

    with watched(str(file), counting=CountingConfig(zone=("all=0,0,320,0,320,240,0,240",))) as one:
        eventually(lambda: entered("door"))
        monkeypatch.setattr(run, "Camera", made_while_the_clock_is_set)
        file.write_text(door + yard)
        one.watching.reload()
        eventually(lambda: entered("yard"))
    by_the_door, by_the_yard = (datetime.fromisoformat(entered(name)[-1].wall_time or "") for name in ("door", "yard"))
    assert abs(by_the_yard - by_the_door) < timedelta(seconds=60)


def test_cameras_are_let_go_as_soon_as_the_end_is_asked_for(farm: RunningFarm) -> None:
    with watched(*pair(farm)) as one:
        one.listener.sees("door")
        ends = one.watching.stop()
        one.listener.hears("door", "stopped")
        one.listener.hears("yard", "stopped")
        assert one.watching.stop() == ends


def test_who_joins_is_told_from_then_on_until_it_leaves(farm: RunningFarm) -> None:
    with watched(pair(farm)[0]) as one:
        guest = Listener(one.memory)
        leave = one.watching.join(guest)
        guest.sees("door")
        leave()
        told = len(guest.results)
        one.listener.sees("door", more=3)
        assert len(guest.results) <= told + 1


class Rude(Listener):
    """An audience with a fault."""

    def on_result(self, camera: str, result: DetectedFrame) -> None:
        super().on_result(camera, result)
        raise ValueError("told to fail")


def test_an_audience_that_fails_costs_nobody_else_anything_and_is_told_of_once(
    farm: RunningFarm, caplog: pytest.LogCaptureFixture
) -> None:
    with watched(pair(farm)[0]) as one:
        rude, last = Rude(one.memory), Listener(one.memory)
        one.watching.join(rude)
        one.watching.join(last)
        last.sees("door")
    assert one.watching.failure is None
    assert len(rude.results) >= 2
    assert caplog.text.count("Rude fails to take") == 1


def test_reload_does_what_changed_and_leaves_the_others_alone(farm: RunningFarm, tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    door, yard = (f'[camera.{name}]\nurl = "{farm.url(name)}"\n' for name in ("door", "yard"))
    path.write_text(door)
    with watched(str(path)) as one:
        one.listener.sees("door")
        assert one.watching.reload() == "nothing changed"
        path.write_text(door + yard)
        assert one.watching.reload() == "added yard"
        one.listener.sees("yard")
        path.write_text(door + yard + "rate = 3\n")
        assert one.watching.reload() == "changed yard"
        one.listener.sees("yard")
        path.write_text(door)
        assert one.watching.reload() == "removed yard"
        assert [status.name for status in one.watching.statuses()] == ["door"]
        eventually(lambda: not farm.camera("yard").clients)
        one.listener.sees("door")
    assert one.listener.states("door") == ["live", "stopped"]
    assert farm.camera("door").connects == 1
    assert farm.camera("yard").connects == 2
    assert one.listener.states("yard") == ["live", "stopped", "live", "stopped"]
    assert [" ".join(names) for names in one.listener.cameras] == ["door", "door", "door yard", "door yard", "door"]


def test_a_camera_that_is_added_is_known_before_anything_is_said_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cameras.toml"
    door, yard = (f'[camera.{name}]\nurl = "rtsp://127.0.0.1:9/{name}"\n' for name in ("door", "yard"))
    path.write_text(door)
    known: list[list[str]] = []
    with watched(str(path)) as one:
        begin = reader.CameraReader.start

        def start(camera: reader.CameraReader) -> None:
            begin(camera)
            eventually(lambda: any(status.name == "yard" for status in one.listener.statuses))
            known.append(one.listener.cameras[-1])

        monkeypatch.setattr(reader.CameraReader, "start", start)
        path.write_text(door + yard)
        one.watching.reload()
    assert known == [["door", "yard"]]


def test_reload_counts_at_what_a_scene_file_says_by_then_without_a_new_connection(
    farm: RunningFarm, tmp_path: Path
) -> None:
    path, scene = tmp_path / "cameras.toml", tmp_path / "door.toml"
    path.write_text(f'[camera.door]\nurl = "{farm.url("door")}"\nscene = "door.toml"\n')
    zone = '[[zone]]\nname = "old"\npoints = [[0, 0], [320, 0], [320, 240], [0, 240]]\n'
    scene.write_text(zone)
    with watched(str(path)) as one:
        one.listener.sees("door")
        scene.write_text(f"# drawn on a Friday\n\n{zone}")
        assert one.watching.reload() == "nothing changed"
        scene.write_text(zone.replace("old", "new"))
        assert one.watching.reload() == "other lines or zones at door"
        eventually(lambda: one.status("door").occupancy == {"new": 1})
        assert one.watching.reload() == "nothing changed"
    assert farm.camera("door").connects == 1


def test_a_bad_file_changes_nothing(farm: RunningFarm, tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(f'[camera.door]\nurl = "{farm.url("door")}"\n')
    with watched(str(path)) as one:
        one.listener.sees("door")
        for text in ("no toml", '[camera.door]\nurl = "rtsp://a"\nscene = "none.toml"'):
            path.write_text(text)
            with pytest.raises(UsageError):
                one.watching.reload()
        one.listener.sees("door")
    assert farm.camera("door").connects == 1


def test_a_busy_engine_drops_turns_and_says_so(farm: RunningFarm) -> None:
    gate = threading.Event()
    with watched(*pair(farm), engine=FakeEngine(gate=gate)) as one:
        eventually(lambda: one.status("door").frames > 10)
        gate.set()
        one.listener.sees("door", more=1)
        eventually(lambda: one.status("door").dropped["busy"] > 0)


def test_a_picture_that_its_scene_does_not_fit_is_watched_without_it_until_it_fits_again(
    farm: RunningFarm, clip: Path, larger_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    farm.change("door", file=larger_clip)
    scene = CountingConfig(line=("gate=0,360,470,360",), zone=("all=0,0,470,0,470,360,0,360",))
    with watched(pair(farm)[0], counting=scene) as one:
        eventually(lambda: "enter" in {event.event for event in one.listener.events}, 15)
        assert one.status("door").totals == {"gate": (0, 0)}
        farm.change("door", file=clip)
        eventually(lambda: one.status("door").totals == {})
        eventually(lambda: [event.event for event in one.listener.events if event.zone] == ["enter", "exit"])
        one.listener.sees("door")
        farm.change("door", file=larger_clip)
        eventually(lambda: one.status("door").totals == {"gate": (0, 0)})
    assert one.watching.failure is None
    assert caplog.text.count("camera door is not counted at") == 1


def test_each_camera_is_seen_by_one_engine_as_large_as_it_wants(farm: RunningFarm, tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    door, yard = (f'[camera.{name}]\nurl = "{farm.url(name)}"\n' for name in ("door", "yard"))
    path.write_text(door + yard + 'size = "32x32"\n')
    engine = SizesEngine()
    with watched(str(path), engine=engine) as one:
        one.listener.sees("door")
        one.listener.sees("yard")
        path.write_text(door + yard + 'size = "far"\n')
        with pytest.raises(UsageError, match="camera 'yard': fake has no size 'far'; it has default, small"):
            one.watching.reload()
        one.listener.sees("yard")
    assert set(engine.shapes) == {(24, 32), (32, 32)}


def test_a_motion_gate_looks_once_at_what_does_not_change(farm: RunningFarm, tmp_path: Path) -> None:
    farm.change("door", file=make_clip(tmp_path / "still.mp4", width=320, height=240, frames=1))
    engine = FakeEngine()
    with watched(pair(farm)[0], gate="motion", detector=Detector(engine, score=1.0)) as one:
        eventually(lambda: len(one.listener.results) > 5)
        assert one.status("door").people == 0
        assert one.status("door").detected == sum(engine.calls) == 1
        assert one.status("door").spared >= 5


def test_what_cannot_be_counted_at_is_refused_before_it_begins(farm: RunningFarm, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"none\.toml"),
        watched(pair(farm)[0], counting=CountingConfig(scene=tmp_path / "none.toml")),
    ):
        pass


def test_settings_of_a_camera_reach_its_reader(farm: RunningFarm) -> None:
    with watched(pair(farm)[0], max_delay_seconds=7.0, rtsp_transport="tcp") as one:
        (camera,) = one.watching._cameras.values()
        assert camera.reader._settings == connection.ReaderSettings(
            rate=5, decode="all", max_delay_seconds=7.0, watchdog_seconds=30.0, transport="tcp"
        )


def test_a_fault_at_a_picture_of_one_camera_costs_that_picture(
    farm: RunningFarm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look, faults = CameraAnalysis.look, ["once"]

    def stumble(analysis: CameraAnalysis, result: DetectedFrame) -> DetectedFrame:
        if faults and result.frame.source == "door":
            raise ZeroDivisionError(faults.pop())
        return look(analysis, result)

    monkeypatch.setattr(CameraAnalysis, "look", stumble)
    with watched(*pair(farm)) as one:
        one.listener.sees("door")
        one.listener.sees("yard")
        assert one.status("door").dropped["fault"] == 1
        assert not one.watching.ended.is_set()
    assert "a picture is left out" in caplog.text


def test_lines_that_are_drawn_on_the_page_are_checked_kept_and_counted_at(farm: RunningFarm, tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(f'[camera.door]\nurl = "{farm.url("door")}"\nscene = "door.toml"\n')
    scene = tmp_path / "door.toml"
    scene.write_text('[[zone]]\nname = "old"\npoints = [[0, 0], [320, 0], [320, 240], [0, 240]]\n')
    with watched(str(path)) as one, page_served(WebConfig("0"), one.watching, one.memory) as (url, _):
        one.listener.sees("door")
        assert one.status("door").occupancy == {"old": 1}
        assert httpx.get(f"{url}cameras/door.jpg").headers["content-type"] == "image/jpeg"
        refused = httpx.post(f"{url}cameras/door/scene", content="[[zone]]\nname = 3\n")
        assert (refused.status_code, str(tmp_path) in refused.text, "old" in scene.read_text()) == (422, False, True)
        drawn = scene.read_text().replace("old", "new")
        assert httpx.post(f"{url}cameras/door/scene", content=drawn).json() == {"path": "door.toml"}
        eventually(lambda: one.status("door").occupancy == {"new": 1})
        assert scene.read_text() == drawn
        assert sorted(tmp_path.glob("*.toml")) == [path, scene]
