from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.config.delivery import DeliveryConfig
from humandetect.watch.base import CameraStatus
from humandetect.watch.delivery import Delivery
from humandetect.watch.store import Store
from tests.certificates import issued
from tests.waiting import eventually
from tests.watch.happenings import crossing, crossings

pytest.importorskip("paho.mqtt.client", reason="needs the extra watch")

import trustme
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from humandetect.watch.mqtt import Broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Mosquitto:
    """A real broker on a free loopback port, which forgets everything when it ends."""

    def __init__(
        self, folder: Path, *, password: str | None = None, certificate: tuple[Path, Path] | None = None
    ) -> None:
        if MOSQUITTO is None:
            reason = "no mosquitto: apt-get install mosquitto"
            assert not os.environ.get("CI"), reason
            pytest.skip(reason)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "user root", "log_dest none"]
        if password:
            users = folder / "users"
            subprocess.run(["mosquitto_passwd", "-b", "-c", users, "me", password], check=True, capture_output=True)
            lines.append(f"password_file {users}")
        if certificate:
            lines += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join([*lines, f"allow_anonymous {'false' if password else 'true'}\n"]))
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen([MOSQUITTO or "", "-c", self._config], stderr=subprocess.DEVNULL)
        eventually(self._answers)

    def stop(self) -> None:
        """Stand still, as a machine whose link is dead."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """Somebody who hears everything, also what was said before."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, str, bool]] = []
        """Topic, payload, and whether it was retained."""
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _, __, message: self.heard.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(20)

    def said(self, topic: str) -> str | None:
        """Return what was said last."""
        return next((payload for heard, payload, _ in reversed(self.heard) if heard == topic), None)

    def retained(self) -> dict[str, str]:
        return {topic: payload for topic, payload, retained in self.heard if retained}

    def ids(self, camera: str = "door") -> list[str]:
        return [json.loads(payload)["id"] for topic, payload, _ in self.heard if topic == f"humandetect/{camera}/event"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@contextmanager
def listening(mosquitto: Mosquitto) -> Iterator[Listener]:
    listener = Listener(mosquitto.port)
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture(autouse=True)
def _quick_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.watch.mqtt.LONGEST_PAUSE_SECONDS", 1)


@contextmanager
def publishing(url: str, folder: Path) -> Iterator[tuple[Store, Broker]]:
    store = Store(folder, DeliveryConfig(mqtt=url))
    broker = Broker(url, store)
    delivery = Delivery(store, broker)
    try:
        yield store, broker
    finally:
        delivery.close()
        store.close()


def status(name: str = "door", **values: Any) -> CameraStatus:
    known: dict[str, Any] = {"state": "live", "reason": None, "people": 2, "totals": {"porch": (5, 3), "gate": (1, 0)}}
    return CameraStatus(name, "rtsp://cam/…", since=NOW, **(known | values))


def test_events_are_told_in_order_and_leave_the_queue_when_acknowledged(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with listening(mosquitto) as listener, publishing(mosquitto.url, tmp_path) as (store, _):
        store.add_events([*crossings(20), crossing(1, camera="a/b")])
        eventually(lambda: store.outcomes["mqtt", "sent"] == 21)
        eventually(lambda: listener.ids("a_b"))
    assert listener.ids() == [f"door-{number}" for number in range(20)]
    assert listener.ids("a_b") == ["a/b-1"]
    assert not any(retained for topic, _, retained in listener.heard if topic.endswith("/event"))


def test_how_cameras_are_is_retained_and_only_told_when_it_changes(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with listening(mosquitto) as listener, publishing(mosquitto.url, tmp_path) as (_, broker):
        broker.on_status(status())
        broker.on_status(status())
        broker.on_status(status(people=None, state="lost"))
        eventually(lambda: listener.said("humandetect/door/people") == "None")
        eventually(lambda: len({topic for topic, *_ in listener.heard}) == 10)
        with listening(mosquitto) as late:
            eventually(lambda: len(late.retained()) == 10)
    said = late.retained()
    config = json.loads(said.pop("homeassistant/device/humandetect_door/config"))
    assert said == {
        "humandetect/status": "online",
        "humandetect/door/state": "lost",
        "humandetect/door/people": "None",
        "humandetect/door/in": "6",
        "humandetect/door/out": "3",
        "humandetect/door/lines/porch/in": "5",
        "humandetect/door/lines/porch/out": "3",
        "humandetect/door/lines/gate/in": "1",
        "humandetect/door/lines/gate/out": "0",
    }
    assert [payload for topic, payload, _ in listener.heard if topic == "humandetect/door/in"] == ["6"]
    assert config["device"]["name"] == "door"
    assert config["availability_topic"] == "humandetect/status"
    sensors = config["components"].values()
    assert {sensor["state_topic"] for sensor in sensors} == said.keys() - {"humandetect/status"}
    assert len({sensor["unique_id"] for sensor in sensors}) == len(sensors) == 8
    assert listener.said("humandetect/status") == "offline"


def test_what_told_of_lines_goes_with_them_and_is_not_there_without_any(mosquitto: Mosquitto, tmp_path: Path) -> None:
    def sensors(camera: str) -> dict[str, dict[str, str]]:
        config = listener.said(f"homeassistant/device/humandetect_{camera}/config")
        return json.loads(config)["components"] if config else {}

    def kept(camera: str) -> set[str]:
        return {key for key, one in sensors(camera).items() if one != {"platform": "sensor"}}

    def lines() -> dict[str, str | None]:
        return {topic: listener.said(topic) for topic, *_ in listener.heard if re.search("/(in|out)$", topic)}

    with listening(mosquitto) as listener, publishing(mosquitto.url, tmp_path) as (_, broker):
        broker.on_status(status())
        broker.on_status(status("yard", totals={}))
        eventually(lambda: "people" in sensors("yard") and len(lines()) == 6)
        assert sensors("yard").keys() == {"state", "people"}
        assert len(sensors("door")) == 8
        broker.on_status(status(totals={}))
        eventually(lambda: set(lines().values()) == {""})
        eventually(lambda: kept("door") == {"state", "people"})
        broker.on_status(status(totals={"porch": (5, 3)}))
        eventually(lambda: lines()["humandetect/door/lines/porch/in"] == "5")
        eventually(lambda: kept("door") == {"state", "people", "in", "out"})


def test_what_went_while_nobody_watched_goes_at_the_start(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Lines and cameras: the broker keeps what was said of them, and Home Assistant their sensors."""
    with publishing(mosquitto.url, tmp_path) as (_, broker):
        broker.on_status(status())
        broker.on_status(status("yard", totals={}))
        with listening(mosquitto) as before:
            eventually(lambda: before.said("humandetect/yard/people") and before.said("humandetect/door/lines/gate/in"))
    with publishing(mosquitto.url, tmp_path) as (_, broker), listening(mosquitto) as listener:
        broker.on_cameras(["door"])
        broker.on_status(status(totals={"porch": (5, 3)}))
        broker.on_status(status("yard", state="stopped"))  # its last word
        eventually(lambda: listener.said("humandetect/status") == "online")
        broker.on_status(status(people=7, totals={"porch": (5, 3)}))
        eventually(lambda: listener.said("humandetect/door/people") == "7")
        device, last = "homeassistant/device/humandetect_door/config", "humandetect/door/lines/porch/out"
        with listening(mosquitto) as after:
            eventually(lambda: {device, last, "humandetect/door/people"} <= after.retained().keys())
    config = json.loads(after.retained()[device])
    assert {key for key, one in config["components"].items() if "unique_id" in one} == {"state", "people", "in", "out"}
    assert config["components"]["gate_in"] == {"platform": "sensor"}
    assert not any("gate" in topic or "yard" in topic for topic in after.retained())


def test_what_was_taken_back_over_a_dead_link_is_taken_back_by_the_next_process(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    line = "humandetect/door/lines/gate/in"
    with listening(mosquitto) as listener, publishing(mosquitto.url, tmp_path) as (store, broker):
        broker.on_status(status())
        eventually(lambda: listener.said(line))
        mosquitto.stop()
        broker.on_status(status(totals={}))
        broker.close()
        assert line in store.retained()
        mosquitto.kill()
    mosquitto.start()
    with listening(mosquitto) as listener, publishing(mosquitto.url, tmp_path) as (store, broker):
        broker.on_status(status(totals={}))
        eventually(lambda: listener.said(line) == "")
        broker.close()
        assert line not in store.retained()


def test_what_changes_while_everything_is_told_anew_is_said_last(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling, retain = threading.Event(), Broker._retain

    def retain_slowly(broker: Broker, topics: dict[str, str]) -> None:
        before = dict(topics)
        if threading.current_thread() is not threading.main_thread():
            telling.set()
            time.sleep(0.1)
        retain(broker, before)

    monkeypatch.setattr(Broker, "_retain", retain_slowly)
    with listening(mosquitto) as listener, publishing(mosquitto.url, tmp_path) as (_, broker):
        broker.on_status(status(people=2))
        assert telling.wait(20)
        broker.on_status(status(people=3))
        eventually(lambda: listener.said("humandetect/door/people"))
        broker.on_status(status("yard"))
        eventually(lambda: listener.said("humandetect/yard/people"))
        assert listener.said("humandetect/door/people") == "3"


def test_a_broker_that_forgot_everything_is_told_everything(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with publishing(mosquitto.url, tmp_path) as (store, broker):
        with listening(mosquitto) as before:
            broker.on_status(status())
            store.add_events(crossings(3))
            eventually(lambda: store.outcomes["mqtt", "sent"] == 3)
            eventually(lambda: len(before.ids()) == 3)
        mosquitto.kill()
        broker.on_status(status(people=4))
        store.add_events([crossing(number) for number in range(3, 6)])
        mosquitto.start()
        with listening(mosquitto) as after:
            eventually(lambda: after.said("humandetect/door/people") == "4")
            eventually(lambda: store.outcomes["mqtt", "sent"] == 6)
            assert after.said("humandetect/status") == "online"
            assert after.said("homeassistant/device/humandetect_door/config")
    assert store.outcomes["mqtt", "dropped"] == 0


def test_events_of_an_earlier_process_arrive_when_the_broker_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path, DeliveryConfig(mqtt="mqtt://127.0.0.1"))
    store.add_events(crossings(3))
    store.close()
    mosquitto = Mosquitto(tmp_path)
    with listening(mosquitto) as listener, publishing(mosquitto.url, tmp_path) as (store, _):
        store.add_events([crossing(3)])
        eventually(lambda: len(listener.ids()) == 4)
    assert listener.ids() == ["door-0", "door-1", "door-2", "door-3"]
    mosquitto.kill()


def test_the_broker_says_offline_for_a_killed_process(mosquitto: Mosquitto, tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from humandetect.watch.mqtt import Broker
from humandetect.watch.store import Store
Broker(sys.argv[1], Store(Path(sys.argv[2])))
time.sleep(60)
"""
    with listening(mosquitto) as listener:
        process = subprocess.Popen([sys.executable, "-c", script, f"{mosquitto.url}/home/people", tmp_path])
        eventually(lambda: listener.said("home/people/status") == "online")
        process.send_signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: listener.said("home/people/status") == "offline")


def test_a_password_opens_and_a_wrong_one_is_said_without_being_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mosquitto = Mosquitto(tmp_path, password="s3:cret/")  # noqa: S106
    address = f"127.0.0.1:{mosquitto.port}"
    with publishing(f"mqtt://me:wr0ng@{address}", tmp_path) as (store, _):
        store.add_events(crossings(1))
        eventually(lambda: "Not authorized" in caplog.text)
        assert store.queued("mqtt") == 1
    with publishing(f"mqtt://me:s3%3Acret%2F@{address}", tmp_path) as (store, _):
        eventually(lambda: store.outcomes["mqtt", "sent"] == 1)
    assert "wr0ng" not in caplog.text
    assert f"mqtt://…@{address} refuses" in caplog.text
    mosquitto.kill()


def test_a_broker_with_an_authority_of_ones_own_is_trusted_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    mosquitto = Mosquitto(tmp_path, password="s3cret", certificate=issued(authority, tmp_path))  # noqa: S106
    with publishing(f"mqtts://me:s3cret@127.0.0.1:{mosquitto.port}", tmp_path) as (store, _):
        store.add_events(crossings(1))
        eventually(lambda: store.outcomes["mqtt", "sent"] == 1)
    mosquitto.kill()


@pytest.mark.parametrize(
    ("name", "trusted", "said"),
    [
        ("127.0.0.1", False, "is not trusted .*set SSL_CERT_FILE"),
        ("broker.example", True, "is not trusted .*give the name that it was made for"),
    ],
)
def test_why_there_is_no_tls_with_a_broker_is_said(
    name: str, trusted: bool, said: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    mosquitto = Mosquitto(tmp_path, certificate=issued(authority, tmp_path, name=name))
    with publishing(f"mqtts://127.0.0.1:{mosquitto.port}", tmp_path):
        eventually(lambda: re.search(said, caplog.text))
    mosquitto.kill()
