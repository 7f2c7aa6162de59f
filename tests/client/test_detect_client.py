"""What the client promises: every image gets its own answer or a reason, and every trouble is named or outlived."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
from starlette.responses import JSONResponse, Response, StreamingResponse

from humandetect.client import transport
from humandetect.client.detect_client import DetectClient, batch_body
from humandetect.config import ServeConfig
from humandetect.detection.detector import Detector
from humandetect.errors import Closed, RequestFailed, ServiceAway, ServiceError, UsageError
from humandetect.media.images import decode_image
from humandetect.wire import BatchRequest
from tests.fakes import FakeEngine
from tests.service.faults import Call, Faulty, answers, good, out, problem
from tests.service.images import jpeg, png
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The real endpoint around the fake engine."""
    with running(ServeConfig(max_images=4, api_key="sesame"), detector=Detector(FakeEngine())) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[DetectClient]:
    with DetectClient(url, api_key="sesame", patience_seconds=5) as client:
        yield client


@contextmanager
def asking(answer: Callable[[Call], Response], **options: Any) -> Iterator[tuple[DetectClient, Faulty]]:
    app = Faulty(answer)
    with running(app) as url, DetectClient(url, **({"patience_seconds": 5} | options)) as client:
        yield client, app


def test_each_image_gets_its_own_answer_in_order(client: DetectClient) -> None:
    """The fake engine's score is 0.7 + red / 1000."""
    outcomes = client.request([png(shade=shade) for shade in (30, 0, 60)])
    assert [round(outcome.people[0].score, 2) for outcome in outcomes] == [0.73, 0.7, 0.76]
    for outcome in outcomes:
        assert decode_image(outcome.annotated, max_megapixels=1).shape == (48, 64, 3)
        assert outcome.people[0].box == (0, 12, 32, 36)


def test_a_bad_image_has_a_reason_and_costs_only_itself(client: DetectClient) -> None:
    outcomes = client.request([jpeg(), b"not an image", jpeg()])
    assert [len(outcome.people) for outcome in outcomes] == [1, 0, 1]
    assert [outcome.reason is None for outcome in outcomes] == [True, False, True]
    assert "not an image" in str(outcomes[1].reason)


def test_bad_images_alone_have_reasons_too(client: DetectClient) -> None:
    assert all(outcome.reason for outcome in client.request([b"one", b"two"]))


def test_detect_returns_people_and_size(client: DetectClient) -> None:
    found = client.detect(jpeg(80, 48))
    assert (found.width, found.height, len(found.people)) == (80, 48, 1)
    assert client.detect(jpeg(), score=0.95).people == []


def test_several_images_are_found_in_by_one_form(client: DetectClient) -> None:
    found = client.detect_several([png(shade=60), b"nonsense", png()])
    assert [len(one.people) for one in found] == [1, 0, 1]
    assert found[0].people[0].score > found[2].people[0].score
    assert found[1].error


@pytest.mark.parametrize("ask", [lambda c: c.detect(b"nonsense"), lambda c: c.detect_several([b"one", b"two"])])
def test_detect_says_why_nothing_can_be_found(client: DetectClient, ask: Callable[[DetectClient], Any]) -> None:
    with pytest.raises(RequestFailed, match="not an image"):
        ask(client)


def test_too_many_images_are_refused_with_the_status(client: DetectClient) -> None:
    with pytest.raises(RequestFailed, match="5 images") as refused:
        client.request([jpeg()] * 5)
    assert refused.value.status == 406


def test_many_threads_share_a_client(client: DetectClient) -> None:
    shades = [shade % 200 for shade in range(40)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda shade: client.request([png(shade=shade)])[0], shades))
    assert [round(outcome.people[0].score, 3) for outcome in outcomes] == [0.7 + shade / 1000 for shade in shades]


def test_a_wrong_key_is_explained_and_no_key_is_told(url: str) -> None:
    for key in (None, "swordfish"):
        with DetectClient(url, api_key=key) as client, pytest.raises(ServiceError, match="--api-key") as refused:
            client.detect(jpeg())
        assert refused.value.status == 401
        assert "swordfish" not in str(refused.value)


