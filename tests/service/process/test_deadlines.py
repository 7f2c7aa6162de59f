"""Clients that do not keep up, over real sockets, with deadlines short enough to wait for."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
import trustme

from humandetect.service.process.http import deadlines as protocol
from tests.service.conftest import asking
from tests.service.servers import running
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 60.0
"""Far longer than the deadlines below; a test that waits for it has failed."""
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\n"


PAUSE_SECONDS = {"/busy": 0.2, "/patient": 1.0}
"""Before a request is read, by its path: for longer than a client takes to say more, and than any deadline."""


class App:
    """Answers with what it was sent, or as the path says."""

    def __init__(self) -> None:
        self.gone = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["path"] == "/refuse":
            await answer(send, b"too large", status=413)
        elif scope["path"] == "/large":
            await answer(send, bytes(30_000_000))
        elif scope["path"] in PAUSE_SECONDS:
            await asyncio.sleep(PAUSE_SECONDS[scope["path"]])
            await answer(send, await self.read(receive))
        else:
            await answer(send, await self.read(receive))

    async def read(self, receive: Any) -> bytes:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return b""
            body += bytes(message["body"])
            if not message["more_body"]:
                return body


async def lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def answer(send: Any, body: bytes, *, status: int = 200) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(autouse=True)
def _nothing_fatal(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let no test pass in which an exception left the protocol: the event loop logs it and goes on."""
    yield
    assert [record.getMessage() for record in caplog.records if "Fatal error" in record.getMessage()] == []


@pytest.fixture(autouse=True)
def _short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CHECK_SECONDS": 0.05, "HEAD_SECONDS": 0.4, "BODY_SECONDS": 0.4, "ANSWER_SECONDS": 0.5,
        "DISCARD_SECONDS": 0.6, "FAREWELL_SECONDS": 0.3,
    }.items():  # fmt: skip
        monkeypatch.setattr(protocol, name, value)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For clients that do as they should: a busy machine makes none of them a slow one."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS", "DISCARD_SECONDS"):
        monkeypatch.setattr(protocol, name, PATIENCE)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def url(app: App) -> Iterator[str]:
    with running(app) as url:
        yield url


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    place = httpx.URL(url)
    with socket.create_connection((place.host, place.port or 0), timeout=PATIENCE) as client:
        yield client


def read_to_end(client: socket.socket) -> bytes:
    """Read until the server closes; a reset or a server that never does fails the test."""
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def refusal(answered: bytes, status: int) -> str:
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answered[:200]
    assert b"content-type: application/json" in head
    message: str = json.loads(body)["message"]
    return message


def test_a_silent_connection_is_closed(url: str) -> None:
    with connected(url) as client:
        assert read_to_end(client) == b""


def test_a_connection_idle_after_an_answer_is_closed(app: App) -> None:
    with running(app, timeout_keep_alive=0.3) as url, connected(url) as client:
        client.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert read_to_end(client).startswith(b"HTTP/1.1 200")


def test_headers_that_trickle_are_answered_408(url: str) -> None:
    with connected(url) as client:
        stop = trickle(client, HEAD + b"X: " + b"y" * 1000)
        assert "headers" in refusal(read_to_end(client), 408)
        stop.set()


def test_a_body_that_trickles_is_answered_408_and_the_app_is_told(url: str, app: App) -> None:
    with connected(url) as client:
        client.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        stop = trickle(client, b"y" * 1000)
        assert "slowly" in refusal(read_to_end(client), 408)
        stop.set()
    assert app.gone.wait(PATIENCE)


def test_a_body_that_falls_silent_after_a_good_start_is_cut(url: str) -> None:
    with connected(url) as client:
        client.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + b"y" * 50_000)
        refusal(read_to_end(client), 408)


@pytest.mark.usefixtures("patient")
def test_endless_framing_without_a_body_is_cut(url: str) -> None:
    with connected(url) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;")
        stop = trickle(client, b"x" * 1_000_000, piece=10_000)
        refusal(read_to_end(client), 431)
        stop.set()


