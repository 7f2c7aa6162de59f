"""Why a request is not answered: one table from each cause to its HTTP status, and from each error to its cause.

Routes, middleware and protocol refuse by these names; what the API's documentation says of a status stands here too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Self

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from humandetect.errors import (
    Closed,
    EngineTimeout,
    EngineUnavailable,
    HumanDetectError,
    Overloaded,
    SourceError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

ON_REFUSAL = "on_refusal"
"""Under this name the application's lifespan state may hold a function that takes each Refusal."""


class Cause(IntEnum):
    """Why a request is not answered; its value is the status."""

    meaning: str

    def __new__(cls, status: int, meaning: str = "") -> Self:
        cause = int.__new__(cls, status)
        cause._value_ = status
        cause.meaning = meaning
        return cause

    NO_IMAGE = 400, "No image could be used"
    NOT_HTTP = 400
    NO_KEY = 401, "The API key is missing or wrong"
    OTHER_HOST = 403
    NOTHING_HERE = 404
    OTHER_METHOD = 405
    TOO_MANY = 406, "Too many images"
    TOO_SLOW = 408, "The request came too slowly"
    TOO_LARGE = 413, "The request is too large"
    OTHER_TYPE = 415, "Another content type or encoding"
    NOT_UNDERSTOOD = 422, "Not what this endpoint reads"
    HEAD_TOO_LARGE = 431
    CLIENT_GONE = 499  # nginx's number for the log: nobody is there to read an answer
    FAILED = 500, "The engine failed"
    UNAVAILABLE = 503, "Overloaded, starting, or the backend is away; see Retry-After"
    ENGINE_TOO_SLOW = 504, "The engine was too slow"


CAUSES: dict[type[HumanDetectError], Cause] = {
    SourceError: Cause.NO_IMAGE,
    Overloaded: Cause.UNAVAILABLE,
    Closed: Cause.UNAVAILABLE,
    EngineUnavailable: Cause.UNAVAILABLE,
    EngineTimeout: Cause.ENGINE_TOO_SLOW,
    HumanDetectError: Cause.FAILED,
}
"""By the nearest class: a new error has the cause of its parent."""


def cause_of(error: HumanDetectError) -> Cause:
    """Look an error's nearest class up."""
    return next(CAUSES[kind] for kind in type(error).__mro__ if kind in CAUSES)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the protocol answers in the application's place, which never hears of it, before the connection ends."""

    status: Cause
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
        if self.status == Cause.UNAVAILABLE:
            headers.append((b"retry-after", b"1"))
        lines = (name + b": " + value + b"\r\n" for name, value in headers)
        return b"".join([STATUS_LINE[self.status], *lines, b"\r\n", body])
