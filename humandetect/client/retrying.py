"""Asking a server over HTTP until it answers: patience, and what its refusals mean."""

from __future__ import annotations

import itertools
import logging
import random
import re
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from humandetect.addresses import shown_address
from humandetect.client.transport import FAULTY_ATTEMPTS, TryAgain
from humandetect.errors import RequestFailed, ServiceAway, ServiceError
from humandetect.wire import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.client.transport import Reply, ServerTransport

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
TRY_LATER = {408, 429, 502, 503, 504}
"""Try again later: too slow, too many, or what stands between is, or was, alone."""
TOO_LARGE = {406, 413}
"""Refusals that say nothing about a smaller request."""
QUOTED_LETTERS = 300
"""How much of what a server says is repeated."""


class RetryingClient:
    """Asks a server, from any thread, and asks again for `patience_seconds` where that helps."""

    def __init__(self, transport: ServerTransport, *, patience_seconds: float) -> None:
        self._transport = transport
        self._patience_seconds = patience_seconds

    def reach(self) -> None:
        """Make the first contact. Raises ServiceAway where no server is, ServiceError for what TLS does not like."""
        with suppress(TryAgain):  # it is there, and that was the question
            self._transport.send("GET", "/healthz")

    def ask(self, method: str, path: str, read: Callable[[Reply], Answer], **content: Any) -> Answer:
        """Ask, again and again while that may help, and return what `read` makes of the reply (status 200 or 400).

        Raises RequestFailed, ServiceAway, ServiceError; Closed after `close()`.
        """
        first_trouble: float | None = None
        for attempt in itertools.count(1):
            try:
                return read(self._readable(self._transport.send(method, path, **content), f"{method} {path}"))
            except TryAgain as trouble:
                now = time.monotonic()
                first_trouble = first_trouble or now
                pause = trouble.after_seconds + _backoff(attempt)
                if attempt == trouble.attempts or now + pause - first_trouble > self._patience_seconds:
                    raise _final_error(trouble, attempt, now - first_trouble) from trouble.__cause__
                logger.info("%s; asking again in %.1f s", trouble.error, pause)
                self._transport.pause(pause)
        raise AssertionError("endless attempts ended")

    def close(self) -> None:
        """End what is under way; may be called twice, and while other threads wait for answers."""
        self._transport.close()

    def _readable(self, reply: Reply, asked: str) -> Reply:
        """Return a reply whose body is worth reading; raise what any other means."""
        status = reply.status
        said = f"{self._transport.where} answers {status}: {message_of(reply)}"
        if status in (200, 400):
            return reply
        if status in TRY_LATER:
            wish = wished_seconds(reply.headers.get("retry-after", ""))
            raise TryAgain(ServiceAway(said, status=status), after_seconds=wish or 0.0)
        if status >= 500:
            raise TryAgain(RequestFailed(said, status=status), attempts=FAULTY_ATTEMPTS)
        if status in TOO_LARGE:
            raise RequestFailed(said, status=status)
        if status in (401, 403):
            raise ServiceError(f"{said} (--api-key, or HUMANDETECT_API_KEY)", status=status)
        if status < 400:
            where = shown_address(reply.headers.get("location", ""))
            raise ServiceError(f"{said} (moved to {where}: use that URL)", status=status)
        if status in (404, 405):
            raise ServiceError(f"{said}. There is no {asked}: is this a humandetect server?", status=status)
        raise ServiceError(said, status=status)


def message_of(reply: Reply) -> str:
    """Return what a reply that is no answer says: the `message` of its JSON, else its beginning."""
    with suppress(ValidationError):
        return Problem.model_validate_json(reply.body).message[:QUOTED_LETTERS]
    return " ".join(reply.body[:QUOTED_LETTERS].decode(errors="replace").split()) or "nothing more"


def _backoff(attempt: int) -> float:
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311  so that many clients do not come back at once


def wished_seconds(retry_after: str) -> float | None:
    """Read Retry-After, seconds or a date; None where there is none that can be read."""
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _final_error(trouble: TryAgain, attempts: int, seconds: float) -> ServiceError:
    error = trouble.error
    if attempts == 1:
        return error
    return type(error)(f"{error} (asked {attempts} times in {seconds:.0f} s)", status=error.status)