def test_a_server_that_is_overloaded_is_asked_again_when_it_says() -> None:
    def busy(call: Call) -> Response:
        return good(call) if call.number == 2 else problem(503, "busy", Retry_After="1" if call.number else "0")

    began = time.monotonic()
    with asking(busy) as (client, app):
        assert len(client.request([jpeg()])) == 1
    assert len(app.calls) == 3
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_may_pass_is_outlived(status: int) -> None:
    with asking(lambda call: problem(status) if call.number < 2 else good(call)) as (client, app):
        assert client.request([jpeg()])[0].people
    assert len(app.calls) == 3


def test_patience_ends_with_what_was_tried() -> None:
    with asking(lambda _: problem(503, "too busy"), patience_seconds=0.5) as (client, app):
        with pytest.raises(ServiceAway, match=r"503: too busy \(asked \d+ times in \d s\)") as away:
            client.request([jpeg()])
        assert away.value.status == 503
        assert len(app.calls) > 1


@pytest.mark.parametrize("answer", [lambda _: problem(503), lambda _: Response("{"), lambda _: problem(500)])
def test_without_patience_a_server_is_asked_once(answer: Callable[[Call], Response]) -> None:
    with asking(answer, patience_seconds=0) as (client, app):
        with pytest.raises(ServiceError):
            client.request([jpeg()])
        assert len(app.calls) == 1


def test_who_shall_come_back_after_patience_has_ended_gives_up_at_once() -> None:
    for date in ("3600", "Fri, 31 Dec 2999 23:59:59 GMT"):
        with asking(lambda _, date=date: problem(503, Retry_After=date)) as (client, app):  # type: ignore[misc]
            with pytest.raises(ServiceAway):
                client.request([jpeg()])
            assert len(app.calls) == 1


@pytest.mark.parametrize("value", ["soon", "-5", "", "9" * 30])
def test_nonsense_in_retry_after_does_no_harm(value: str) -> None:
    with asking(lambda call: good(call) if call.number else problem(503, Retry_After=value)) as (client, _):
        assert client.request([jpeg()])[0].people


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (301, ServiceError, "moved to"),
        (400, RequestFailed, "as it was told"),
        (403, ServiceError, "--api-key"),
        (404, ServiceError, "no POST /request"),
        (405, ServiceError, "no POST /request"),
        (406, RequestFailed, "as it was told"),
        (413, RequestFailed, "as it was told"),
        (415, ServiceError, "as it was told"),
        (422, ServiceError, "as it was told"),
    ],
)
def test_a_refusal_is_final(status: int, kind: type[ServiceError], words: str) -> None:
    with asking(lambda _: problem(status)) as (client, app):
        with pytest.raises(ServiceError, match=words) as refused:
            client.request([jpeg()])
        assert type(refused.value) is kind
        assert refused.value.status == status
        assert len(app.calls) == 1


def test_a_server_that_fails_is_given_a_second_chance() -> None:
    with asking(lambda call: good(call) if call.number else problem(500)) as (client, _):
        assert client.request([jpeg()])[0].people
    with asking(lambda _: problem(500, "the engine failed")) as (client, app):
        with pytest.raises(RequestFailed, match="the engine failed"):
            client.request([jpeg()])
        assert len(app.calls) >= 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: Response("<html>"), "Invalid JSON"),
        (lambda _: Response(b"\xff\xfe\x00"), "makes no sense"),
        (lambda _: Response('{"output": 3, "errors": {}}'), "output: "),
        (lambda _: Response('{"output": [{"id": "0"}], "errors": {}}'), "output.0.annotated_image"),
        (lambda _: answers([out("0")]), "2 images were sent, ids 0, 1 were to come back, and 0 came"),
        (lambda _: answers([]), "and none came"),
        (lambda _: answers([out("0"), out("1"), out("2")]), "and 0, 1, 2 came"),
        (lambda _: answers([out("1"), out("0")]), "and 1, 0 came"),
        (lambda _: answers([out("0"), out("0")]), "and 0, 0 came"),
        (lambda _: answers([out("0"), out("1", annotated_image="%%%")]), "picture of id 1"),
        (lambda _: answers([out("0"), out("1", annotated_image="ünsinn")]), "picture of id 1 is not base64"),
        (lambda _: answers([out("0"), out("1", annotated_image=base64.b64encode(png()).decode())]), "not a JPEG"),
        (lambda _: answers([out("0"), out("1", people=[{"box": [1, 2, 3], "score": 1}])]), "output.1.people.0.box"),
        (lambda _: answers([out("0"), out("1", people=[{"box": [1, 2, 3, 4], "score": 7}])]), "output.1.people.0"),
        (lambda _: Response(bytes(answers([out("0"), out("1")]).body).replace(b"30.0", b"1e999")), "a box is"),
        (lambda _: Response("?", headers={"content-encoding": "gzip"}), "makes no sense"),
    ],
)
def test_nonsense_is_named(answer: Callable[[Call], Response], words: str) -> None:
    with asking(answer) as (client, app):
        with pytest.raises(RequestFailed, match=words):
            client.request([jpeg(), jpeg()])
        assert len(app.calls) >= 2


