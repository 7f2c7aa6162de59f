"""How the service's log is written: a line an event, as text or as JSON, to stderr; and the id that joins lines."""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

    from humandetect.config import LogFormat

SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
SAFE_WORD = re.compile(r"[!#-~]+")
"""Visible ASCII without the quotation mark: stands in a line of text as it is."""
LEVELS = {
    "humandetect.access": logging.INFO,
    "humandetect.service": logging.INFO,
    "uvicorn.error": logging.WARNING,
    "asyncio": logging.WARNING,
    "python_multipart": logging.ERROR,  # it warns of clients' mistakes, which they are answered
}


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that a client gave its request, if it is a sane one, else a new one."""
    given = (value for name, value in headers if name == b"x-request-id" and SANE_ID.fullmatch(value))
    return next(given, b"").decode() or uuid.uuid4().hex


def set_up_access_log(log_format: LogFormat) -> None:
    """Write requests, the service's own words and the warnings of what serves to stderr. The root logger stays."""
    formatter = _JsonFormatter() if log_format == "json" else _TextFormatter()
    for name, level in LEVELS.items():
        handler = _Stderr()
        handler.setFormatter(formatter)
        target = logging.getLogger(name)
        target.handlers = [one for one in target.handlers if not isinstance(one, _Stderr)] + [handler]
        target.setLevel(level)
        target.propagate = False


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at that time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _TextFormatter(logging.Formatter):
    """One line an event; nothing that came over the network can begin another."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] | None = getattr(record, "access", None)
        if fields is None:
            head = f"{_moment(record)} {record.levelname} {record.name}: {_on_one_line(record.getMessage())}"
        else:
            head = " ".join([_moment(record), *(f"{_word(name)}={_word(value)}" for name, value in fields.items())])
        if not record.exc_info:
            return head
        trace = self.formatException(record.exc_info).split("\n")
        return "\n".join([head, *(f"    {_on_one_line(line)}" for line in trace)])


class _JsonFormatter(logging.Formatter):
    """One JSON object an event."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**event, **getattr(record, "access", {}), **event}, default=str)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(value: object) -> str:
    text = str(value)
    return text if SAFE_WORD.fullmatch(text) else json.dumps(text)


def _on_one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
