"""Asking a server over HTTP until it answers: connections, patience, and what went wrong in words that help."""

from __future__ import annotations

import itertools
import logging
import random
import re
import socket
import ssl
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from humandetect.addresses import has_doubtful_host, looks_like_address, shown_address
from humandetect.errors import Closed, RequestFailed, ServiceAway, ServiceError, UsageError
from humandetect.wire import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

CONNECT_SECONDS = 5.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
SICK_ATTEMPTS = 2
"""How often in all a request is sent that the server fails at or answers with nonsense: it may have been bad luck."""
LARGEST_ANSWER_BYTES = 256_000_000
COME_BACK = {408, 429, 502, 503, 504}
"""Try again later: too slow, too many, or what stands between is, or was, alone."""
TOO_MUCH = {406, 413}
"""Refusals that say nothing about a smaller request."""
MOST_LETTERS = 300
"""How much of what a server says is repeated."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unsettled(Exception):
    """Asking again may help. `error` is what to raise when it does not, or is not worth it any more."""

    def __init__(self, error: ServiceError, *, after_seconds: float = 0.0, attempts: int | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_seconds = after_seconds
        self.attempts = attempts
        """How often it is worth asking in all; None: as long as there is patience."""


def nonsense(what: str) -> Unsettled:
    """Return the error for an answer that makes no sense."""
    return Unsettled(RequestFailed(f"the server's answer makes no sense: {what}"), attempts=SICK_ATTEMPTS)


class Exchange:
    """Sends requests to one server, from any thread, and asks again where that helps."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float,
        patience_seconds: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        url = _checked_url(base_url)
        self.where = shown_address(base_url.rstrip("/"))
        """The server's URL, as far as it may be shown."""
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._reached = False
        self._closed = threading.Event()
        self._sockets = _Sockets()
        is_local = url.host in ("localhost", "::1") or url.host.startswith("127.")
        self._http = httpx.Client(
            base_url=url,
            headers=[] if api_key is None else [(b"X-API-Key", api_key.encode())],
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            verify=_trusted() if url.scheme == "https" else True,
            trust_env=not is_local,  # a proxy has no way back to this machine
            transport=transport,
        )

    def reach(self) -> None:
        """Make the first contact. Raises ServiceAway where no server is, ServiceError for what TLS does not like."""
        with suppress(Unsettled):  # it is there, and that was the question
            self._send("GET", "/healthz")

    def post(self, path: str, read: Callable[[Reply], Answer], **content: Any) -> Answer:
        """Post, again and again while that may help, and return what `read` makes of the reply (status 200 or 400).

        Raises RequestFailed, ServiceAway, ServiceError; Closed after `close()`.
        """
        first_trouble: float | None = None
        for attempt in itertools.count(1):
            try:
                return read(self._usable(self._send("POST", path, **content), path))
            except Unsettled as trouble:
                now = time.monotonic()
                first_trouble = first_trouble or now
                pause = trouble.after_seconds + _backoff(attempt)
                if attempt == trouble.attempts or now + pause - first_trouble > self._patience_seconds:
                    raise _last(trouble, attempt, now - first_trouble) from trouble.__cause__
                logger.info("%s; asking again in %.1f s", trouble.error, pause)
                if self._closed.wait(pause):
                    raise Closed("the client was closed") from trouble
        raise AssertionError("endless attempts ended")

    def close(self) -> None:
        """End what is under way; may be called twice, and while other threads wait for answers."""
        self._closed.set()
        self._sockets.shut_down()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, method: str, path: str, **content: Any) -> Reply:
        deadline = time.monotonic() + self._timeout_seconds
        try:
            with self._http.stream(method, path, extensions={"trace": self._sockets.note}, **content) as response:
                body = b"".join(_bounded(response, deadline))
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            if self._closed.is_set():  # RuntimeError, OSError: how a closed client and a closed socket say so
                raise Closed("the client was closed") from error
            if not isinstance(error, httpx.HTTPError):
                raise
            raise self._explained(error) from error
        self._reached = True
        return Reply(response.status_code, response.headers, body)

    def _usable(self, reply: Reply, path: str) -> Reply:
        """Return a reply whose body is worth reading; raise what any other means."""
        status = reply.status
        said = f"{self.where} answers {status}: {message_of(reply)}"
        if status in (200, 400):
            return reply
        if status in COME_BACK:
            raise Unsettled(ServiceAway(said, status=status), after_seconds=_retry_after(reply))
        if status >= 500:
            raise Unsettled(RequestFailed(said, status=status), attempts=SICK_ATTEMPTS)
        if status in TOO_MUCH:
            raise RequestFailed(said, status=status)
        if status in (401, 403):
            raise ServiceError(f"{said} (--api-key, or HUMANDETECT_API_KEY)", status=status)
        if status < 400:
            where = shown_address(reply.headers.get("location", ""))
            raise ServiceError(f"{said} (moved to {where}: use that URL)", status=status)
        if status in (404, 405):
            raise ServiceError(f"{said}. There is no POST {path}: is this a humandetect server?", status=status)
        raise ServiceError(said, status=status)

    def _explained(self, error: httpx.HTTPError) -> ServiceError | Unsettled:
        """Say what a transport's error means for people, and whether asking again may help."""
        if (tls := _cause(error, ssl.SSLError)) is not None:
            return self._explained_tls(tls)
        if isinstance(error, httpx.LocalProtocolError):  # its text quotes what it does not like, the API key too
            return ServiceError(f"cannot ask {self.where}: the URL or the API key has characters that HTTP cannot send")
        if isinstance(error, httpx.ProxyError):
            return ServiceError(f"cannot ask {self.where}: {error}")
        if isinstance(error, httpx.DecodingError):
            return nonsense(str(error))
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)) and not self._reached:
            return ServiceAway(
                f"no server answers at {self.where} ({_reason(error)}): start one with `humandetect serve`, or name "
                "another by --url"
            )
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return Unsettled(ServiceAway(f"no server answers at {self.where} any more ({_reason(error)})"))
        if isinstance(error, httpx.TimeoutException):
            slow = f"no answer from {self.where} within {self._timeout_seconds:g} s"
            return Unsettled(ServiceAway(f"{slow}: give it more --timeout, or less to do by --batch and --workers"))
        hint = "" if self._reached or self.where.startswith("https") else ", or does it want https://?"
        broke = ServiceAway(f"the connection to {self.where} breaks: {_reason(error)}{hint}")
        return Unsettled(broke, attempts=None if self._reached else SICK_ATTEMPTS)

    def _explained_tls(self, error: BaseException) -> ServiceError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return ServiceError(
                f"the certificate of {self.where} is not trusted ({error.verify_message}): if it is your own, set "
                "SSL_CERT_FILE to it"
            )
        return ServiceError(f"no TLS with {self.where} ({getattr(error, 'reason', error)}): is it http:// there?")