def test_an_older_server_names_bad_images_by_their_ids_alone() -> None:
    def older(_: Call) -> Response:
        return JSONResponse({"output": [out("1")], "errors": {"message": "bad", "error_ids": ["0"]}})

    with asking(older) as (client, _):
        outcomes = client.request([b"?", jpeg()])
    assert [outcome.reason for outcome in outcomes] == ["bad", None]


def test_nonsense_about_found_people_is_named() -> None:
    with asking(lambda _: Response("{}")) as (client, _), pytest.raises(RequestFailed, match="results"):
        client.detect(jpeg())
    with asking(good) as (client, _), pytest.raises(RequestFailed, match="names 0, 1 were to come back"):
        client.detect_several([jpeg(), jpeg()])


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LARGEST_ANSWER_BYTES", 100_000)
    with asking(lambda _: Response(b" " * 200_000)) as (client, _), pytest.raises(RequestFailed, match="longer"):
        client.request([jpeg()])


def test_a_slow_answer_is_asked_for_again() -> None:
    def slow_at_first(call: Call) -> Response:
        if call.number == 0:
            time.sleep(2)
        return good(call)

    with asking(slow_at_first, timeout_seconds=1) as (client, app):
        assert client.request([jpeg()])[0].people
        assert len(app.calls) >= 2


def test_an_answer_that_trickles_is_too_slow_as_well() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(15):
            yield b" "
            await asyncio.sleep(0.1)

    with (
        asking(lambda _: StreamingResponse(trickle()), timeout_seconds=0.4, patience_seconds=0) as (client, _),
        pytest.raises(ServiceAway, match=r"within 0.4 s.*--timeout"),
    ):
        client.request([jpeg()])