def test_a_small_slow_body_is_fine_if_it_completes_in_time(url: str) -> None:
    with connected(url) as client:
        client.sendall(HEAD + b"Connection: close\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            time.sleep(0.04)
            client.sendall(b"y")
        assert read_to_end(client).endswith(b"\r\n\r\nyyyy")


def test_a_steady_body_may_take_longer_than_any_deadline(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_BYTES", 1000)
    with connected(url) as client:
        client.sendall(HEAD + b"Connection: close\r\nContent-Length: 40000\r\n\r\n")
        for _ in range(20):
            time.sleep(0.05)
            client.sendall(b"y" * 2000)
        assert len(read_to_end(client).partition(b"\r\n\r\n")[2]) == 40_000


def test_a_server_that_takes_its_time_is_not_the_clients_fault(url: str) -> None:
    """The app reads nothing for longer than all deadlines: the body stands still because we stopped reading."""
    body = bytes(5_000_000)
    assert len(httpx.post(f"{url}/patient", content=body, timeout=PATIENCE).content) == len(body)


def test_a_client_that_waits_for_100_continue_is_not_slow(url: str) -> None:
    with connected(url) as client:
        client.sendall(
            HEAD.replace(b"/ ", b"/patient ", 1)
            + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"ok")
        assert read_to_end(client).endswith(b"\r\n\r\nok")


def test_a_client_that_does_not_read_its_answer_is_cut(url: str) -> None:
    with connected(url) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: not connections(url))


def test_a_client_that_reads_slowly_but_steadily_gets_its_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ANSWER_BYTES", 1)
    with connected(url) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        received = 0
        while data := client.recv(1_500_000):
            received += len(data)
            time.sleep(0.05)
        assert received > 30_000_000


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("extra", [b"", b"Connection: close\r\n"], ids=["keep-alive", "close"])
def test_an_early_answer_can_be_read_although_the_body_still_comes(url: str, extra: bytes) -> None:
    body = bytes(20_000_000)
    with connected(url) as client:
        client.sendall(b"POST /refuse HTTP/1.1\r\nHost: test\r\n" + extra + b"Content-Length: %d\r\n\r\n" % len(body))
        client.sendall(body)  # all of it is taken
        assert client.recv(1000).startswith(b"HTTP/1.1 413")
        if not extra:
            client.sendall(HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nok")
            assert read_to_end(client).endswith(b"\r\n\r\nok")


@pytest.mark.usefixtures("patient")
def test_an_http_1_0_client_too_can_read_an_early_answer(url: str) -> None:
    with connected(url) as client:
        client.sendall(b"POST /refuse HTTP/1.0\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))
        assert b" 413 " in read_to_end(client)


def test_an_endless_body_that_nobody_wants_ends_and_costs_no_memory(url: str) -> None:
    before = psutil.Process().memory_info().rss
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    with connected(url) as client:
        client.sendall(b"POST /refuse HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413")
        sent = send_until_cut(client, chunk, at_most=3_000_000_000)
    assert 1_000_000 < sent < 3_000_000_000
    assert psutil.Process().memory_info().rss - before < 30_000_000


def test_a_discarded_body_is_bounded_in_size_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "DISCARD_BYTES", 1_000_000)
    monkeypatch.setattr(protocol, "DISCARD_SECONDS", 60)
    with connected(url) as client:
        client.sendall(b"POST /refuse HTTP/1.1\r\nHost: test\r\nContent-Length: 9000000000\r\n\r\n")
        assert send_until_cut(client, bytes(100_000), at_most=3_000_000_000) < 3_000_000_000


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"GET /" + b"y" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    ],
    ids=["one header", "path", "many headers"],
)
def test_headers_over_the_limit_are_answered_431(url: str, head: bytes) -> None:
    with connected(url) as client:
        client.sendall(head + b"\r\n\r\n")
        assert "64000" in refusal(read_to_end(client), 431)
    with connected(url) as client:
        for at in range(0, len(head), 3000):
            client.sendall(head[at : at + 3000])
        refusal(read_to_end(client), 431)


@pytest.mark.usefixtures("patient")
def test_headers_just_within_the_limit_pass_in_pieces(url: str) -> None:
    head = b"GET / HTTP/1.1\r\nConnection: close\r\nX: " + b"y" * 63_000
    with connected(url) as client:
        for at in range(0, len(head), 9000):
            client.sendall(head[at : at + 9000])
            time.sleep(0.01)
        client.sendall(b"\r\n\r\n")
        assert read_to_end(client).startswith(b"HTTP/1.1 200")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """What the access log holds."""
    caplog.set_level("INFO", "humandetect.access")
    return lambda: [record.access for record in caplog.records if hasattr(record, "access")]


def header(answered: bytes, name: str) -> str:
    found = re.search(rf"(?im)^{name}: (.*)\r$", answered.partition(b"\r\n\r\n")[0].decode() + "\r\n")
    assert found, answered
    return found[1]


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"\x16\x03\x01 no HTTP\r\n\r\n", 400), (HEAD + b"X: y", 408), (HEAD + b"X: " + b"y" * 100_000, 431)],
)
def test_what_never_became_a_request_has_an_id_a_line_in_the_log_and_a_count(
    lines: Callable[[], list[dict[str, Any]]], data: bytes, status: int
) -> None:
    with asking() as client:
        with connected(str(client.base_url)) as sender:
            sender.sendall(data)
            answered = read_to_end(sender)
        (line,) = lines()
        counted = client.get("/metrics").text
    assert line["status"] == status
    assert line["id"] == header(answered, "x-request-id")
    assert (line["client"], line["method"], line["path"]) == ("127.0.0.1", "-", "-")
    assert line["reason"] == refusal(answered, status)
    assert f'humandetect_requests_total{{route="-",status="{status}"}} 1.0' in counted


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"Content-Length: 9", b"y", 408),
        (b"Transfer-Encoding: chunked", b"no number\r\n", 400),
    ],
)
def test_a_request_refused_in_its_midst_is_logged_and_counted_once_as_what_it_was_answered(
    lines: Callable[[], list[dict[str, Any]]], head: bytes, body: bytes, status: int
) -> None:
    begin = b"POST /v1/detect HTTP/1.1\r\nHost: test\r\nContent-Type: image/jpeg\r\nX-Request-ID: mine\r\n"
    with asking() as client:
        with connected(str(client.base_url)) as sender:
            sender.sendall(begin + head + b"\r\n\r\n" + body)
            answered = read_to_end(sender)
        refusal(answered, status)
        assert header(answered, "x-request-id") == "mine"
        eventually(lines)
        assert [(line["id"], line["path"], line["status"]) for line in lines()] == [("mine", "/v1/detect", status)]
        counted = client.get("/metrics").text
    assert f'humandetect_requests_total{{route="/v1/detect",status="{status}"}} 1.0' in counted
    assert 'status="499"' not in counted