def message_of(reply: Reply) -> str:
    """Return what a reply that is no answer says: the `message` of its JSON, else its beginning."""
    with suppress(ValidationError):
        return Problem.model_validate_json(reply.body).message[:MOST_LETTERS]
    return " ".join(reply.body[:MOST_LETTERS].decode(errors="replace").split()) or "nothing more"


class _Sockets:
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


def _bounded(response: httpx.Response, deadline: float) -> Iterator[bytes]:
    """Yield what comes, as long as it comes in time and is not endless."""
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer comes too slowly")
        if size > LARGEST_ANSWER_BYTES:
            raise nonsense(f"it is longer than {LARGEST_ANSWER_BYTES:,} bytes")
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


def _trusted() -> ssl.SSLContext:
    """Trust what the system and SSL_CERT_FILE do, and the public authorities where the system knows none."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _backoff(attempt: int) -> float:
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311  so that many clients do not come back at once


def _retry_after(reply: Reply) -> float:
    """Read Retry-After, seconds or a date; 0 where there is none, or none that can be read."""
    text = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def _last(trouble: Unsettled, attempts: int, seconds: float) -> ServiceError:
    error = trouble.error
    if attempts == 1:
        return error
    return type(error)(f"{error} (asked {attempts} times in {seconds:.0f} s)", status=error.status)


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Find the error of a kind behind an error."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
