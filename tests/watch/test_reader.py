"""Each fault of a camera, acted by a real server."""

from __future__ import annotations

import threading
import weakref
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from humandetect.watch.connection import ReaderSettings
from humandetect.watch.openings import Openings
from humandetect.watch.reader import CameraReader, StateChange
from humandetect.watch.states import CameraStates
from tests.builders import make_clip
from tests.waiting import eventually
from tests.watch.rtsp_farm import RunningFarm, farm_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import av

    from humandetect.media.frames import Event
    from humandetect.watch.base import PacketSink, Recorded

QUICK = 0.05
"""Of each wait: 1 s becomes a twentieth of one."""
SETTINGS = ReaderSettings(rate=10, decode="all", watchdog_seconds=30.0, open_seconds=30.0)
IMPATIENT = replace(SETTINGS, watchdog_seconds=1.0, open_seconds=1.0)
"""For cameras that say nothing: the others stand still for longer on a busy machine."""


class Watched:
    """A reader and what it told."""

    def __init__(self, url: str, settings: ReaderSettings, packets: PacketSink | None) -> None:
        self.changes: list[StateChange] = []
        self.reader = CameraReader(
            "door", url, settings=settings, openings=Openings(), on_change=self.changes.append,
            packets=packets, states=CameraStates(settings.max_delay_seconds, jitter=lambda: QUICK),
        )  # fmt: skip

    @property
    def way(self) -> list[str]:
        return [change.state for change in self.changes]

    def comes(self, state: str, *, times: int = 1) -> None:
        """Wait until it was in a state so many times."""
        eventually(lambda: self.way.count(state) >= times)

    def reason(self, state: str) -> str:
        """Wait for a state; return its reason."""
        self.comes(state)
        return next(change.reason or "" for change in self.changes if change.state == state)

    def frames(self, more: int) -> None:
        """Wait for so many more pictures."""
        wanted = self.reader.frames + more
        eventually(lambda: self.reader.frames >= wanted)


@contextmanager
def watched(url: str, settings: ReaderSettings = SETTINGS, packets: PacketSink | None = None) -> Iterator[Watched]:
    one = Watched(url, settings, packets)
    one.reader.start()
    try:
        yield one
    finally:
        one.reader.stop()
        one.reader.join(60)
        assert not one.reader._thread.is_alive()


def test_a_camera_shows_its_newest_picture_once(farm: RunningFarm) -> None:
    with watched(farm.url("door")) as door:
        door.frames(5)
        picture = door.reader.take()
        assert picture is not None
        assert picture.image().shape == (240, 320, 3)
        assert door.reader.take() is not picture
        assert door.reader.size == (320, 240)
        assert door.reader.last_picture is not None
        assert (door.reader.delay_seconds or 0) < 5
    assert door.way == ["live", "stopped"]


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("silent", "silent", "nothing came for 1 s"),
        ("freeze", "silent", "nothing came for 1 s"),
        ("cut", "closed", ""),
    ],
)
def test_a_camera_that_breaks_is_lost_with_its_reason_and_comes_back(
    farm: RunningFarm, state: str, kind: str, said: str
) -> None:
    with watched(farm.url("door"), IMPATIENT) as door:
        door.frames(1)
        farm.change("door", state=state)
        assert said in door.reason("waiting")
        assert door.reader.take() is None
        farm.change("door", state="ok")
        door.comes("live", times=2)
    assert door.way[:3] == ["live", "lost", "waiting"]
    assert door.reader.reconnects[kind] >= 1


@pytest.mark.parametrize("state", ["refuse", "hang"])
def test_a_camera_that_does_not_answer_is_tried_again(farm: RunningFarm, state: str) -> None:
    farm.change("door", state=state)
    with watched(farm.url("door"), IMPATIENT) as door:
        door.reason("waiting")
        farm.change("door", state="ok")
        door.frames(1)
    assert door.way[:2] == ["lost", "waiting"]
    assert door.reader.reconnects["unreachable"] >= 1


def test_a_lost_camera_keeps_nothing_of_what_it_was_read_with(farm: RunningFarm) -> None:
    with watched(farm.url("door")) as door:
        door.frames(1)
        assert door.reader._connection is not None
        connection = weakref.ref(door.reader._connection)
        farm.change("door", kick="1")
        door.comes("live", times=2)
        assert connection() is None


def test_nobody_there_is_unreachable(farm: RunningFarm) -> None:
    with farm_in_thread({}) as gone:
        url = gone.url("door")
    with watched(url) as door:
        assert "refused" in door.reason("lost")
    assert door.reader.reconnects["unreachable"] >= 1