def test_trailers_are_dropped(url: str) -> None:
    with connected(url) as client:
        client.sendall(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n")
        assert read_to_end(client).endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01 no HTTP\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_answered_400_in_json(url: str, data: bytes) -> None:
    with connected(url) as client:
        client.sendall(data)
        refusal(read_to_end(client), 400)


@pytest.mark.parametrize("offer", [b"websocket", b"h2c"])
def test_a_request_that_offers_another_protocol_is_served_by_this_one_with_its_body(url: str, offer: bytes) -> None:
    with connected(url) as client:
        offered = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + offer + b"\r\nContent-Length: 5\r\n\r\n"
        client.sendall(offered + b"fir")
        client.sendall(b"st")
        assert client.recv(1000).endswith(b"\r\n\r\nfirst")
        client.sendall(HEAD + b"Content-Length: 6\r\nConnection: close\r\n\r\nsecond")
        assert read_to_end(client).endswith(b"\r\n\r\nsecond")


def test_pipelined_requests_are_answered_in_order(url: str) -> None:
    with connected(url) as client:
        client.sendall(
            HEAD + b"Content-Length: 3\r\n\r\none" + HEAD + b"Content-Length: 3\r\nConnection: close\r\n\r\ntwo"
        )
        answered = read_to_end(client)
    assert 0 < answered.find(b"\r\n\r\none") < answered.find(b"\r\n\r\ntwo")


@pytest.mark.parametrize(
    ("garbage", "status"),
    [
        (b"\x00 no HTTP\r\n\r\n", 400),
        (HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n", 400),
    ],
    ids=["no request", "large head", "broken body"],
)
@pytest.mark.parametrize("path", [b"/", b"/busy"])
def test_good_requests_before_garbage_are_answered_and_then_the_garbage(
    url: str, path: bytes, garbage: bytes, status: int
) -> None:
    begin = b"POST " + path + b" HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n"
    with connected(url) as client:
        client.sendall(begin + b"one" + begin + b"two" + garbage)
        answered = read_to_end(client)
    one, two, last = answered.find(b"\r\n\r\none"), answered.find(b"\r\n\r\ntwo"), answered.rfind(b"HTTP/1.1 ")
    assert 0 < one < two < last
    refusal(answered[last:], status)
    assert answered.count(b"HTTP/1.1 ") == 3


def test_connections_beyond_the_limit_are_told_to_come_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 60)
    with connected(url), connected(url):
        answered = httpx.get(url)
        assert answered.status_code == 503
        assert answered.headers["Retry-After"] == "1"
        assert "connections" in answered.json()["message"]
        assert answered.headers["X-Request-ID"]
    eventually(lambda: httpx.get(url).status_code == 200)


def test_deadlines_hold_over_tls(app: App, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with running(app, ssl_certfile=tmp_path / "cert.pem", ssl_keyfile=tmp_path / "key.pem") as url:
        assert httpx.post(url, content=b"hello", verify=trust).content == b"hello"
        with connected(url) as plain, trust.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(HEAD)
            refusal(read_to_end(client), 408)
        with connected(url) as plain, trust.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n")
            eventually(lambda: not connections(url))  # its answer lies where only the kernel sees it


@pytest.mark.usefixtures("patient")
def test_many_clients_at_once_are_all_answered(url: str) -> None:
    async def ask() -> list[int]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, timeout=PATIENCE) as client:
            answers = await asyncio.gather(*(client.post(url, content=bytes(20_000)) for _ in range(200)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * 200


def send_until_cut(client: socket.socket, data: bytes, *, at_most: int) -> int:
    """Send the same again and again; return how many bytes went."""
    for sent in range(0, at_most, len(data)):
        try:
            client.sendall(data)
        except OSError:
            return sent
    return at_most


def trickle(client: socket.socket, data: bytes, *, piece: int = 1) -> threading.Event:
    """Send a piece every 20 ms from a thread, until told to stop or cut."""
    stop = threading.Event()

    def send() -> None:
        for at in range(0, len(data), piece):
            if stop.wait(0.02):
                return
            try:
                client.sendall(data[at : at + piece])
            except OSError:
                return

    threading.Thread(target=send, daemon=True).start()
    return stop


def connections(url: str) -> list[Any]:
    """What the kernel holds open on the server's side."""
    port = httpx.URL(url).port
    return [
        connection
        for connection in psutil.Process().net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
    ]
