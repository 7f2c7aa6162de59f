"""HTTP for clients that keep up: uvicorn's protocol with deadlines, which plain uvicorn lacks.

uvicorn ends a connection that is idle between two requests, and nothing else: a client may take days over its headers
or its body, may never read its answer, and may send headers or a refused body without end. Here all of that has bounds.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from humandetect.service.logs import request_id

if TYPE_CHECKING:
    import asyncio

CHECK_SECONDS = 1.0
"""How often a connection is looked at. Deadlines count these looks: a server that stood still is no client's fault."""
HEAD_SECONDS = 12.0
"""For a request's line and headers, from its first byte; for silence on a new connection too."""
HEAD_BYTES = 64_000
"""Of a request's line and headers, and of what surrounds the pieces of its body; the parser has no bound of its own."""
BODY_SECONDS, BODY_BYTES = 10.0, 10_000
"""A body must bring this much within this time: slower than any link of today, it is meant to keep a place taken."""
ANSWER_SECONDS, ANSWER_BYTES = 13.0, 13_000
"""As much of its answer must a client take."""
SHARES = 20
"""And a share of what is there already: who has much of the memory must be done in minutes, not hours."""
DISCARD_SECONDS, DISCARD_BYTES = 10.0, 300_000_000
"""How long and how much of a body nobody wants is read, so that its sender gets to see the answer and not a reset."""
FAREWELL_SECONDS = 2.0
"""How long a connection that was refused stays for the same reason."""
MAX_CONNECTIONS = 1000
"""Each costs a file descriptor and some kB; beyond these a client is told to come back."""
ON_REFUSAL = "on_refusal"
"""Under this name the application's lifespan state may hold a function that takes each Refusal."""
BAD_REQUEST, TIMEOUT, HEAD_TOO_LARGE, UNAVAILABLE = 400, 408, 431, 503


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was answered in the application's place, to something it never heard of."""

    status: int
    message: str
    request_id: str
    client: str
    seconds: float
    """Since its first byte, or since the connection was made."""
    bytes_out: int


