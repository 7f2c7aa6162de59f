from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from humandetect.errors import UsageError
from humandetect.service.logs import set_up_access_log
from humandetect.service.metrics import Metrics
from humandetect.service.middleware import Access, ApiKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]
KEY = "a secret with an ü"
LOGGERS = ("humandetect.access", "humandetect.service", "uvicorn.error", "asyncio", "python_multipart")


class Answer:
    """What an app sent, and whether it asked for the body."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = False
        self.body_was_read = False


def call(
    app: ASGIApp,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Headers | None = None,
    body: bytes = b"",
    query: bytes = b"",
    incoming: list[Message] | None = None,
    **scope_fields: Any,
) -> Answer:
    """Ask an app as a server would, with any bytes; `incoming` replaces the body's messages."""
    answer = Answer()
    messages: list[Message] = incoming or [{"type": "http.request", "body": body, "more_body": False}]
    scope: Scope = {
        "type": "http", "method": method, "path": path, "query_string": query, "headers": headers or [],
        "client": ("192.0.2.7", 40000), "server": ("127.0.0.1", 8000), "scheme": "http", "http_version": "1.1",
        "root_path": "", **scope_fields,
    }  # fmt: skip

    answered = asyncio.Event()

    async def receive() -> Message:
        answer.body_was_read = True
        if messages:
            return messages.pop(0)
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)
            if answer.complete:
                answered.set()

    async def ask() -> None:
        await app(scope, receive, send)

    asyncio.run(ask())
    return answer


def make_app(tmp_path: Path) -> FastAPI:
    app = FastAPI()

    @app.get("/hello/{name}")
    def hello(name: str, request: Request) -> str:
        return f"{name} {request.state.request_id}"

    @app.post("/count")
    async def count(request: Request) -> Response:
        request.scope["state"]["log"] = {"images": 16, "people": 31, "status": "forged", "note": 'a "b"\nc'}
        return JSONResponse({"bytes": len(await request.body())})

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("no luck\n2026-01-01T00:00:00.000Z forged")

    @app.get("/half")
    def half() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a first half"
            raise RuntimeError("no luck")

        return StreamingResponse(chunks())

    @app.get("/own")
    def own() -> Response:
        return Response("x", headers={"Cache-Control": "max-age=60", "X-Frame-Options": "SAMEORIGIN"})

    @app.get("/healthz")
    def healthz() -> str:
        return "fine"

    tmp_path.joinpath("page.js").write_text("1")
    app.mount("/static", StaticFiles(directory=tmp_path))
    return app


class Watched:
    """An app under Access, with the metrics and what was logged."""

    def __init__(self, app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
        self.metrics = Metrics()
        app.add_middleware(Access, metrics=self.metrics)
        self.app = app
        self._caplog = caplog

    def counted(self, route: str, status: int) -> bool:
        line = f'humandetect_requests_total{{route="{route}",status="{status}"}} 1.0\n'
        return line in self.metrics.exposition()[0].decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [record.access for record in self._caplog.records if hasattr(record, "access")]

    @property
    def failures(self) -> list[logging.LogRecord]:
        return [record for record in self._caplog.records if record.name == "humandetect.service"]


@pytest.fixture
def watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Watched:
    caplog.set_level(logging.INFO)
    return Watched(make_app(tmp_path), caplog)


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    before = [(name, (one := logging.getLogger(name)).handlers[:], one.level, one.propagate) for name in LOGGERS]
    yield
    for name, handlers, level, propagate in before:
        one = logging.getLogger(name)
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


# Request ids


def test_a_sane_request_id_is_kept_and_comes_back(watched: Watched) -> None:
    answer = call(watched.app, "/hello/ann", headers=[(b"x-request-id", b"Trace-1.a_b")])
    assert answer.body == b'"ann Trace-1.a_b"'
    assert answer.headers["x-request-id"] == "Trace-1.a_b"
    assert watched.lines[0]["id"] == "Trace-1.a_b"


@pytest.mark.parametrize("given_id", [b"", b"a" * 65, b"a b", b"a\nb", b"a\n", "ü".encode(), b'"', b"\xff", b"../x"])
def test_any_other_request_id_is_replaced(watched: Watched, given_id: bytes) -> None:
    answer = call(watched.app, "/hello/ann", headers=[(b"x-request-id", given_id)])
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("path", "status"),
    [("/hello/ann", 200), ("/nowhere", 404), ("/teapot", 418), ("/count", 405), ("/broken", 500), ("/static/no", 404)],
)
def test_every_answer_has_the_id_and_strict_headers(watched: Watched, path: str, status: int) -> None:
    answer = call(watched.app, path)
    assert answer.status == status
    assert answer.complete
    assert answer.headers["x-request-id"] == watched.lines[0]["id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_headers_that_a_route_sets_itself_stand(watched: Watched) -> None:
    headers = call(watched.app, "/own").headers
    assert headers["cache-control"] == "max-age=60"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["x-content-type-options"] == "nosniff"


# Counting and logging


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/hello/ann", "/hello/{name}", 200),
        ("/teapot", "/teapot", 418),
        ("/count", "/count", 405),
        ("/broken", "/broken", 500),
        ("/static/page.js", "/static", 200),
        ("/static/healthz", "/static", 404),
        ("/made/up/by/a/scanner", "other", 404),
    ],
)
def test_requests_are_counted_by_the_routes_there_are(watched: Watched, path: str, route: str, status: int) -> None:
    call(watched.app, path)
    assert watched.counted(route, status)
    assert len(watched.lines) == 1


