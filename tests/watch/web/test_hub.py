"""Pictures are drawn once for all, only while somebody looks, and wait for nobody."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import connect

from humandetect.cpus import usable_cpus
from humandetect.media.images import decode_image
from humandetect.service.process.http import deadlines
from humandetect.watch.web import hub, pictures
from tests.waiting import eventually
from tests.watch.web.cameras import FakeCameras, crossing
from tests.watch.web.serving import showing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

    from humandetect.media.frames import DetectedFrame
    from tests.watch.web.serving import Site


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the pictures that are drawn, by camera, and draw as quickly as they come."""
    counts: Counter[str] = Counter()

    def counting(result: DetectedFrame) -> bytes:
        counts[result.frame.source] += 1
        return b"%d" % result.frame.index

    monkeypatch.setattr(hub, "picture_of", counting)
    monkeypatch.setattr(hub, "PICTURE_SECONDS", 0.0)
    monkeypatch.setattr(hub, "STATUS_SECONDS", 60.0)  # what is told of cameras answers a `look` then
    return counts


@contextmanager
def looking(site: Site, *, wants: list[str] | None = None) -> Iterator[Looker]:
    with connect(site.live) as socket:
        looker = Looker(socket)
        looker.next_cameras()
        if wants is not None:
            looker.say(look=wants)
            looker.next_cameras()
        yield looker