@contextmanager
def raw_server(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give each connection to `handle`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    handle(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(60)


def test_broken_connections_are_outlived() -> None:
    """The first connections end in the middle of everything; later ones are answered."""
    count = 0

    def fragile(connection: socket.socket) -> None:
        nonlocal count
        count += 1
        connection.recv(100)
        if count == 2:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        if count > 3:
            body = bytes(answers([out("0")]).body)
            connection.recv(1_000_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with raw_server(fragile) as url, DetectClient(url, patience_seconds=30) as client:
        client._server._transport.reached = True  # as in the middle of a film
        assert client.request([jpeg()])[0].people
    assert count == 4


def test_what_speaks_no_http_is_not_waited_for() -> None:
    with (
        raw_server(lambda connection: connection.sendall(b"SSH-2.0-nothing\r\n")) as url,
        DetectClient(url) as client,
        pytest.raises(ServiceAway, match="the connection to"),
    ):
        client.request([jpeg()])


def test_no_server_there_says_how_to_start_one_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for ask in (DetectClient.reach, lambda client: client.request([jpeg()])):
        with DetectClient(url, patience_seconds=60) as client, pytest.raises(ServiceAway, match="humandetect serve"):
            ask(client)


def test_a_server_that_was_there_is_waited_for() -> None:
    app = Faulty(good)
    with running(app) as url, DetectClient(url, patience_seconds=20) as client:
        client.reach()
        port = int(url.rpartition(":")[2])
    with DetectClient(url, patience_seconds=20) as client:
        with running(app, port=port):
            client.request([jpeg()])
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.request, [jpeg()])
            time.sleep(0.5)
            assert not waiting.done()
            with running(app, port=port):
                assert waiting.result(60)[0].people


@pytest.mark.parametrize("url", ["localhost:8000", "8000", "", "ftp://host", "http://", "http://[::1", "not a url"])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        DetectClient(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:secret@host",
        "http://user:secret/1@host",
        "http://host:secret",
        "user:secret@host",
        "http:secret@host",
    ],
)
def test_passwords_in_bad_urls_are_not_told(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        DetectClient(url)
    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_a_key_that_cannot_be_sent_is_not_told() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value b'secret\\n'")

    with (
        DetectClient("http://host", api_key="key", transport=httpx.MockTransport(refuse)) as client,
        pytest.raises(ServiceError, match="characters that HTTP cannot send") as refused,
    ):
        client.reach()
    assert "secret" not in str(refused.value)


def test_a_redirect_is_named_without_its_secrets() -> None:
    moved = httpx.MockTransport(
        lambda _: httpx.Response(302, headers={"location": "https://u:secret@new/live?k=secret"})
    )
    with DetectClient("http://host", transport=moved) as client, pytest.raises(ServiceError) as refused:
        client.request([jpeg()])
    assert "moved to https://…@new/live?…: use that URL" in str(refused.value)


def test_passwords_in_urls_are_not_told() -> None:
    with DetectClient("http://user:secret@127.0.0.1:9") as client:
        assert "secret" not in client.where
        with pytest.raises(ServiceAway) as away:
            client.reach()
    assert "secret" not in str(away.value)


def test_a_host_that_does_not_exist_is_said() -> None:
    with DetectClient("http://no-such-host.invalid") as client, pytest.raises(ServiceError, match=r"no-such-host"):
        client.reach()


def test_a_path_before_the_endpoints_is_kept() -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(404)

    for url in ("http://host/people", "http://host/people/"):
        with DetectClient(url, transport=httpx.MockTransport(note)) as client, pytest.raises(ServiceError, match="404"):
            client.request([jpeg()])
    assert seen == ["/people/request"] * 2


def test_a_proxy_is_not_asked_for_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with DetectClient(url, api_key="sesame") as client:
        client.detect(jpeg())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_url(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tls")
    cert = authority.issue_cert("127.0.0.1")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    cert.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    with running(Faulty(good), ssl_certfile=folder / "cert.pem", ssl_keyfile=folder / "key.pem") as url:
        yield url


def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_way_to_trust_it(tls_url: str) -> None:
    with DetectClient(tls_url) as client:
        for ask in (client.reach, lambda: client.request([jpeg()])):
            with pytest.raises(ServiceError, match="SSL_CERT_FILE"):
                ask()


def test_a_certificate_of_ones_own_is_trusted_by_the_environment(
    tls_url: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with DetectClient(tls_url) as client:
        assert client.request([jpeg()])[0].people


def test_https_where_http_is_served_is_explained(url: str) -> None:
    with DetectClient(url.replace("http:", "https:")) as client, pytest.raises(ServiceError, match="is it http://"):
        client.reach()


def test_http_where_https_is_served_is_explained(tls_url: str) -> None:
    with DetectClient(tls_url.replace("https:", "http:")) as client, pytest.raises(ServiceError, match="https://"):
        client.request([jpeg()])


@pytest.mark.parametrize("trouble", ["hangs", "is busy"])
def test_close_ends_what_waits(trouble: str) -> None:
    go_on = threading.Event()

    def hang(call: Call) -> Response:
        if trouble == "hangs":
            go_on.wait(60)
        return problem(503, Retry_After="50")

    with asking(hang, timeout_seconds=60, patience_seconds=60) as (client, app), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.request, [jpeg()])
        while not app.calls:
            time.sleep(0.01)
        time.sleep(0.1)
        client.close()
        with pytest.raises(Closed):
            waiting.result(30)
        client.close()
        with pytest.raises(Closed):
            client.request([jpeg()])
        go_on.set()


def test_a_body_can_be_made_once_and_sent_often(url: str) -> None:
    with DetectClient(url, api_key="sesame") as client:
        body = batch_body([jpeg(), jpeg()])
        for _ in range(3):
            assert len(client.request_body(body, count=2)) == 2


def test_a_body_is_what_the_endpoint_describes() -> None:
    images = [jpeg(), b"", b"\x00\xff" * 7]
    entries = BatchRequest.model_validate_json(batch_body(images)).input
    assert [base64.b64decode(entry.image) for entry in entries] == images
    assert [entry.id for entry in entries] == ["0", "1", "2"]
    assert BatchRequest.model_validate_json(batch_body([])).input == []


def test_a_key_that_no_header_can_hold_is_an_error_of_ours(url: str) -> None:
    with DetectClient(url, api_key="a\nb") as client, pytest.raises(ServiceError):
        client.detect(jpeg())


def test_only_the_tls_context_of_https_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda *_: pytest.fail("nobody asked for TLS"))
    DetectClient("http://127.0.0.1:1", transport=httpx.MockTransport(lambda _: httpx.Response(200))).close()
