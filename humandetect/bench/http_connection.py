"""A connection that costs next to nothing: a client that shares the cores with the server must leave them to it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import httptools
import pybase64

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY_SECONDS = 0.05
"""After a failure, so that a server that is gone is not asked ten thousand times a second."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    head: str
    """Begins every request: its line, and the headers that do not change."""

    @classmethod
    def of(cls, url: str, *, path: str, api_key: str | None) -> Address:
        where = urlsplit(url)
        is_tls = where.scheme == "https"
        key = "" if api_key is None else f"X-API-Key: {api_key}\r\n"
        if where.username is not None:
            secret = pybase64.b64encode(f"{unquote(where.username)}:{unquote(where.password or '')}".encode())
            key += f"Authorization: Basic {secret.decode()}\r\n"
        host = where.hostname or ""
        return cls(
            host=host,
            port=where.port or (443 if is_tls else 80),
            tls=ssl.create_default_context() if is_tls else None,
            head=f"POST {where.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {where.netloc.rpartition('@')[2]}\r\n{key}",
        )

    def request(self, body: bytes, content_type: str) -> bytes:
        """Return the bytes that ask for an answer to `body`."""
        head = f"{self.head}Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


class HttpConnection:
    """Sends one request at a time, and connects anew where the server has hung up."""

    def __init__(self, address: Address, *, timeout_seconds: float) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._wire: _Wire | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body. Raises OSError (TimeoutError among them) or EOFError, after a short rest."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                wire = await self._connected()
                return await wire.ask(request)
        except (OSError, EOFError):
            self.close()
            await asyncio.sleep(RETRY_SECONDS)
            raise

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _connected(self) -> _Wire:
        if self._wire is None or self._wire.closed:
            to = self._address
            _, self._wire = await asyncio.get_running_loop().create_connection(_Wire, to.host, to.port, ssl=to.tls)
        return self._wire


class _Wire(asyncio.Protocol):
    """HTTP/1.1 on one socket; the parser calls the `on_...` methods."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._answer = asyncio.get_running_loop().create_future()
        cast("asyncio.Transport", self._transport).write(request)
        return await self._answer

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # it speaks unasked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._settle(lambda answer: answer.set_exception(EOFError("not HTTP")))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._settle(lambda answer: answer.set_exception(exc if isinstance(exc, OSError) else EOFError("hung up")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        self._settle(lambda answer: answer.set_result((status, b"".join(self._body))))

    def _settle(self, how: Callable[[asyncio.Future[tuple[int, bytes]]], None]) -> None:
        if self._answer is not None and not self._answer.done():
            how(self._answer)
