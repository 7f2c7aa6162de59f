"""Events posted to an address."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx

from humandetect import __version__
from humandetect.addresses import shown_address
from humandetect.client.retrying import wished_seconds
from humandetect.tls import tls_context, tls_trouble
from humandetect.watch.delivery import EventRefused, Undelivered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from humandetect.watch.store import Queued

TIMEOUT_SECONDS = 10.0
AWAY = {408, 425, 429, 502, 503, 504}
"""Of a receiver that is busy, or of a proxy whose receiver is down: they say nothing about the event."""
MOST_TRIES = 5
"""Of an event at which the receiver fails with another 5xx: it may be the event, and the next one may be taken."""


class Webhook:
    """Posts each event as JSON; what answers 2xx has it."""

    name = "webhook"

    def __init__(self, url: str, *, secret: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._shown = shown_address(url)
        self._secret = secret
        self._timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None
        self._client = httpx.Client(
            timeout=timeout_seconds,
            follow_redirects=False,
            headers={"User-Agent": f"humandetect/{__version__}"},
            verify=tls_context() if url.startswith("https") else True,
        )

    def send(self, queued: Queued) -> None:
        """Post an event once. Raises EventRefused where the event may be to blame, Undelivered for the rest."""
        body = queued.json.encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": queued.event.id}
        if self._secret is not None:
            headers["X-Humandetect-Signature"] = signature(self._secret, body, at=int(time.time()))
        try:
            # The body is of no interest, and may be endless.
            with (
                self._bounded(),
                self._client.stream(
                    "POST", self._url, content=body, headers=headers, extensions={"trace": self._learn_socket}
                ) as reply,
            ):
                status, wish = reply.status_code, reply.headers.get("retry-after", "")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # What the error says may have the address in it.
            trouble = tls_trouble(error, self._shown, plain="http://")
            raise Undelivered(trouble or f"{self._shown} does not answer ({type(error).__name__})") from None
        if 200 <= status < 300:
            return
        said = f"{self._shown} answers {status}"
        if status in AWAY:
            raise Undelivered(said, after_seconds=wished_seconds(wish))
        if status >= 500:
            raise EventRefused(said, most_tries=MOST_TRIES, after_seconds=wished_seconds(wish))
        raise EventRefused(f"{said}{' (redirects are not followed: give the new address)' if status < 400 else ''}")

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Break the connection once all has taken too long: httpx bounds each wait, and who drips makes many."""
        timer = threading.Timer(self._timeout_seconds, self._break)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _learn_socket(self, happened: str, values: Mapping[str, Any]) -> None:
        if happened.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = values["return_value"].get_extra_info("socket")

    def _break(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # closed meanwhile
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # without TLS's farewell, which could wait, too

    def close(self) -> None:
        """End what is under way; may be called twice."""
        self._client.close()


def signature(secret: str, body: bytes, *, at: int) -> str:
    """Return what `X-Humandetect-Signature` says: the time, and the HMAC-SHA256 over time, a dot and the body."""
    key = secret.encode("utf-8", "surrogateescape")  # bytes of the environment that are no text are what they were
    signed = hmac.new(key, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"
