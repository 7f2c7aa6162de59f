"""Whom benchmarks let `watch` tell of events: a real broker and a real web server, which go away on command."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Protocol

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEAD = ["receiver", "events", "arrived", "missing", "out of order", "came twice", "waits"]


@dataclass
class Told:
    """What one receiver was told, by camera and in order."""

    ids: dict[str, list[str]] = field(default_factory=dict)

    def take(self, event: bytes) -> None:
        values = json.loads(event)
        self.ids.setdefault(values["source"], []).append(values["id"])

    @property
    def count(self) -> int:
        return sum(map(len, self.ids.values()))


class Receiver(Protocol):
    told: Told
    url: str

    def come(self) -> None: ...

    def leave(self) -> None: ...


class WebServer:
    """A webhook's other end."""

    def __init__(self) -> None:
        self.told = told = Told()
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/people"

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._handler = Handler

    def come(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def leave(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Broker:
    """Mosquitto, which forgets everything when it leaves, and somebody who listens there."""

    def __init__(self, folder: Path) -> None:
        self.told = Told()
        self._port = free_port()
        self.url = f"mqtt://127.0.0.1:{self._port}"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self._port} 127.0.0.1\npersistence false\nallow_anonymous true\nuser root\nlog_dest none\n"
        )
        found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if found is None:
            sys.exit("no mosquitto: apt-get install mosquitto")
        self._command = found

    def come(self) -> None:
        """Start it and listen there, within milliseconds: what comes sooner would be acknowledged to nobody's ears."""
        self._process = subprocess.Popen([self._command, "-c", self._config], stderr=subprocess.DEVNULL)
        subscribed = threading.Event()
        self._listener = Client(CallbackAPIVersion.VERSION2)
        self._listener.on_message = lambda _, __, message: self.told.take(bytes(message.payload))
        self._listener.on_connect = lambda client, *_: client.subscribe("humandetect/+/event", qos=1)
        self._listener.on_subscribe = lambda *_: subscribed.set()
        while self._process.poll() is None:
            try:
                self._listener.connect("127.0.0.1", self._port)
                break
            except ConnectionRefusedError:
                time.sleep(0.005)
        self._listener.loop_start()
        if not subscribed.wait(10):
            sys.exit(f"mosquitto does not serve port {self._port}")

    def leave(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.disconnect()
        self._listener.loop_stop()


@contextmanager
def receiving(folder: Path) -> Iterator[dict[str, Receiver]]:
    """Yield broker and web server, there already, by the names that `watch` has for them."""
    receivers: dict[str, Receiver] = {"mqtt": Broker(folder), "webhook": WebServer()}
    for one in receivers.values():
        one.come()
    yield receivers
    for one in receivers.values():
        one.leave()


@contextmanager
def asked(data: Path) -> Iterator[sqlite3.Connection]:
    """Read what a `watch` keeps, also meanwhile."""
    with closing(sqlite3.connect(f"file:{data / 'watch.sqlite'}?mode=ro", uri=True)) as db:
        yield db


def waiting(data: Path) -> Counter[str]:
    """Return how many events wait, by receiver."""
    with asked(data) as db:
        return Counter(dict(db.execute("SELECT receiver, count(*) FROM queue GROUP BY receiver").fetchall()))


def compared(data: Path, receivers: dict[str, Receiver]) -> list[list[str]]:
    """Return a row of HEAD for each receiver: what was kept against what it was told, camera by camera."""
    with asked(data) as db:
        kept = db.execute("SELECT camera, id FROM events ORDER BY number").fetchall()
        queued = set(db.execute("SELECT receiver, json_extract(json, '$.id') FROM queue").fetchall())
    rows = []
    for name, receiver in receivers.items():
        missing = disordered = twice = left = 0
        for camera in {camera for camera, _ in kept} | set(receiver.told.ids):
            happened = [event for of, event in kept if of == camera]
            came = receiver.told.ids.get(camera, [])
            first = list(dict.fromkeys(came))
            left += sum((name, event) in queued for event in happened)
            missing += sum((name, event) not in queued for event in set(happened) - set(came))
            disordered += first != [event for event in happened if event in set(came)]
            twice += len(came) - len(first)
        numbers = (len(kept), receiver.told.count - twice, missing, disordered, twice, left)
        rows.append([name, *map(str, numbers)])
    return rows


def watch_command(cameras: Sequence[str], data: Path, receivers: dict[str, Receiver], *more: str) -> list[str]:
    """Return what starts a `watch` that counts at a line and in a zone, five looks a second, and tells receivers."""
    told = [word for name, one in receivers.items() for word in (f"--{name}", one.url)]
    counted = ("--rate", "5", "--line", "middle=50%,0%,50%,100%", "--zone", "left=0%,0%,50%,0%,50%,100%,0%,100%")
    return [sys.executable, "-m", "humandetect", "watch", *cameras, "--data", str(data), *counted, *told, *more]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
