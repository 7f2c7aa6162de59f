"""Asks cameras over HTTP, in the ways that they want it, and waits no longer than told for what they say first."""

from __future__ import annotations

import io
import math
import ssl
import time
import urllib.request
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    import socket
    from typing import IO
    from urllib.request import Request

_UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""As libav asks cameras, most of which sign their certificates themselves."""
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE


def ask(url: str, *, timeout_seconds: float, head_seconds: float) -> HTTPResponse:
    """Ask for what is at an address, and tell the server who asks.

    Each read waits for `timeout_seconds`; the head of the answer must be complete within `head_seconds`.
    """
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        known.add_password(None, bare, unquote(parts.username), unquote(parts.password or ""))
    opener = urllib.request.build_opener(
        _Handler(time.monotonic() + head_seconds),
        urllib.request.HTTPBasicAuthHandler(known),
        _Digest(known),
    )
    return cast("HTTPResponse", opener.open(bare, timeout=timeout_seconds))


class _Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    def __init__(self, until: float) -> None:
        super().__init__()
        self._until = until

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPConnection, self._until), req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPSConnection, self._until, context=_UNVERIFIED), req)


def _connection(kind: type[HTTPConnection], until: float, host: str, **options: Any) -> HTTPConnection:
    connection = kind(host, **options)
    connection.response_class = partial(_Answer, until=until)  # type: ignore[assignment]
    return connection


class _Answer(HTTPResponse):
    """An answer whose head must be there in time: each of its bytes may come just before a read is given up."""

    def __init__(self, sock: socket.socket, *args: Any, until: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._bytes = _Bytes(self.fp.detach(), sock, until)
        self.fp = io.BufferedReader(self._bytes)

    def begin(self) -> None:
        super().begin()
        self._bytes.until = math.inf


class _Bytes(io.RawIOBase):
    """What a socket gives until a moment, and each read within the socket's own timeout."""

    def __init__(self, file: io.RawIOBase, sock: socket.socket, until: float) -> None:
        self.until = until
        self._file, self._socket = file, sock
        self._timeout_seconds: float = sock.gettimeout()  # type: ignore[assignment]  # `ask` gives it one

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = min(self.until - time.monotonic(), self._timeout_seconds)
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Answers the first challenge that it can; that of Python knows of the first alone, and fails at others."""

    def http_error_401(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> HTTPResponse | None:
        for challenge in headers.get_all("WWW-Authenticate", []):
            if challenge.lower().startswith("digest"):
                alone = HTTPMessage()
                alone["WWW-Authenticate"] = challenge
                with suppress(ValueError):  # an algorithm that it does not know
                    return cast("HTTPResponse | None", super().http_error_401(req, fp, code, msg, alone))
        return None