def test_a_line_has_what_the_request_was_and_what_the_route_says_of_it(watched: Watched) -> None:
    call(watched.app, "/count", method="POST", body=b"12345", query=b"token=secret")
    assert len(watched.lines) == 1
    line = watched.lines[0]
    assert line["milliseconds"] >= 0
    expected = {
        "client": "192.0.2.7", "method": "POST", "path": "/count", "status": 200, "bytes_in": 5,
        "bytes_out": len(b'{"bytes":5}'), "images": 16, "people": 31,
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    assert "secret" not in str(line)


def test_health_checks_are_logged_for_debugging_only(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    call(watched.app, "/healthz")
    assert not watched.lines
    assert watched.counted("/healthz", 200)
    caplog.set_level(logging.DEBUG, logger="humandetect.access")
    call(watched.app, "/healthz")
    assert watched.lines[0]["path"] == "/healthz"


def test_an_endless_path_does_not_fill_the_log(watched: Watched) -> None:
    call(watched.app, "/" + "a" * 60_000)
    assert len(watched.lines[0]["path"]) < 1000


def test_a_failure_is_answered_without_its_traceback_which_is_in_the_log(watched: Watched) -> None:
    answer = call(watched.app, "/broken", headers=[(b"x-request-id", b"r-1")])
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/json"
    message = "internal error; the server's log has it under request id r-1"
    assert json.loads(answer.body) == {"message": message}
    assert len(watched.failures) == 1
    assert watched.failures[0].exc_info is not None
    assert "r-1" in watched.failures[0].getMessage()


def test_a_failure_in_the_middle_of_an_answer_leaves_it_incomplete(watched: Watched) -> None:
    answer = call(watched.app, "/half")
    assert answer.body == b"a first half"
    assert not answer.complete
    assert watched.lines[0]["status"] == 500
    assert len(watched.failures) == 1


def test_a_client_that_leaves_while_it_sends_is_499_and_no_failure(watched: Watched) -> None:
    gone: list[Message] = [{"type": "http.request", "body": b"123", "more_body": True}, {"type": "http.disconnect"}]
    call(watched.app, "/count", method="POST", incoming=gone)
    assert watched.lines[0]["status"] == 499
    assert watched.lines[0]["bytes_in"] == 3
    assert watched.counted("/count", 499)
    assert not watched.failures


def test_a_client_that_leaves_before_the_answer_is_499_whatever_the_route_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"
        await Response("too late")(scope, receive, send)

    caplog.set_level(logging.INFO)
    call(Access(app, metrics=Metrics()), incoming=[{"type": "http.disconnect"}])
    assert caplog.records[0].access["status"] == 499  # type: ignore[attr-defined]


def test_listening_on_after_the_answer_does_not_make_the_client_one_that_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await Response("in time")(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    caplog.set_level(logging.INFO)
    call(Access(app, metrics=Metrics()))
    assert caplog.records[0].access["status"] == 200  # type: ignore[attr-defined]


def test_a_server_that_cannot_send_any_more_means_that_the_client_left(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("x")(scope, receive, send)

    async def receive() -> Message:
        raise AssertionError("nothing asks for the body")

    async def send(_: Message) -> None:
        raise OSError("connection lost")

    caplog.set_level(logging.INFO)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(Access(app, metrics=Metrics())(scope, receive, send))
    assert [record.name for record in caplog.records] == ["humandetect.access"]
    assert caplog.records[0].access["status"] == 499  # type: ignore[attr-defined]


def test_a_request_cut_short_by_the_end_of_the_server_is_logged_and_the_end_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    caplog.set_level(logging.INFO)
    with pytest.raises(asyncio.CancelledError):
        call(Access(app, metrics=Metrics()))
    assert caplog.records[0].access["status"] == 499  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_is_not_http_passes_untouched(kind: str) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: object) -> Any: ...

    asyncio.run(Access(ApiKey(app, key=KEY), metrics=Metrics())({"type": kind}, nothing, nothing))
    assert seen == [{"type": kind}]


# The API key


async def answer_all(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("open sesame")(scope, receive, send)


guarded = ApiKey(answer_all, key=KEY)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", f"Bearer {KEY}".encode())],
        [(b"authorization", f"bearer   {KEY}".encode())],
        [(b"x-api-key", KEY.encode())],
        [(b"x-api-key", b"wrong"), (b"x-api-key", KEY.encode())],
        [(b"authorization", b"Basic dTpw"), (b"authorization", f"Bearer {KEY}".encode())],
    ],
)
def test_the_key_opens_by_either_header(headers: Headers) -> None:
    assert call(guarded, "/request", method="POST", headers=headers).body == b"open sesame"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", KEY.encode())],
        [(b"authorization", f"Basic {KEY}".encode())],
        [(b"authorization", b"Bearer " + KEY.encode("latin-1"))],
        [(b"authorization", b"Bearer \xff\x00")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", KEY.encode()[:-1])],
        [(b"x-api-key", KEY.encode() + b"x")],
        [(b"x-api-key", f"{KEY},{KEY}".encode())],
        [(b"x-api-key", KEY.upper().encode())],
        [(b"cookie", f"key={KEY}".encode())],
    ],
)
def test_anything_else_is_401_before_the_body_is_read(headers: Headers) -> None:
    answer = call(guarded, "/request", method="POST", headers=headers, body=b"1" * 1000)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "X-API-Key" in json.loads(answer.body)["message"]
    assert not answer.body_was_read


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/static/app.js", "/healthz", "/readyz"])
def test_the_page_the_docs_and_health_need_no_key(path: str) -> None:
    assert call(guarded, path).status == 200
    assert call(guarded, f"/below{path}", root_path="/below").status == 200


@pytest.mark.parametrize(
    "path",
    ["/request", "/v1/detect", "/metrics", "/static", "/staticx", "/docsx", "//", "/healthz/", "/Docs", "/static%2F"],
)
def test_everything_else_needs_the_key(path: str) -> None:
    assert call(guarded, path).status == 401


def test_a_mount_point_named_like_an_open_path_opens_nothing() -> None:
    assert call(guarded, "/static/v1/detect", root_path="/static").status == 401


@pytest.mark.parametrize("query", [b"deep=1", b"deep", b"deep=", b"d%65ep=1", b"x=1&deep=true", b"deep=0&deep=1"])
def test_a_deep_health_check_needs_the_key(query: bytes) -> None:
    assert call(guarded, "/readyz", query=query).status == 401
    assert call(guarded, "/readyz", query=query, headers=[(b"x-api-key", KEY.encode())]).status == 200


def test_a_browser_may_ask_without_the_key_what_it_may_send() -> None:
    assert call(guarded, "/v1/detect", method="OPTIONS").status == 200


def test_a_line_break_at_the_end_of_the_configured_key_is_not_part_of_it() -> None:
    app = ApiKey(answer_all, key="secret\n")
    assert call(app, "/metrics", headers=[(b"x-api-key", b"secret")]).status == 200


def test_a_blank_key_is_refused_rather_than_open_to_everyone() -> None:
    with pytest.raises(UsageError, match="empty"):
        ApiKey(answer_all, key=" \n")


def test_keys_are_never_logged(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_access_log("json")
    watched.app.add_middleware(ApiKey, key="s3cret-right")
    for key in (b"s3cret-right", b"s3cret-wrong"):
        for path in ("/hello/ann", "/broken"):
            headers = [(b"x-api-key", key), (b"authorization", b"Bearer " + key)]
            call(watched.app, path, headers=headers, query=b"key=s3cret")
    logged = capsys.readouterr().err
    assert logged.count('"humandetect.access"') >= 2
    assert "s3cret" not in logged


# The log's formats


def test_json_lines_hold_one_event_each(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_access_log("json")
    call(watched.app, "/count", method="POST", body=b"12345", headers=[(b"x-request-id", b"r-1")])
    call(watched.app, "/broken")
    first, failure, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "humandetect.access", "POST /count 200")
    assert (first["id"], first["status"], first["images"], first["people"]) == ("r-1", 200, 16, 31)
    assert first["note"] == 'a "b"\nc'
    assert (failure["level"], failure["logger"]) == ("ERROR", "humandetect.service")
    assert "RuntimeError: no luck" in failure["traceback"]
    assert second["status"] == 500


def test_text_lines_are_words_that_can_be_searched(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_access_log("text")
    call(watched.app, "/count", method="POST", body=b"12345", headers=[(b"x-request-id", b"r-1")])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert " id=r-1 client=192.0.2.7 method=POST path=/count status=200 milliseconds=" in line
    assert ' bytes_in=5 bytes_out=11 images=16 people=31 note="a \\"b\\"\\nc"\n' in line


def test_a_failure_in_text_cannot_pass_for_a_line_of_its_own(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_access_log("text")
    call(watched.app, "/broken")
    lines = capsys.readouterr().err.splitlines()
    assert any("RuntimeError: no luck" in line for line in lines)
    assert all(line.startswith(("20", "    ")) for line in lines)
    assert not any(line.startswith("20") and "forged" in line for line in lines)


@given(path=st.text(min_size=1), note=st.text())
def test_nothing_a_client_sends_can_forge_a_line(path: str, note: str) -> None:
    fields = {"path": path, "note": note}
    record = logging.LogRecord("humandetect.access", logging.INFO, "", 0, "GET %s 200", (path,), None)
    record.access = fields
    plain = logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, "%s", (path,), None)
    for log_format in ("text", "json"):
        set_up_access_log(log_format)
        formatter = logging.getLogger("humandetect.access").handlers[-1].formatter
        assert formatter is not None
        for line in (formatter.format(record), formatter.format(plain)):
            assert len(line.splitlines()) == 1
            assert line.isprintable()
        if log_format == "json":
            event = json.loads(formatter.format(record))
            assert (event["path"], event["note"]) == (path, note)


def test_setting_the_log_up_twice_writes_once_and_leaves_the_root_logger_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root_handlers = logging.getLogger().handlers[:]
    set_up_access_log("json")
    set_up_access_log("text")
    for name in LOGGERS:
        logging.getLogger(name).error("watch out")
    logging.getLogger("uvicorn.error").info("chatter")
    logging.getLogger("python_multipart.multipart").warning("chatter: a client's form is odd")
    err = capsys.readouterr().err
    assert err.count("watch out") == len(LOGGERS)
    assert "{" not in err
    assert "chatter" not in err
    assert logging.getLogger().handlers == root_handlers
    assert not any(logging.getLogger(name).propagate for name in LOGGERS)