class Looker:
    """What a page does."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def say(self, **what: Any) -> None:
        self._socket.send(json.dumps(what))

    def next_picture(self, *, see: bool = True) -> tuple[str, bytes]:
        message = self._next(bytes)
        length = int.from_bytes(message[:2], "big")
        name = message[2 : 2 + length].decode()
        if see:
            self.say(seen=name)
        return name, message[2 + length :]

    def next_event(self) -> dict[str, Any]:
        while "event" not in (said := json.loads(self._next(str))):
            pass
        event: dict[str, Any] = said["event"]
        return event

    def next_cameras(self) -> list[dict[str, Any]]:
        while "cameras" not in (said := json.loads(self._next(str))):
            pass
        cameras: list[dict[str, Any]] = said["cameras"]
        return cameras

    def _next(self, kind: type) -> Any:
        while not isinstance(message := self._socket.recv(timeout=60), kind):
            pass
        return message


def test_two_who_look_cost_one_drawing_and_nobody_none(drawn: Counter[str]) -> None:
    with showing() as site:
        site.cameras.step("door")
        site.http.get("/v1/cameras")
        assert drawn == {}
        with looking(site) as one, looking(site) as other:
            for number in range(1, 4):
                assert one.next_picture() == other.next_picture() == ("door", b"%d" % (number - 1))
                site.cameras.step("door")
            assert one.next_picture() == other.next_picture() == ("door", b"3")
        assert drawn == {"door": 4}
        site.cameras.step("door")
        site.http.get("/v1/cameras")
        assert drawn == {"door": 4}


def test_who_is_slow_skips_to_the_newest_and_keeps_nobody_waiting(drawn: Counter[str]) -> None:
    with showing() as site, looking(site) as quick, looking(site) as slow:
        site.cameras.step("door")
        assert quick.next_picture() == slow.next_picture(see=False) == ("door", b"0")
        for number in range(1, 6):
            site.cameras.step("door")
            assert quick.next_picture() == ("door", b"%d" % number)
        slow.say(seen="door")
        assert slow.next_picture() == ("door", b"5")


def test_what_nobody_would_take_is_not_drawn(drawn: Counter[str]) -> None:
    with showing() as site, looking(site) as slow:
        site.cameras.step("door")
        slow.next_picture(see=False)
        for _ in range(5):
            site.cameras.step("door")
        site.cameras.step("yard")
        assert slow.next_picture() == ("yard", b"0")
        assert drawn["door"] == 1
        slow.say(seen="door")
        assert slow.next_picture() == ("door", b"5")
        assert drawn["door"] == 2


def test_drawing_waits_where_it_took_more_than_its_share_and_every_camera_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "_timed_picture_of", lambda result: (b"%d" % result.frame.index, 0.02))
    monkeypatch.setattr(hub, "PICTURE_SECONDS", 0.0)
    monkeypatch.setattr(hub, "DRAWING_SHARE", 0.1 / usable_cpus())  # 0.2 s for each picture
    monkeypatch.setattr(hub, "BURST_SECONDS", 0.0)
    with showing() as site, looking(site) as looker:
        began = time.monotonic()
        shown: Counter[str] = Counter()
        while sum(shown.values()) < 6:
            site.cameras.step("door")
            site.cameras.step("yard")
            shown[looker.next_picture()[0]] += 1
        assert time.monotonic() - began >= 5 * 0.2
    assert shown == {"door": 3, "yard": 3}


def test_only_the_cameras_that_are_wanted_are_drawn(drawn: Counter[str]) -> None:
    with showing() as site, looking(site, wants=["yard"]) as looker:
        site.cameras.step("yard")
        assert looker.next_picture() == ("yard", b"0")
        site.cameras.step("door")
        site.cameras.step("yard")
        assert looker.next_picture() == ("yard", b"1")
        assert drawn == {"yard": 2}
        looker.say(look=None)
        assert looker.next_picture() == ("door", b"0")


def test_a_camera_is_drawn_at_most_five_times_a_second_and_ends_with_its_newest() -> None:
    assert pytest.approx(1 / 5) == hub.PICTURE_SECONDS
    with showing() as site, looking(site) as looker:
        began = time.monotonic()
        for _ in range(20):
            newest = site.cameras.step("door")
        shown = [looker.next_picture()[1]]
        while shown[-1] != pictures.picture_of(newest):
            shown.append(looker.next_picture()[1])
        assert len(shown) <= 2 + (time.monotonic() - began) / hub.PICTURE_SECONDS


def test_events_come_with_a_picture_of_whom_they_are_about() -> None:
    with showing() as site, looking(site) as looker:
        site.cameras.step("door")
        site.cameras.happen(crossing(0))
        event = looker.next_event()
        assert (event["event"], event["source"], event["line"]) == ("crossing", "door", "gate")
        crop = site.http.get(event["picture"])
        assert max(decode_image(crop.content, max_megapixels=1).shape) == 128
        assert site.http.get("/v1/events/other/picture").status_code == 404


def test_only_the_last_events_keep_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_EVENTS", 2)
    with showing() as site, looking(site) as looker:
        site.cameras.step("door")
        told = []
        for number in range(3):
            site.cameras.happen(crossing(number))
            told.append(looker.next_event())
        assert [site.http.get(event["picture"]).status_code for event in told] == [404, 200, 200]


def test_many_changes_are_told_together_and_the_last_of_them_soon(drawn: Counter[str]) -> None:
    with showing() as site, looking(site) as looker:
        began = time.monotonic()
        for people in range(50):
            site.cameras.change("door", people=people)
        tellings = 1
        while looker.next_cameras()[0]["people"] != 49:
            tellings += 1
        assert tellings <= 2 + (time.monotonic() - began) / hub.CHANGE_SECONDS < 50


def test_a_change_of_state_is_told_at_once() -> None:
    with showing() as site, looking(site) as looker:
        site.cameras.change("door", state="lost", reason="no picture for 20 s")
        eventually(lambda: looker.next_cameras()[0]["reason"] == "no picture for 20 s")


def test_a_socket_outlives_the_deadlines_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(hub, "STATUS_SECONDS", 0.2)
    with showing() as site, looking(site) as looker:
        monkeypatch.setattr(deadlines, "HEAD_SECONDS", 0.02)
        for _ in range(3):
            looker.next_cameras()


@pytest.mark.parametrize("said", ["no JSON", '{"look": 3}', "null"])
def test_what_a_page_should_not_say_ends_its_socket_and_nothing_else(site: Site, said: str) -> None:
    with connect(site.live) as socket:
        socket.send(said)
        while socket.close_code is None:
            with suppress(ConnectionClosed):
                socket.recv(timeout=60)
        assert socket.close_code == CloseCode.NORMAL_CLOSURE
    with looking(site) as looker:
        assert looker.next_picture()


def test_a_picture_is_small_and_drawn_on_a_copy() -> None:
    result = FakeCameras("door").step("door")
    before = result.frame.image.copy()
    picture = decode_image(pictures.picture_of(result), max_megapixels=1)
    assert picture.shape == (360, 640, 3)
    assert (result.frame.image == before).all()
    box = result.detections.xyxy[0] / 2
    green = picture[int(box[1] + box[3]) // 2, int(box[0]) - 2 : int(box[0]) + 3, 1].max()
    assert green > 180
