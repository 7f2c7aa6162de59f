"""One request over HTTP, once: bounds on its answer, and what went wrong with the connection in words that help."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from humandetect.addresses import has_doubtful_host, looks_like_address, shown_address
from humandetect.errors import Closed, RequestFailed, ServiceAway, ServiceError, UsageError
from humandetect.tls import tls_context, tls_trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_SECONDS = 5.0
FAULTY_ATTEMPTS = 2
"""How often in all a request is sent that the server fails at or answers with nonsense: it may have been bad luck."""
LARGEST_ANSWER_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TryAgain(Exception):
    """Asking again may help. `error` is what to raise when it does not, or is not worth it any more."""

    def __init__(self, error: ServiceError, *, after_seconds: float = 0.0, attempts: int | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_seconds = after_seconds
        self.attempts = attempts
        """How often it is worth asking in all; None: as long as there is patience."""


def senseless(what: str) -> TryAgain:
    """Return the error for an answer that makes no sense."""
    return TryAgain(RequestFailed(f"the server's answer makes no sense: {what}"), attempts=FAULTY_ATTEMPTS)


class ServerTransport:
    """Sends requests to one server, from any thread, each once."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        url = _checked_url(base_url)
        self.where = shown_address(base_url.rstrip("/"))
        """The server's URL, as far as it may be shown."""
        self._timeout_seconds = timeout_seconds
        self.reached = False
        """Whether it was there before: a server that comes back is worth waiting for."""
        self._closed = threading.Event()
        self._sockets = _OpenSockets()
        is_local = url.host in ("localhost", "::1") or url.host.startswith("127.")
        self._http = httpx.Client(
            base_url=url,
            headers=[] if api_key is None else [(b"X-API-Key", api_key.encode())],
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            verify=tls_context() if url.scheme == "https" else True,
            trust_env=not is_local,  # a proxy has no way back to this machine
            transport=transport,
        )

    def close(self) -> None:
        """End what is under way; may be called twice, and while other threads wait for answers."""
        self._closed.set()
        self._sockets.shut_down()
        self._http.close()

    def pause(self, seconds: float) -> None:
        """Sleep. Raises Closed once it is closed."""
        if self._closed.wait(seconds):
            raise Closed("the client was closed")

    def send(self, method: str, path: str, **content: Any) -> Reply:
        """Return the whole reply. Raises TryAgain, ServiceAway, ServiceError; Closed after `close()`."""
        deadline = time.monotonic() + self._timeout_seconds
        try:
            with self._http.stream(method, path, extensions={"trace": self._sockets.note}, **content) as response:
                body = b"".join(_chunks(response, deadline))
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            if self._closed.is_set():  # RuntimeError, OSError: how a closed client and a closed socket say so
                raise Closed("the client was closed") from error
            if not isinstance(error, httpx.HTTPError):
                raise
            raise self._explain(error) from error
        self.reached = True
        return Reply(response.status_code, response.headers, body)

    def _explain(self, error: httpx.HTTPError) -> ServiceError | TryAgain:
        """Say what a transport's error means for people, and whether asking again may help."""
        if (trouble := tls_trouble(error, self.where, plain="http://")) is not None:
            return ServiceError(trouble)
        if isinstance(error, httpx.LocalProtocolError):  # its text quotes what it does not like, the API key too
            return ServiceError(f"cannot ask {self.where}: the URL or the API key has characters that HTTP cannot send")
        if isinstance(error, httpx.ProxyError):
            return ServiceError(f"cannot ask {self.where}: {error}")
        if isinstance(error, httpx.DecodingError):
            return senseless(str(error))
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)) and not self.reached:
            return ServiceAway(
                f"no server answers at {self.where} ({_reason(error)}): start one with `humandetect serve`, or name "
                "another by --url"
            )
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return TryAgain(ServiceAway(f"no server answers at {self.where} any more ({_reason(error)})"))
        if isinstance(error, httpx.TimeoutException):
            slow = f"no answer from {self.where} within {self._timeout_seconds:g} s"
            return TryAgain(ServiceAway(f"{slow}: give it more --timeout, or less to do by --batch and --workers"))
        hint = "" if self.reached or self.where.startswith("https") else ", or does it want https://?"
        broke = ServiceAway(f"the connection to {self.where} breaks: {_reason(error)}{hint}")
        return TryAgain(broke, attempts=None if self.reached else FAULTY_ATTEMPTS)


class _OpenSockets:
    """The open connections, so that a thread that waits for an answer can be told to stop waiting."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._ended = False
        self._lock = threading.Lock()

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Take connections out of what httpx tells of its work (its `trace` extension)."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            connection = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._open.add(connection)
            if self._ended:
                self.shut_down()

    def shut_down(self) -> None:
        self._ended = True
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _chunks(response: httpx.Response, deadline: float) -> Iterator[bytes]:
    """Yield what comes, as long as it comes in time and is not endless."""
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer comes too slowly")
        if size > LARGEST_ANSWER_BYTES:
            raise senseless(f"it is longer than {LARGEST_ANSWER_BYTES:,} bytes")
        yield chunk


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:  # its text quotes a piece, which may be one of a password
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or has_doubtful_host(text):
        shown = shown_address(text) if looks_like_address(text) else text
        raise UsageError(f"{shown!r} is not the URL of a server: it looks like http://127.0.0.1:8000")
    return url


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
