"""Cameras and events at an MQTT broker, where Home Assistant finds them by itself."""

from __future__ import annotations

import json
import logging
import re
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from humandetect import __version__
from humandetect.addresses import shown_address
from humandetect.errors import MissingExtra
from humandetect.tls import tls_context, tls_trouble
from humandetect.watch.base import object_id
from humandetect.watch.delivery import Undelivered

try:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
    from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
except ModuleNotFoundError as error:
    raise MissingExtra("MQTT needs more: pip install 'humandetect[watch]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.watch.base import CameraStatus
    from humandetect.watch.store import Queued, Store

logger = logging.getLogger(__name__)

PORTS = {"mqtt": 1883, "mqtts": 8883}
PREFIX, DISCOVERY_PREFIX = "humandetect", "homeassistant"
KEEP_ALIVE_SECONDS = 30
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1, 30
_NOT_KEPT = "…"
"""Stands for what topics say that change often; who takes them back needs to know of them only."""
PATIENCE_SECONDS = 0.5
"""For a connection and for an acknowledgement, until it is looked whether the end has come."""


class _ClosedUnlessAgreed(ssl.SSLSocket):
    """Closes itself after a handshake that failed: the client only lets go of it, for the collector to find."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (OSError, ValueError):
            self.close()
            raise


class Broker:
    """Publishes events until they are acknowledged, and how cameras are as retained topics."""

    name = "mqtt"

    def __init__(self, url: str, store: Store) -> None:
        """Connect in the background to `mqtt[s]://user:password@host:port/prefix`, and again whenever that is lost.

        The store keeps which topics are retained, for those that are said no more after a restart.
        """
        parts = urlsplit(url)
        self._prefix = unquote(parts.path).strip("/") or PREFIX
        self._shown = shown_address(url)
        self._said: str | None = None
        self._lock = threading.Lock()
        self._now: dict[str, str] = {}
        """What the retained topics should say, by topic."""
        self._store = store
        self._retained = store.retained()
        """What the broker keeps, by topic; only of devices word by word, as the rest changes often."""
        self._sensors = {topic: _without_names(said) for topic, said in self._retained.items() if said != _NOT_KEPT}
        """What takes each sensor out of Home Assistant again that was there, by the topic of its camera's device."""
        self._is_known: Callable[[str], bool] = lambda _: True
        """Whether a topic belongs to a camera that there is."""
        self._leaving: list[tuple[MQTTMessageInfo, list[str]]] = []
        """Topics that were taken back, each with what was said after them: the broker has them when it has that."""
        self._pending: tuple[int, MQTTMessageInfo] | None = None
        """An event by its number in the queue: the client sends it again by itself when it is connected again."""
        self._connected = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            context = tls_context()
            context.sslsocket_class = _ClosedUnlessAgreed
            self._client.tls_set_context(context)
        self._client.reconnect_delay_set(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._client.will_set(f"{self._prefix}/status", "offline", qos=1, retain=True)
        self._client.connect_async(parts.hostname or "", parts.port or PORTS[parts.scheme], KEEP_ALIVE_SECONDS)
        self._client.loop_start()

    def send(self, queued: Queued) -> None:
        """Publish an event, and wait a moment for the broker to have it. Raises Undelivered."""
        if not self._connected.wait(PATIENCE_SECONDS):
            raise Undelivered(f"no connection to {self._shown}", after_seconds=0)
        if self._pending is None or self._pending[0] != queued.number:
            topic = f"{self._prefix}/{topic_word(queued.event.source)}/event"
            sent = self._client.publish(topic, queued.json, qos=1)
            sent.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # if the connection was just lost, it waits for the next one
            self._pending = queued.number, sent
        _, sent = self._pending
        sent.wait_for_publish(PATIENCE_SECONDS)
        if not sent.is_published():
            raise Undelivered(f"{self._shown} has not acknowledged yet", after_seconds=0)
        self._pending = None

    def on_result(self, camera: str, result: DetectedFrame) -> None:
        """Take nothing: the status has the people."""

    def on_event(self, event: Event) -> None:
        """Take nothing: it is in the queue."""

    def on_status(self, status: CameraStatus) -> None:
        """Publish what changed; what is said no more, as of a line that is gone, is taken back."""
        base = self._base(status.name)
        with self._lock:
            if self._is_known(base):
                gone = {topic: "" for topic in (*self._now, *self._retained) if topic.startswith(base)}
                self._say_now(gone | dict(self._topics(status)))

    def on_cameras(self, names: Sequence[str]) -> None:
        """Take back what is said of cameras that there are no more, devices and all."""
        bases, devices = tuple(map(self._base, names)), {self._device(name) for name in names}
        with self._lock:
            self._is_known = lambda topic: topic in devices or topic.startswith(bases)
            self._say_now({topic: "" for topic in (*self._now, *self._retained) if not self._is_known(topic)})

    def _say_now(self, wanted: dict[str, str]) -> None:
        self._forget_what_left()
        new = {topic: said for topic, said in wanted.items() if self._now.get(topic) != said}
        self._now |= new
        if self._connected.is_set():
            self._retain(new)

    def close(self) -> None:
        """Say that it is over, and disconnect; may be called twice."""
        connected = self._connected.is_set()
        if connected:
            over = self._client.publish(f"{self._prefix}/status", "offline", qos=1, retain=True)
            over.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # as of events
            over.wait_for_publish(PATIENCE_SECONDS)
            with self._lock:
                self._forget_what_left()
        self._client.disconnect()
        if connected:  # else its thread may wait for a host that does not answer
            self._client.loop_stop()

    def _topics(self, status: CameraStatus) -> Iterator[tuple[str, str]]:
        base = self._base(status.name)
        yield self._device(status.name), json.dumps(self._discovery(status))
        yield f"{base}state", status.state
        yield f"{base}people", str(status.people)  # Home Assistant takes None for unknown
        for way, total in enumerate(("in", "out")):
            if status.totals:
                yield f"{base}{total}", str(sum(totals[way] for totals in status.totals.values()))
            for line, totals in status.totals.items():
                yield f"{base}lines/{topic_word(line)}/{total}", str(totals[way])

    def _discovery(self, status: CameraStatus) -> dict[str, Any]:
        """Return what makes a device of a camera in Home Assistant (2024.11 and later)."""
        unique, base = self._unique(status.name), self._base(status.name)
        totals = [(total, total, total.capitalize()) for total in ("in", "out") if status.totals]
        if len(status.totals) > 1:
            totals += [
                (f"lines/{topic_word(line)}/{total}", f"{topic_word(line)}_{total}", f"{line} {total}")
                for line in status.totals
                for total in ("in", "out")
            ]
        components: dict[str, dict[str, Any]] = {
            "state": {
                "platform": "binary_sensor",
                "name": "Connection",
                "device_class": "connectivity",
                "state_topic": f"{base}state",
                "value_template": "{{ 'ON' if value in ['live', 'late'] else 'OFF' }}",
            },
            "people": {
                "platform": "sensor",
                "name": "People",
                "state_class": "measurement",
                "state_topic": f"{base}people",
            },
        }
        for topic, key, name in totals:
            components[key] = {
                "platform": "sensor",
                "name": name,
                "state_class": "total_increasing",
                "state_topic": f"{base}{topic}",
            }
        # A device keeps what it had until it is told that a sensor has nothing but its platform.
        known = self._sensors.setdefault(self._device(status.name), {})
        components = known | {key: {**one, "unique_id": f"{unique}_{key}"} for key, one in components.items()}
        known |= {key: {"platform": one["platform"]} for key, one in components.items()}
        return {
            "device": {"identifiers": [unique], "name": status.name, "manufacturer": "humandetect", "model": "camera"},
            "origin": {"name": "humandetect", "sw_version": __version__},
            "availability_topic": f"{self._prefix}/status",
            "components": components,
        }

    def _base(self, camera: str) -> str:
        return f"{self._prefix}/{topic_word(camera)}/"

    def _device(self, camera: str) -> str:
        return f"{DISCOVERY_PREFIX}/device/{self._unique(camera)}/config"

    def _unique(self, camera: str) -> str:
        return object_id(f"{self._prefix}_{camera}")

    def _retain(self, topics: dict[str, str]) -> None:
        for topic, said in topics.items():
            self._client.publish(topic, said, retain=True)
        if left := [topic for topic, said in topics.items() if not said and self._retained.get(topic)]:
            after = self._client.publish(f"{self._prefix}/status", "online", qos=1, retain=True)
            after.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # as of events; on the next connection these are said again first
            self._leaving.append((after, left))
        self._keep({topic: said if topic in self._sensors else _NOT_KEPT for topic, said in topics.items() if said})

    def _forget_what_left(self) -> None:
        """Forget topics once the broker has: a link that is dead, and not known to be, may lose what is said."""
        for sent in [one for one in self._leaving if one[0].is_published()]:
            self._leaving.remove(sent)
            self._keep({topic: "" for topic in sent[1] if not self._now.get(topic)})

    def _keep(self, retained: dict[str, str]) -> None:
        if changed := {topic: said for topic, said in retained.items() if self._retained.get(topic, "") != said}:
            self._retained |= changed
            self._store.keep_retained(changed)

    def _on_connect(
        self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:  # fmt: skip
        """Say everything anew, each time: a broker that was restarted may have forgotten it."""
        if reason.is_failure:
            self._say(f"{self._shown} refuses: {reason} (user and password are in --mqtt)")
            return
        self._said = None
        client.publish(f"{self._prefix}/status", "online", qos=1, retain=True)
        with self._lock:  # or what changes meanwhile would be said before what it was
            self._connected.set()
            self._retain(self._now)

    def _on_connect_fail(self, _: Client, __: Any) -> None:
        error = sys.exc_info()[1]  # the client tells of a failed connection while it handles the reason, and gives none
        trouble = error and tls_trouble(error, self._shown, plain="mqtt://")
        self._say(trouble or f"no connection to {self._shown}")

    def _on_disconnect(
        self, _: Client, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:  # fmt: skip
        self._connected.clear()
        if reason.is_failure:
            self._say(f"the connection to {self._shown} was lost: {reason}")

    def _say(self, reason: str) -> None:
        """Say once what is wrong until it is well again."""
        if self._said is None:
            logger.warning("mqtt: %s; trying again", reason)
        self._said = reason


def _without_names(device: str) -> dict[str, dict[str, str]]:
    components: dict[str, dict[str, str]] = json.loads(device)["components"]
    return {key: {"platform": one["platform"]} for key, one in components.items()}


def topic_word(name: str) -> str:
    """Return a name as one level of a topic."""
    return re.sub(r"[/+#\0]", "_", name)
