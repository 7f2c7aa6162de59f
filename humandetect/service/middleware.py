"""What surrounds every request: id, line in the log, count, headers that keep browsers strict, and the API key.

Plain ASGI, so that answers stream through untouched. What is not HTTP (lifespan) passes.
"""

from __future__ import annotations

import hmac
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse

from humandetect.errors import UsageError
from humandetect.service.logs import request_id
from humandetect.service.refusals import Cause

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from humandetect.service.metrics import Metrics
    from humandetect.service.refusals import Refusal

logger = logging.getLogger("humandetect.service")
access_logger = logging.getLogger("humandetect.access")

NO_ROUTE = "-"
"""Stands for the route of what never became a request."""
LONGEST_PATH = 500
ROUTINE = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines; logged for debugging only."""
OPEN = frozenset({"/", "/scene", "/limits", "/docs", "/openapi.json", "/healthz", "/readyz"})
"""Answered without the API key, as is everything under /static/."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),  # says nothing about fetches that CORS allows
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class Access:
    """Give each request an id, an answer whatever happens, a count and a line in the log. The outermost layer."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            await exchange.fail()
        finally:
            self._note(exchange)

    def _note(self, exchange: _Exchange) -> None:
        scope, status, seconds = exchange.scope, exchange.final_status, exchange.seconds
        self._metrics.request(route=exchange.route, status=status, seconds=seconds)
        path = scope["path"]
        level = logging.DEBUG if exchange.route in ROUTINE else logging.INFO
        if not access_logger.isEnabledFor(level):
            return
        known = {
            "id": exchange.request_id,
            "client": (scope.get("client") or ("-",))[0],
            "method": scope["method"],
            "path": path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}...",
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
        }
        fields = {**known, **scope["state"].get("log", {}), **known}  # a route's field never hides one of these
        access_logger.log(level, "%s %s %d", known["method"], known["path"], status, extra={"access": fields})


def note_refusal(metrics: Metrics, refusal: Refusal) -> None:
    """Count and log a request of which the protocol could not, or would not, make one."""
    metrics.request(route=NO_ROUTE, status=refusal.status, seconds=refusal.seconds)
    fields = {
        "id": refusal.request_id, "client": refusal.client, "method": "-", "path": "-", "status": refusal.status,
        "milliseconds": round(refusal.seconds * 1000, 1), "bytes_in": 0, "bytes_out": len(refusal.body),
        "reason": refusal.message,
    }  # fmt: skip
    access_logger.info("- - %d", refusal.status, extra={"access": fields})


class _Exchange:
    """One request and its answer, as they pass by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        state = scope.setdefault("state", {})
        self.request_id: str = state.setdefault("request_id", request_id(scope["headers"]))
        self.bytes_in = self.bytes_out = 0
        self._receive = receive
        self._send = send
        self._root = scope.get("root_path", "")
        self._status: int | None = None
        self._client_left = self._failed = False
        self._started = time.perf_counter()
        self._answered: float | None = None

    @property
    def route(self) -> str:
        """The pattern that the router matched, or the mount's prefix: nothing that a client can make up."""
        mount = str(self.scope.get("root_path", "")).removeprefix(self._root)  # routers extend it by what they enter
        return getattr(self.scope.get("route"), "path", None) or mount or "other"

    @property
    def final_status(self) -> int:
        refused: int | None = self.scope["state"].get("refused")
        if refused is not None:  # by the protocol, in the midst of the request
            return refused
        if self._failed:
            return Cause.FAILED
        if self._client_left or self._answered is None:  # cut short without a failure: the server is stopping
            return Cause.CLIENT_GONE
        return self._status or Cause.FAILED

    @property
    def seconds(self) -> float:
        """Time until the answer's last byte was handed over; what ran after it does not count."""
        return (self._answered or time.perf_counter()) - self._started

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
        elif self._answered is None:  # servers say so after each complete answer too
            self._client_left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        try:
            await self._send(message)
        except OSError:  # how servers may say that nobody listens any more
            self._client_left = True
            raise
        if message["type"] == "http.response.body":
            self.bytes_out += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._answered = time.perf_counter()

    async def fail(self) -> None:
        """Log the exception being handled, and answer if nothing was sent yet."""
        if self._client_left:  # what fails then fails because of it
            return
        self._failed = True
        logger.exception("request %s failed", self.request_id)
        if self._status is None:  # else: returning makes the server cut the connection, half an answer shows as one
            text = f"internal error; the server's log has it under request id {self.request_id}"
            with suppress(OSError):
                await JSONResponse({"message": text}, Cause.FAILED)(self.scope, self.receive, self.send)

    def _headers(self, headers: Any) -> list[tuple[bytes, bytes]]:
        kept = [(name, value) for name, value in headers if name.lower() != b"x-request-id"]
        names = {name.lower() for name, _ in kept}
        added = [(name, value) for name, value in SECURITY_HEADERS if name not in names]
        return [*kept, *added, (b"x-request-id", self.request_id.encode())]


class ApiKey:
    """Ask for the key before anything of the body is read. The page, the docs and health stay open."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self._app = app
        self._key = key.strip().encode("utf-8", "surrogateescape")  # files and variables end in a line break easily
        if not self._key:
            raise UsageError("the API key is empty: leave it out to ask for none")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope) or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        text = "this needs the API key: send it as `Authorization: Bearer KEY` or as `X-API-Key: KEY`"
        answer = JSONResponse({"message": text}, Cause.NO_KEY, {"WWW-Authenticate": "Bearer"})
        await answer(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        """Compare every key given, in a time that says nothing of the right one."""
        matches = [hmac.compare_digest(given, self._key) for given in keys_given(scope)]
        return any(matches)


def keys_given(scope: Scope) -> list[bytes]:
    """Return the keys in a request's headers."""
    keys = []
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            keys.append(value.strip())
        elif name == b"authorization":
            scheme, _, token = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                keys.append(token.strip())
    return keys


def _is_open(scope: Scope) -> bool:
    """Tell whether a request needs no key. CORS asks by OPTIONS what it may send, before it sends the key."""
    path = _path_below_root(scope)
    if scope["method"] == "OPTIONS":
        return True
    if path == "/readyz":  # deep is a real detection
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return all(name != "deep" for name, _ in query)
    return path in OPEN or path.startswith("/static/")


def _path_below_root(scope: Scope) -> str:
    """Return the path that the router sees: what is open must not depend on where the app is mounted."""
    root, path = scope.get("root_path", ""), str(scope["path"])
    return path.removeprefix(root) if path.startswith(f"{root}/") else path
