"""HTTP for clients that keep up: uvicorn's protocol with deadlines, which plain uvicorn lacks.

uvicorn ends a connection that is idle between two requests, and nothing else: a client may take days over its headers
or its body, may never read its answer, and may send headers or a refused body without end. Here all of that has bounds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from humandetect.service.logs import request_id
from humandetect.service.process.http.tcp import sent_bytes
from humandetect.service.refusals import ON_REFUSAL, Cause, Refusal

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
        self._ignoring = self._is_parting = False
        self._due: Refusal | None = None  # when the requests before it have their answers
        self._body = LeastPace(BODY_SECONDS, BODY_BYTES)
        self._answer = LeastPace(ANSWER_SECONDS, ANSWER_BYTES)
        self._check_timer = self.loop.call_later(CHECK_SECONDS, self._check)
        if len(self.connections) > 2 * MAX_CONNECTIONS:
            transport.abort()
        elif len(self.connections) > MAX_CONNECTIONS:
            self._refuse(Cause.UNAVAILABLE, "too many open connections: try again in a moment")

    def connection_lost(self, exc: Exception | None) -> None:
        self._check_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignoring or self.transport.is_closing():
            return
        steps = self._steps
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():  # to WebSocket, where there are any
                self._check_timer.cancel()
                self.scope["method"] = self.parser.get_method().decode("ascii")
                self.handle_websocket_upgrade()
                return
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse_head()
        if self._steps == steps and (self._in_head or self._in_body) and not self._ignoring:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse_head()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Take a request that would rather speak WebSocket or HTTP/2 as what it is too: one of HTTP/1.1.

        The parser stops at such a request and drops its body; Java's client offers HTTP/2 with every POST.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(Cause.NOT_HTTP, "CONNECT: this is no proxy")
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
        is_last = not self.pipeline
        super().on_response_complete()
        self._unset_keepalive_if_required()  # _check does that: it knows of answers that are still on their way
        self._waited, self._body_bytes = 0.0, 0
        if is_last and self._due is not None and not self.transport.is_closing():
            self._say(self._due)

    def end_answer(self) -> None:
        """Close, as uvicorn does behind the last answer; but let a client that still sends read it first."""
        if not (self._in_body and self.cycle.response_complete):
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()

    # What the clock brings

    def _check(self) -> None:
        self._check_timer = self.loop.call_later(CHECK_SECONDS, self._check)
        taken, waiting = sent_bytes(self.transport)
        if waiting:
            if self._answer.too_slow(taken, least=self.transport.get_write_buffer_size() // SHARES):
                self.transport.abort()
            return
        self._answer.restart(taken)
        cycle = self.cycle
        if cycle is None or cycle.response_complete or self._is_parting or self.transport.is_closing():
            self._waited += CHECK_SECONDS
            self._check_waiting()
        elif self._is_listening() and self._body.too_slow(self._body_bytes, least=self._body_bytes // SHARES):
            self._refuse(
                Cause.TOO_SLOW, f"the body came too slowly: less than {BODY_BYTES} bytes in {BODY_SECONDS:g} s"
            )

    def _is_listening(self) -> bool:
        """Tell whether it is the client's turn: a body is under way and nobody told it to wait."""
        return (
            self._in_body
            and not self._ignoring
            and not self.flow.read_paused
            and not self.cycle.waiting_for_100_continue
        )

    def _check_waiting(self) -> None:
        """End what has waited too long for the client, or heard too much of what nobody wants."""
        if self.transport.is_closing():
            if self._waited >= FAREWELL_SECONDS:
                self.transport.abort()
        elif self._is_parting:
            if self._waited >= FAREWELL_SECONDS:
                self._close()
        elif self._in_body:
            if self._waited >= DISCARD_SECONDS or self._body_bytes > DISCARD_BYTES:
                self._close()
        elif self._in_head:
            if self._waited >= HEAD_SECONDS:
                self._refuse(Cause.TOO_SLOW, f"the headers took longer than {HEAD_SECONDS:g} s")
        elif self._waited >= (HEAD_SECONDS if self.cycle is None else self.timeout_keep_alive):
            self._close()

    def _close(self) -> None:
        self._waited = 0.0
        self.transport.close()

    # Refusals that the application never hears of

    def _refuse_head(self) -> None:
        if self._head_bytes > HEAD_BYTES:
            self._refuse(Cause.HEAD_TOO_LARGE, f"the request's line and headers are larger than {HEAD_BYTES} bytes")
        else:
            self._refuse(Cause.NOT_HTTP, "this is not HTTP/1.1")

    def _refuse(self, status: Cause, message: str) -> None:
        """Answer in the application's place, unless it has answered already; listen no more, and part.

        Requests that came whole before this are answered first.
        """
        self._ignoring = True
        cycle, client = self.cycle, self.client[0] if self.client else "-"
        name = request_id(self.headers if self._in_head or self._in_body else ())
        refusal = Refusal(status, message, name, client, self.loop.time() - self._began)
        if self._in_body and self.pipeline:
            self.pipeline.popleft()  # the newest: this very request, which has not begun
            self._due = refusal
        elif self._in_body:
            self._refuse_body(refusal)
        elif cycle is not None and not cycle.response_complete:
            self._due = refusal
        else:
            self._say(refusal)

    def _refuse_body(self, refusal: Refusal) -> None:
        """Give a request up in its midst, as if its client had gone; `refused` tells the application's log better."""
        cycle = self.cycle
        if cycle.response_complete:
            self._part()
        elif cycle.response_started:  # in the midst of an answer there is no place for this
            self.transport.abort()
        else:
            state = cycle.scope["state"]
            state["refused"] = refusal.status
            name = state.setdefault("request_id", refusal.request_id)
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.write(replace(refusal, request_id=name).answer(self.server_state.default_headers))
            self._part()

    def _say(self, refusal: Refusal) -> None:
        self.transport.write(refusal.answer(self.server_state.default_headers))
        if note := self.app_state.get(ON_REFUSAL):
            note(refusal)
        self._part()

    def _part(self) -> None:
        """Let the client read what was said before the connection is closed."""
        self._due, self._is_parting, self._waited = None, True, 0.0
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()


class LeastPace:
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
