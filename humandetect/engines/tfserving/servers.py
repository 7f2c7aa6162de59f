"""Several servers as if they were one: calls are spread, bounded, and repeated where that is safe."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from humandetect.engines.tfserving.channel import ServingChannel, closed, open_servers
from humandetect.engines.tfserving.failures import CallFailed, overloaded, unavailable
from humandetect.errors import Closed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.config import ServingConfig

logger = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS = 0.05, 2.0
PROBE_SECONDS = 2.0
LOADING_SECONDS = 2.0
"""What a server that does not know the model gets to begin loading it."""
CLOSE_SECONDS = 2.0
"""What calls under way get to end well when the engine is closed."""

Probe = tuple[str, bytes, "Callable[[bytes], str | None]"]
"""A cheap call: method, request, and a check that returns why the answer means not ready yet, or None."""


class Servers:
    """The channels to every target of a config, made once per process and safe to share between threads.

    A server that fails is left out until a small call to it succeeds again; the request that met the failure goes to
    another one, or waits. gRPC's own retries are off: they silently leave out requests over 256 KiB.
    """

    def __init__(self, config: ServingConfig, probe: Probe) -> None:
        self._config = config
        self._probe = probe
        self._changed = threading.Condition()
        self._servers = open_servers(config)
        self._began = 0.0
        self._turns = 0
        self._users = 0
        self._closing = self._closed = False
        self._prober: threading.Thread | None = None

    def wait_until_ready(self) -> None:
        """Wait for the first server that is ready; raises EngineUnavailable, at once where waiting cannot help.

        A server that still does not know the model after a moment counts as ready: what the next call gets from it
        says more.
        """
        timeout = self._config.timeout_seconds
        self._began = began = time.monotonic()
        with self._changed:
            for server in self._servers:
                server.away, server.reason = True, "it did not answer"
            self._start_prober()
            while all(server.away for server in self._servers):
                left = began + timeout - time.monotonic()
                if left <= 0 or all(server.hopeless for server in self._servers):
                    raise unavailable(
                        [(server.target, server.reason) for server in self._servers],
                        waited_seconds=time.monotonic() - began,
                    )
                self._changed.wait(left)
                if self._closing:
                    raise closed()

    def call(self, method: str, request: bytes) -> bytes:
        """Send a request to the server with the least to do. Raises CallFailed, EngineUnavailable, Closed."""
        waiting = _Patience(self._config.patience_seconds)
        avoided: set[str] = set()
        while True:
            server = self._take(waiting, avoided)
            try:
                answer = server.send(method, request, self._config.timeout_seconds)
            except CallFailed as failure:
                self._put_back(server, failure)
                self._consider(server, failure, waiting, avoided)
            except BaseException:  # Ctrl-C, say: the place must not stay taken
                self._put_back(server, None)
                raise
            else:
                self._put_back(server, None)
                return answer

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold off the end of `close` for a moment; raises Closed after it began."""
        with self._changed:
            if self._closing:
                raise closed()
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let what is under way end, but wait for no server that is away. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._users, CLOSE_SECONDS)
            self._closed = True
            self._changed.notify_all()
            prober = self._prober
        for server in self._servers:
            server.close()
        if prober is not None:
            prober.join()

    def _take(self, waiting: _Patience, avoided: set[str]) -> ServingChannel:
        """Wait for a server with room for a call, and count the call."""
        with self._changed:
            while True:
                usable = [server for server in self._servers if not server.away]
                if self._closed or (self._closing and not usable):
                    raise closed()
                free = [server for server in usable if server.under_way < self._config.parallel]
                if free:
                    chosen = min(free, key=lambda server: (server.target in avoided, server.under_way, server.turn))
                    self._turns += 1
                    chosen.turn = self._turns
                    chosen.under_way += 1
                    return chosen
                if not usable and waiting.is_over():
                    raise unavailable(
                        [(server.target, server.reason) for server in self._servers],
                        waited_seconds=self._config.patience_seconds,
                    )
                self._changed.wait(None if usable else waiting.left())

    def _put_back(self, server: ServingChannel, failure: CallFailed | None) -> None:
        with self._changed:
            server.under_way -= 1
            if failure is None:
                server.failures = 0
            self._changed.notify_all()

    def _consider(self, server: ServingChannel, failure: CallFailed, waiting: _Patience, avoided: set[str]) -> None:
        """Return if the call may be tried again, after a wait where that helps; else raise."""
        if self._closed:
            raise closed() from failure
        if failure.kind == "busy":
            avoided.add(server.target)
            if waiting.is_over():
                raise overloaded(failure, waited_seconds=self._config.patience_seconds) from failure
            with self._changed:
                server.failures += 1
                pause = min(_backoff(server.failures), waiting.left())
                self._changed.wait_for(lambda: self._closing, pause)
            return
        if failure.kind == "elsewhere":
            avoided.add(server.target)
            if not self._has_another(avoided):
                raise failure
        elif failure.kind == "final":
            raise failure
        self._leave_out(server, failure)

    def _has_another(self, avoided: set[str]) -> bool:
        with self._changed:
            return any(not server.away and server.target not in avoided for server in self._servers)

    def _leave_out(self, server: ServingChannel, failure: CallFailed) -> None:
        with self._changed:
            if not server.away:
                logger.warning("%s is away: %s", server.target, failure.reason)
                server.away, server.left_at = True, time.monotonic()
                server.failures += 1
                server.ask_at = server.left_at + _backoff(server.failures)
            server.reason = failure.reason
            self._start_prober()
            self._changed.notify_all()

    def _start_prober(self) -> None:
        if self._prober is None and not self._closed:
            self._prober = threading.Thread(target=self._ask_those_away, name="serving-probe", daemon=True)
            self._prober.start()

    def _ask_those_away(self) -> None:
        """Ask each server that is away, more and more rarely, until none is."""
        while True:
            with self._changed:
                away = [server for server in self._servers if server.away]
                if self._closed or not away:
                    self._prober = None
                    return
                server = min(away, key=lambda one: one.ask_at)
                pause = server.ask_at - time.monotonic()
                if pause > 0:
                    self._changed.wait(pause)
                    continue
            self._ask(server)

    def _ask(self, server: ServingChannel) -> None:
        method, request, not_ready = self._probe
        failure: CallFailed | None = None
        try:
            reason = not_ready(server.send(method, request, min(PROBE_SECONDS, self._config.timeout_seconds)))
        except CallFailed as error:
            failure, reason = error, error.reason
            starts = server.left_at is None
            if error.code == "NOT_FOUND" and starts and time.monotonic() > self._began + LOADING_SECONDS:
                reason = None
        except Closed:
            return
        with self._changed:
            server.hopeless = failure is not None and failure.hopeless
            if reason is None:
                server.away = False
                if server.left_at is not None:
                    logger.warning("%s is back after %.1f s", server.target, time.monotonic() - server.left_at)
                    server.left_at = None
            else:
                server.reason = reason
                server.failures += 1
                server.ask_at = time.monotonic() + _backoff(server.failures)
            self._changed.notify_all()


class _Patience:
    """How long one call waits for servers; the time starts with the first failure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over_at: float | None = None

    def left(self) -> float:
        if self._over_at is None:
            self._over_at = time.monotonic() + self._seconds
        return max(0.0, self._over_at - time.monotonic())

    def is_over(self) -> bool:
        return self.left() == 0


def _backoff(failures: int) -> float:
    """Longer after each failure, and never the same for two clients, or they would all come back at once."""
    return min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1)  # noqa: S311
