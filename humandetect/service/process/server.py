"""One server in one process: how it begins, and how it ends with every request answered."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import uvicorn

from humandetect.errors import ServerError, UsageError
from humandetect.plural import counted
from humandetect.service import ANSWER_SECONDS, END_SECONDS
from humandetect.service.process.http.deadlines import HEAD_SECONDS, DeadlineProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import FrameType

    from humandetect.config import ServeConfig
    from humandetect.engines.base import ModelInfo

logger = logging.getLogger("humandetect.service")

BACKLOG = 2048
"""Connections that may wait for the server; the system may allow fewer."""
KEEP_ALIVE_SECONDS = 10
GOODBYE_SECONDS = 600
"""For TLS to end behind an answer; DeadlineProtocol cuts earlier whoever stops reading."""


class Server(uvicorn.Server):
    """Serve the endpoint until told to end, or until its model turns out not to load."""

    def __init__(
        self,
        config: ServeConfig,
        *,
        on_loaded: Callable[[ModelInfo], None],
        on_second: Callable[[], None] = lambda: None,
        stop: threading.Event | None = None,
        accept_when_loaded: bool = False,
        is_worker: bool = False,
    ) -> None:
        """`on_second` is called once a second by the loop that serves.

        `accept_when_loaded` leaves connections to the others on the same port until the model is there. What a worker
        has to say of its end its parent says.
        """
        from humandetect.service.app import create_app

        app = create_app(config)
        super().__init__(
            uvicorn.Config(
                app, http=DeadlineProtocol, ws="none", lifespan="on", workers=1, backlog=BACKLOG,
                log_config=None, access_log=False, server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=ANSWER_SECONDS,
                ssl_certfile=config.tls_cert, ssl_keyfile=config.tls_key,
            )
        )  # fmt: skip
        self._state = app.state
        self._on_loaded, self._on_second = on_loaded, on_second
        self._told = stop or threading.Event()
        self._accept_when_loaded = accept_when_loaded
        self._is_worker = is_worker
        self._began = time.monotonic()
        self._loaded = False
        self._watchdog: threading.Timer | None = None

    def run_on(self, listener: socket.socket) -> None:
        """Serve until told to end. Raises UsageError or ServerError if the model cannot be loaded."""
        try:
            self.run(sockets=[listener])
        finally:
            if self._watchdog is not None:
                self._watchdog.cancel()
                answered = counted(self.server_state.total_requests, "request")
                self._say("ended after %s and %s", lasted(self._began), answered)
        failure = self._state.failure
        if isinstance(failure, UsageError):
            raise failure
        if failure is not None:
            raise ServerError(str(failure)) from failure

    def stop(self) -> None:
        """Close the port, answer what is under way and end; from any thread, also more than once."""
        self.should_exit = True
        if self._watchdog is None:
            self._watchdog = threading.Timer(END_SECONDS, leave, [1])
            self._watchdog.daemon = True
            self._watchdog.start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if sig == signal.SIGINT and self.should_exit:
            leave(128 + sig)
        self.stop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to signals; unlike uvicorn's own way, to end by one is no failure."""
        with on_signals(self.handle_exit):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin as uvicorn does, but accept connections when it is time to."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise ServerError("the application did not start; the log says why")
        self.servers, self._listeners = [], sockets or []
        if not self._accept_when_loaded:
            await self._accept()
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._say("ending, %s under way", counted(len(self.server_state.tasks), "request"))
        await super().shutdown(sockets)

    async def _accept(self) -> None:
        """Open the port, with deadlines for TLS: plain uvicorn waits a minute for a handshake."""
        make_protocol = functools.partial(
            DeadlineProtocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        tls: dict[str, Any] = {}
        if self.config.ssl is not None:
            tls = {"ssl_handshake_timeout": HEAD_SECONDS, "ssl_shutdown_timeout": GOODBYE_SECONDS}
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(make_protocol, sock=listener, ssl=self.config.ssl, backlog=BACKLOG, **tls)
            for listener in self._listeners
        ]

    def _say(self, what: str, *values: object) -> None:
        if not self._is_worker:
            logger.info(what, *values)

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # uvicorn's ticks are tenths of a second
            self._on_second()
        if not self._loaded and self._state.loaded.is_set():
            self._loaded = True
            if self._state.failure is None:
                if not self.servers:
                    await self._accept()
                self._on_loaded(self._state.inference.info)
            else:
                self.should_exit = True
        if self._told.is_set():
            self.stop()
        return await super().on_tick(counter)


def lasted(began: float) -> str:
    """Say how long ago a moment in monotonic seconds was: `0:03:20`."""
    return str(timedelta(seconds=round(time.monotonic() - began)))


def leave(code: int) -> None:
    """End this process now, whatever its threads do."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, or on a full disk
            stream.flush()
    os._exit(code)


@contextmanager
def on_signals(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Meanwhile hand Ctrl-C, SIGTERM and SIGHUP to `handle`, but leave SIGHUP ignored if nohup wants it so.

    Does nothing on other threads than the first, which alone may listen to signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if number == signal.SIGINT or before[number] is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
