"""Answers that the protocol gives in the application's place, to what the application never hears of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

if TYPE_CHECKING:
    from collections.abc import Iterable

ON_REFUSAL = "on_refusal"
"""Under this name the application's lifespan state may hold a function that takes each Refusal."""
BAD_REQUEST, TIMEOUT, HEAD_TOO_LARGE, UNAVAILABLE = 400, 408, 431, 503


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is ended, as its client is told."""

    status: int
    message: str
    request_id: str
    client: str
    seconds: float
    """Since the request's first byte, or since the connection was made."""

    @property
    def body(self) -> bytes:
        return json.dumps({"message": self.message}).encode()

    def answer(self, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return what goes over the wire."""
        body = self.body
        headers = [*default_headers, (b"content-type", b"application/json")]
        headers += [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
        headers += [(b"x-request-id", self.request_id.encode()), (b"connection", b"close")]
        headers.append((b"content-length", b"%d" % len(body)))
        if self.status == UNAVAILABLE:
            headers.append((b"retry-after", b"1"))
        lines = (name + b": " + value + b"\r\n" for name, value in headers)
        return b"".join([STATUS_LINE[self.status], *lines, b"\r\n", body])