def test_a_missing_path_and_a_wrong_password_are_refusals_and_not_tried_often(clip: Path) -> None:
    with farm_in_thread({"door": str(clip)}, auth="user:right") as farm:
        with watched(farm.url("door", login="user:right")) as allowed:
            allowed.frames(1)
        with watched(farm.url("door", login="user:s3cret")) as wrong:
            reason = wrong.reason("refused")
        farm.change("door", state="missing")
        with watched(farm.url("door", login="user:right")) as missing:
            assert "404" in missing.reason("refused")
    assert "401" in reason
    assert "s3cret" not in reason
    assert wrong.way == missing.way == ["refused", "stopped"]


def test_a_flapping_camera_waits_longer_each_time(farm: RunningFarm) -> None:
    with watched(farm.url("door")) as door:
        for lives in range(1, 4):
            door.comes("live", times=lives)
            farm.change("door", kick=1)
            door.comes("waiting", times=lives)
        assert door.reader._states._failures == 3
    assert door.reader.reconnects["closed"] == 3


def test_another_size_in_band_is_no_loss(farm: RunningFarm, larger_clip: Path) -> None:
    sink = Packets()
    with watched(farm.url("door"), packets=sink) as door:
        door.frames(3)
        farm.change("door", file=larger_clip)
        eventually(lambda: door.reader.size == (480, 368))
    assert door.way == ["live", "stopped"]
    assert sink.told[0] == "begin"
    assert sink.told.count("begin") == 2
    assert sink.told[-1] == "end"


def test_stamps_that_jump_far_are_a_new_clock_and_no_delay(farm: RunningFarm) -> None:
    with watched(farm.url("door")) as door:
        door.frames(3)
        farm.change("door", jump=-1750)
        door.frames(5)
        assert (door.reader.delay_seconds or 0) < 5
    assert door.way == ["live", "stopped"]


def test_pictures_with_holes_are_counted_and_not_shown(farm: RunningFarm) -> None:
    farm.change("door", loss=0.3)
    with watched(farm.url("door")) as door:
        eventually(lambda: door.reader.frames and door.reader.dropped["damaged"])
    assert door.reader.dropped["damaged"] > 0
    assert door.way == ["live", "stopped"]


def test_behind_a_thin_uplink_it_is_late_and_decodes_key_frames_only(farm: RunningFarm) -> None:
    with watched(farm.url("door"), replace(SETTINGS, max_delay_seconds=0.2)) as door:
        door.frames(3)
        clip = farm.camera("door").clip
        farm.change("door", rate=0.7 * sum(len(nal) for unit in clip.units for nal in unit.nals) / clip.length_seconds)
        assert "s behind" in door.reason("late")
        eventually(lambda: door.reader.dropped["late"])
    assert door.reader.dropped["late"] > 0
    assert door.way == ["live", "late", "stopped"]


def test_key_frames_alone_are_decoded_where_they_come_as_often_as_somebody_looks(farm: RunningFarm) -> None:
    with watched(farm.url("door"), ReaderSettings(rate=1, decode="key")) as door:
        door.frames(3)
        sent = farm.camera("door").frames
    assert door.reader.frames <= sent / 5 + 1
    assert door.reader.dropped.total() == 0


def test_it_ends_at_once_wherever_it_is(farm: RunningFarm) -> None:
    farm.change("door", state="refuse")
    with watched(farm.url("door")) as waiting, watched(farm.url("yard")) as live:
        waiting.reason("waiting")
        live.frames(1)
    assert waiting.way[-1] == live.way[-1] == "stopped"


def test_fifty_reconnects_leave_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "keys.mp4", fps=25, gop=1)
    with farm_in_thread({"door": str(clip)}) as farm, watched(farm.url("door")) as door:
        door.reader._states.jitter = lambda: 0.0
        door.comes("live")
        before = _held()
        for lives in range(2, 52):
            farm.change("door", kick=1)
            door.comes("live", times=lives)
        eventually(lambda: all(now <= then for now, then in zip(_held(), before, strict=True)))
    assert door.reader.reconnects.total() == 50


def _held() -> tuple[int, int]:
    """Threads and descriptors of this process, which has both ends of each connection."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


class Packets:
    """Takes packets and says in which order it was told what."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, streams: Sequence[av.VideoStream | av.AudioStream]) -> None:
        self.told.append("begin")

    def packet(self, packet: av.Packet[av.VideoStream] | av.Packet[av.AudioStream], arrived: datetime) -> None:
        self.told.append("packet")

    def end(self) -> None:
        self.told.append("end")

    def note(self, event: Event) -> None: ...

    def where(self, moment: datetime) -> Recorded | None: ...

    def close(self) -> None: ...