class DeadlineProtocol(HttpToolsProtocol):
    """Speak HTTP to a client, and cut it off when it does not keep up."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began = self.loop.time()
        self._in_head = self._in_body = False
        self._head_bytes = 0
        self._steps = 0  # of the parser; data that brings no step only fills its memory
        self._body_bytes = 0  # since a body began, or since nobody wants it any more
        self._waited = 0.0  # for what is awaited now, in seconds
        self._farewell = False
        self._body = Pace(BODY_SECONDS, BODY_BYTES)
        self._answer = Pace(ANSWER_SECONDS, ANSWER_BYTES)
        self._check_timer = self.loop.call_later(CHECK_SECONDS, self._check)
        if len(self.connections) > 2 * MAX_CONNECTIONS:
            transport.abort()
        elif len(self.connections) > MAX_CONNECTIONS:
            self._refuse(UNAVAILABLE, "too many open connections: try again in a moment", retry_after=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._check_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._farewell or self.transport.is_closing():
            return
        steps = self._steps
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse_head()
        if self._steps == steps and (self._in_head or self._in_body) and not self._farewell:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse_head()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Take a request that would rather speak WebSocket or HTTP/2 as what it is too: one of HTTP/1.1.

        The parser stops at such a request and drops its body; Java's client offers HTTP/2 with every POST.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(BAD_REQUEST, "CONNECT: this is no proxy")
            return
        connection = b", ".join(value.lower() for name, value in self.headers if name == b"connection")
        headers = [(name, value) for name, value in self.headers if name not in (b"connection", b"upgrade")]
        if b"close" in connection:
            headers.append((b"connection", b"close"))
        head = [method + b" " + self.url + b" HTTP/1.1", *(name + b": " + value for name, value in headers), b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"\r\n".join(head))
        self.data_received(rest)

    # What the parser reports

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began = self.loop.time()
        self._in_head, self._head_bytes, self._waited = True, 0, 0.0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # not behind the body, where nobody asks for any
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if self._head_bytes > HEAD_BYTES:
            raise ValueError("too large")  # the parser makes it an error of its own, which ends in _refuse_head
        super().on_headers_complete()
        self.cycle.transport = _AnswerTransport(self)  # type: ignore[assignment]
        self._steps += 1
        self._in_head, self._in_body, self._head_bytes, self._body_bytes = False, True, 0, 0
        self._body.restart()

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_body, self._waited = False, 0.0
        super().on_message_complete()
        if self.cycle.response_complete and not self.cycle.keep_alive:
            self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # _check does that: it knows of answers that are still on their way
        self._waited, self._body_bytes = 0.0, 0

    def end_answer(self) -> None:
        """Close, as uvicorn does behind the last answer; but let a client that still sends read it first."""
        if not (self._in_body and self.cycle.response_complete):
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()

    # What the clock brings

    def _check(self) -> None:
        self._check_timer = self.loop.call_later(CHECK_SECONDS, self._check)
        sent, waiting = _sent(self.transport)
        if waiting:
            if self._answer.too_slow(sent, least=self.transport.get_write_buffer_size() // SHARES):
                self.transport.abort()
            return
        self._answer.restart(sent)
        cycle = self.cycle
        if cycle is None or cycle.response_complete or self._farewell or self.transport.is_closing():
            self._waited += CHECK_SECONDS
            self._check_waiting()
        elif self._is_listening() and self._body.too_slow(self._body_bytes, least=self._body_bytes // SHARES):
            self._refuse(TIMEOUT, f"the body came too slowly: less than {BODY_BYTES} bytes in {BODY_SECONDS:g} s")

    def _is_listening(self) -> bool:
        """Tell whether it is the client's turn: a body is under way and nobody told it to wait."""
        return self._in_body and not self.flow.read_paused and not self.cycle.waiting_for_100_continue

    def _check_waiting(self) -> None:
        """End what has waited too long for the client, or heard too much of what nobody wants."""
        if self.transport.is_closing():
            if self._waited >= FAREWELL_SECONDS:
                self.transport.abort()
        elif self._farewell:
            if self._waited >= FAREWELL_SECONDS:
                self._close()
        elif self._in_body:
            if self._waited >= DISCARD_SECONDS or self._body_bytes > DISCARD_BYTES:
                self._close()
        elif self._in_head:
            if self._waited >= HEAD_SECONDS:
                self._refuse(TIMEOUT, f"the headers took longer than {HEAD_SECONDS:g} s")
        elif self._waited >= (HEAD_SECONDS if self.cycle is None else self.timeout_keep_alive):
            self._close()

    def _close(self) -> None:
        self._waited = 0.0
        self.transport.close()

    # Refusals that the application never hears of

    def _refuse_head(self) -> None:
        if self._head_bytes > HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE, f"the request's line and headers are larger than {HEAD_BYTES} bytes")
        else:
            self._refuse(BAD_REQUEST, "this is not HTTP/1.1")

    def _refuse(self, status: int, message: str, *, retry_after: bool = False) -> None:
        """Answer in the application's place, unless it has answered already; listen no more, and part."""
        cycle = self.cycle
        busy = cycle is not None and not cycle.response_complete
        if self.pipeline or (busy and cycle.response_started):  # in the midst of an answer there is no place for this
            self.transport.abort()
            return
        if busy:  # its request is given up, as if the client had gone; the application's log knows better by this
            state = cycle.scope["state"]
            state["refused"] = status
            name = state.setdefault("request_id", request_id(cycle.scope["headers"]))
            cycle.disconnected = True
            cycle.message_event.set()
            self._say(status, message, name, retry_after=retry_after)
        elif not self._in_body:
            name = request_id(self.headers if self._in_head else ())
            self._note(status, message, name, self._say(status, message, name, retry_after=retry_after))
        self._farewell, self._waited = True, 0.0
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _note(self, status: int, message: str, name: str, bytes_out: int) -> None:
        if note := self.app_state.get(ON_REFUSAL):
            seconds = self.loop.time() - self._began
            client = self.client[0] if self.client else "-"
            note(Refusal(status, message, name, client, seconds, bytes_out))

    def _say(self, status: int, message: str, name: str, *, retry_after: bool) -> int:
        """Write an answer and return its body's length."""
        body = json.dumps({"message": message}).encode()
        headers = [*self.server_state.default_headers, (b"content-type", b"application/json")]
        headers += [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
        headers.append((b"x-request-id", name.encode()))
        headers += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        if retry_after:
            headers.append((b"retry-after", b"1"))
        lines = (name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        return len(body)


class Pace:
    """Tell whether a count grows by at least `least` within each `seconds`."""

    def __init__(self, seconds: float, least: int) -> None:
        self._seconds, self._least = seconds, least
        self.restart()

    def restart(self, count: int = 0) -> None:
        self._count, self._waited = count, 0.0

    def too_slow(self, count: int, *, least: int = 0) -> bool:
        """Look at the count, once each CHECK_SECONDS in which it could have grown; `least` asks for more than usual."""
        self._waited += CHECK_SECONDS
        if count - self._count >= max(self._least, least):
            self.restart(count)
        return self._waited >= self._seconds


class _AnswerTransport:
    """What an answer is written to: the connection, but for how it is closed."""

    def __init__(self, protocol: DeadlineProtocol) -> None:
        self.write, self.is_closing = protocol.transport.write, protocol.transport.is_closing
        self.close = protocol.end_answer


_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES, _UNACKNOWLEDGED_AT, _ACKNOWLEDGED_AT, _NOT_SENT_AT = 148, 24, 120, 144


def _sent(transport: asyncio.Transport) -> tuple[int, bool]:
    """Return how much the client has taken, and whether more is waiting for it.

    Linux is asked itself, because under TLS no transport knows what lies in the one below it. Elsewhere the buffer's
    shrinking has to do.
    """
    connection: Any = transport.get_extra_info("socket")
    buffered = transport.get_write_buffer_size()
    if _TCP_INFO is None or connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return -buffered, buffered > 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
    except OSError:  # gone this very moment
        return 0, False
    if len(info) < _TCP_INFO_BYTES:  # a kernel before 4.6
        return -buffered, buffered > 0
    unacknowledged, not_sent = (struct.unpack_from("=I", info, at)[0] for at in (_UNACKNOWLEDGED_AT, _NOT_SENT_AT))
    acknowledged: int = struct.unpack_from("=Q", info, _ACKNOWLEDGED_AT)[0]
    return acknowledged, bool(buffered or unacknowledged or not_sent)
