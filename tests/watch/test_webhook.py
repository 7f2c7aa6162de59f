from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import trustme

from humandetect.config.delivery import DeliveryConfig
from humandetect.errors import UsageError
from humandetect.watch.delivery import Delivery, Undelivered
from humandetect.watch.notify import delivering
from humandetect.watch.store import Queued, Store
from humandetect.watch.webhook import Webhook
from tests.certificates import issued
from tests.waiting import eventually
from tests.watch.happenings import crossing, crossings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "s3cret"  # noqa: S105
CONFIG = DeliveryConfig(webhook="http://127.0.0.1/hook", webhook_secret=SECRET)
QUICK = 0.01
"""Seconds of the first pause."""


@dataclass
class Receiver:
    """A real HTTP server that remembers what it was told."""

    port: int
    answer: Callable[[str], int] = lambda _: 200
    """Status, by the id of the event."""
    headers: dict[str, str] = field(default_factory=dict)
    told: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Of what was taken."""
    asked: int = 0
    drips: bool = False
    """Whether its answers have no end."""
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?token=s3cret"

    @property
    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body in self.told]


@contextmanager
def hooked(port: int = 0, *, certificate: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.asked += 1
            status = receiver.answer(json.loads(body)["id"])
            if 200 <= status < 300:
                receiver.told.append((dict(self.headers.items()), body))
            self.send_response(status)
            while receiver.drips and self.drip():
                time.sleep(0.02)
            for name, value in {"Content-Length": "0", **receiver.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def drip(self) -> bool:
            try:
                self.send_header("X-More", "more")
                self.flush_headers()
            except OSError:
                self.close_connection = True
                return False
            return True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        receiver = Receiver(server.server_port, scheme="https" if certificate else "http")
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with hooked() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    kept = Store(tmp_path, CONFIG)
    yield kept
    kept.close()


@contextmanager
def sending(store: Store, url: str, *, timeout_seconds: float = 10) -> Iterator[None]:
    delivery = Delivery(store, Webhook(url, secret=SECRET, timeout_seconds=timeout_seconds), first_pause_seconds=QUICK)
    try:
        yield
    finally:
        delivery.close()


def test_an_event_is_posted_as_in_a_file_of_events_with_its_id_and_a_signature(store: Store, hook: Receiver) -> None:
    with sending(store, hook.url):
        store.add_events([crossing(1)])
        eventually(lambda: store.outcomes["webhook", "sent"])
    [(headers, body)] = hook.told
    assert json.loads(body) == json.loads(json.dumps(asdict(crossing(1))))
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == "door-1"
    moment, _, signed = headers["X-Humandetect-Signature"].partition(",v1=")
    assert abs(int(moment.removeprefix("t=")) - time.time()) < 60
    expected = hmac.new(b"s3cret", f"{moment.removeprefix('t=')}.".encode() + body, hashlib.sha256)
    assert signed == expected.hexdigest()
    assert store.queued("webhook") == 0


def test_a_receiver_with_an_authority_of_ones_own_is_told_once_it_is_trusted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    store.add_events(crossings(2))
    with hooked(certificate=issued(authority, tmp_path)) as hook:
        with sending(store, hook.url):
            eventually(lambda: re.search("is not trusted .*set SSL_CERT_FILE.*; events wait", caplog.text))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with sending(store, hook.url):
            eventually(lambda: store.outcomes["webhook", "sent"] == 2)
    assert hook.ids == ["door-0", "door-1"]


def test_every_event_arrives_in_order_after_an_outage_in_mid_run(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with hooked() as first:
        with sending(store, first.url):
            store.add_events(crossings(3))
            eventually(lambda: len(first.told) == 3)
            first.answer = lambda _: 503
            store.add_events([crossing(number) for number in range(3, 20)])
            eventually(lambda: first.asked > 8)  # more tries than a refused event has
            first.answer = lambda _: 200
            eventually(lambda: store.outcomes["webhook", "sent"] == 20)
        assert first.ids == [f"door-{number}" for number in range(20)]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"webhook: http://127.0.0.1:{first.port}/…?… answers 503; events wait",
        "webhook takes events again",
    ]


def test_every_event_arrives_when_nobody_listened_at_first(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store.add_events(crossings(3))
    with sending(store, f"http://127.0.0.1:{port}/"):
        with hooked(port) as late:
            eventually(lambda: len(late.told) == 3)
        eventually(lambda: store.queued("webhook") == 0)


def test_what_waits_is_sent_by_the_next_process(tmp_path: Path, hook: Receiver) -> None:
    store = Store(tmp_path, CONFIG)
    store.add_events(crossings(3))
    store.close()
    config = DeliveryConfig(webhook=hook.url)
    store = Store(tmp_path, config)
    with delivering(config, store) as audiences:
        assert audiences == []
        store.add_events([crossing(3)])
        eventually(lambda: store.outcomes["webhook", "sent"] == 4)
    store.close()
    assert hook.ids == ["door-0", "door-1", "door-2", "door-3"]


@pytest.mark.parametrize(("status", "tries"), [(301, 1), (400, 1), (410, 1), (500, 5), (507, 5)])
def test_an_event_that_is_refused_is_given_up_and_the_next_sent(
    store: Store, hook: Receiver, status: int, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    hook.answer = lambda event_id: status if event_id == "door-0" else 200
    hook.headers = {"Location": "/elsewhere"}
    with sending(store, hook.url):
        store.add_events(crossings(2))
        eventually(lambda: store.outcomes["webhook", "sent"])
    assert hook.ids == ["door-1"]
    assert hook.asked == tries + 1
    assert store.outcomes == {("webhook", "failed"): 1, ("webhook", "sent"): 1}
    assert re.search(rf"answers {status}.*; event door-0 is given up", caplog.text)
    assert "s3cret" not in caplog.text


def test_a_receiver_that_refuses_everything_holds_no_queue_and_is_told_of_once(
    store: Store, hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    hook.answer = lambda _: 500
    with sending(store, hook.url):
        store.add_events(crossings(3))
        eventually(lambda: store.outcomes["webhook", "failed"] == 3)
        hook.answer = lambda _: 200
        store.add_events([crossing(3)])
        eventually(lambda: store.outcomes["webhook", "sent"] == 1)
    said = f"webhook: http://127.0.0.1:{hook.port}/…?… answers 500; "
    assert caplog.messages == [
        f"{said}events wait", f"{said}event door-0 is given up", "webhook takes events again",
    ]  # fmt: skip


def test_a_fault_of_ours_at_one_event_holds_no_other_and_is_told_of_without_what_it_says(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty:
        name = "webhook"

        def __init__(self) -> None:
            self.asked: list[str] = []

        def send(self, queued: Queued) -> None:
            self.asked.append(queued.event.id)
            if queued.event.id == "door-0":
                raise UnicodeEncodeError("utf-8", "s3cret", 0, 1, "cannot be sent")

        def close(self) -> None: ...

    faulty = Faulty()
    delivery = Delivery(store, faulty, first_pause_seconds=QUICK)
    store.add_events(crossings(2))
    eventually(lambda: store.outcomes["webhook", "sent"])
    delivery.close()
    assert faulty.asked == 5 * ["door-0"] + ["door-1"]
    assert store.outcomes["webhook", "failed"] == 1
    assert "cannot be sent (UnicodeEncodeError); event door-0 is given up" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_key_of_bytes_that_are_no_text_signs_with_those_bytes(store: Store, hook: Receiver) -> None:
    delivery = Delivery(store, Webhook(hook.url, secret=os.fsdecode(b"\xff\x00key")), first_pause_seconds=QUICK)
    store.add_events(crossings(1))
    eventually(lambda: store.outcomes["webhook", "sent"])
    delivery.close()
    [(headers, body)] = hook.told
    moment, _, signed = headers["X-Humandetect-Signature"].removeprefix("t=").partition(",v1=")
    assert signed == hmac.new(b"\xff\x00key", moment.encode() + b"." + body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_a_receiver_that_is_busy_or_down_behind_its_proxy_loses_no_event(
    store: Store, hook: Receiver, status: int
) -> None:
    hook.answer = lambda _: status
    with sending(store, hook.url):
        store.add_events(crossings(2))
        eventually(lambda: hook.asked > 5)  # more tries than an event that is refused has
        hook.answer = lambda _: 200
        eventually(lambda: store.outcomes["webhook", "sent"] == 2)
    assert hook.ids == ["door-0", "door-1"]


def test_an_event_that_had_to_make_room_is_tried_no_more(tmp_path: Path, hook: Receiver) -> None:
    hook.answer = lambda event_id: 503 if event_id == "door-0" else 200
    store = Store(tmp_path, replace(CONFIG, most_queued=1))
    with sending(store, hook.url):
        store.add_events([crossing(0)])
        eventually(lambda: hook.asked)
        store.add_events([crossing(1)])
        eventually(lambda: hook.ids == ["door-1"])
    store.close()


def test_a_receiver_says_when_it_wants_to_be_asked_again(store: Store, hook: Receiver) -> None:
    hook.answer = lambda _: 429
    webhook = Webhook(hook.url)
    store.add_events(crossings(1))
    queued = store.first_queued("webhook")
    assert queued is not None
    for said, least, most in [("7", 7, 7), ("Fri, 01 Jan 2100 00:00:00 GMT", 1e9, 1e10)]:
        hook.headers = {"Retry-After": said}
        with pytest.raises(Undelivered) as caught:
            webhook.send(queued)
        assert least <= (caught.value.after_seconds or 0) <= most
    for said in ("soon", "Fri, 01 Jan 2100 00:00:00 +99999999999999999999"):
        hook.headers = {"Retry-After": said}
        with pytest.raises(Undelivered) as caught:
            webhook.send(queued)
        assert caught.value.after_seconds is None
    webhook.close()


def test_a_slow_receiver_slows_nobody_and_gets_its_event_again(store: Store, hook: Receiver) -> None:
    answered = threading.Event()
    hook.answer = lambda _: 200 if answered.wait(60) else 500
    with sending(store, hook.url, timeout_seconds=0.1):
        begin = time.monotonic()
        for number in range(100):
            store.add_events([crossing(number)])
        assert time.monotonic() - begin < 30
        eventually(lambda: hook.asked >= 2)
        answered.set()
        eventually(lambda: store.outcomes["webhook", "sent"] == 100)
    assert list(dict.fromkeys(hook.ids)) == [f"door-{number}" for number in range(100)]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_whose_answer_drips_has_no_longer_than_any(
    scheme: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    store.add_events(crossings(1))
    with hooked(certificate=issued(authority, tmp_path) if scheme == "https" else None) as hook:
        hook.drips = True
        with sending(store, hook.url, timeout_seconds=0.5):
            eventually(lambda: hook.asked >= 2)
            hook.drips = False
            eventually(lambda: store.outcomes["webhook", "sent"] == 1)


def test_an_event_is_not_sent_again_because_the_queue_cannot_be_written(
    store: Store, hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    store.add_events(crossings(1))
    store._db.execute("PRAGMA query_only = ON")
    with sending(store, hook.url):
        eventually(lambda: "is not kept" in caplog.text)
        store._db.execute("PRAGMA query_only = OFF")
        eventually(lambda: store.queued("webhook") == 0)
    assert hook.asked == store.outcomes["webhook", "sent"] == 1


def test_closing_does_not_wait_for_a_receiver_that_hangs(store: Store, hook: Receiver) -> None:
    answered = threading.Event()
    hook.answer = lambda _: 200 if answered.wait(60) else 500
    with sending(store, hook.url):
        store.add_events(crossings(1))
        eventually(lambda: hook.asked)
        begin = time.monotonic()
    assert time.monotonic() - begin < 15
    assert store.queued("webhook") == 1
    answered.set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"webhook": "host/hook"}, "--webhook must be an address such as https"),
        ({"webhook": "ftp://host/hook"}, "--webhook must be an address"),
        ({"mqtt": "http://user:s3cret@broker"}, "--mqtt must be an address such as mqtt"),
        ({"mqtt": "mqtt://broker:99999"}, "--mqtt must be an address"),
        ({"mqtt": "mqtt://broker/home/#"}, "prefix"),
        ({"mqtt": "mqtts://:s3cret@broker"}, "a password only with a user name"),
        ({"webhook_secret": "s3cret"}, "give --webhook"),
        ({"webhook": "http://host", "webhook_secret": ""}, "is empty"),
    ],
)
def test_what_cannot_be_an_address_is_refused_without_its_secrets(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        DeliveryConfig(**options)  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)


def test_no_secret_is_in_the_repr_of_a_config() -> None:
    config = DeliveryConfig(mqtt="mqtt://u:s3cret@broker", webhook="http://h/s3cret", webhook_secret=SECRET)
    assert "s3cret" not in repr(config)
