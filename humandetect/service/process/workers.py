"""Several processes behind one port, each with an engine of its own, for machines that one process cannot fill."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

import psutil

from humandetect.errors import HumanDetectError, ServerError
from humandetect.service import END_SECONDS, METRICS_FOLDER
from humandetect.service.process.server import Server, leave, on_signals

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import FrameType

    from humandetect.config import ServeConfig
    from humandetect.engines.base import ModelInfo

logger = logging.getLogger("humandetect.service")

LOOK_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries to start a worker; the first pause is 2 s, each next one twice as long."""


@dataclass(slots=True)
class Worker:
    """A process, and the line to it: it says when it is ready or why it cannot be; it ends when the line does."""

    process: SpawnProcess
    line: Connection
    ready: bool = False
    failure: HumanDetectError | None = None

    @property
    def resident_bytes(self) -> int:
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:  # it died just now
            return 0


class Workers:
    """Start as many processes as the config says, replace those that die, end them all.

    What goes wrong once one of them serves ends none of the others: a worker that cannot start is tried again, after
    ever longer pauses.
    """

    def __init__(
        self,
        config: ServeConfig,
        listener: socket.socket,
        *,
        set_up_logs: Callable[[], None],
        on_ready: Callable[[ModelInfo, list[int]], None],
        stop: threading.Event | None = None,
    ) -> None:
        """`on_ready` gets the resident bytes of each when all are; `set_up_logs` is called in each first."""
        self._config, self._listener = config, listener
        self._set_up_logs, self._on_ready = set_up_logs, on_ready
        self._workers: list[Worker] = []
        self._due: list[float] = []
        """When to start the workers that are missing, in monotonic seconds."""
        self._failures: list[HumanDetectError] = []
        """Of those that could not start, since one last could."""
        self._model: ModelInfo | None = None
        self._announced = False
        self._stop = stop or threading.Event()

    def run(self) -> None:
        """Serve until told to end. Raises what the first worker says that cannot start, if none of the first can."""
        with on_signals(self._on_signal), tempfile.TemporaryDirectory(prefix="humandetect-metrics-") as folder:
            try:
                self._workers = [self._start(folder) for _ in range(self._config.workers)]
                while not self._stop.is_set():
                    self._look()
                    self._announce()
                    self._start_due(folder)
            finally:
                self._listener.close()
                self._end()

    def _look(self) -> None:
        """Wait for what happens next, for a moment."""
        lines: list[Connection | int] = [worker.line for worker in self._workers if not worker.line.closed]
        happened = wait([*lines, *(worker.process.sentinel for worker in self._workers)], timeout=LOOK_SECONDS)
        for worker in list(self._workers):
            if worker.line in happened:
                self._hear(worker)
            if worker.process.sentinel in happened:
                self._bury(worker)

    def _announce(self) -> None:
        """Say once that the first workers serve; some may have failed, but not all."""
        if self._announced or not all(worker.ready or worker.failure for worker in self._workers):
            return
        if self._model is None:
            raise self._failures[0]
        self._announced = True
        self._on_ready(self._model, [worker.resident_bytes for worker in self._workers if worker.ready])

    def _start_due(self, folder: str) -> None:
        if not self._announced:
            return
        now = time.monotonic()
        for moment in [moment for moment in self._due if moment <= now]:
            self._due.remove(moment)
            self._workers.append(self._start(folder))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._stop.is_set():
            for worker in self._workers:
                worker.process.kill()
            leave(128 + number)
        self._stop.set()

    def _start(self, folder: str) -> Worker:
        spawn = multiprocessing.get_context("spawn")  # a forked process would share locks and threads' leftovers
        ours, theirs = spawn.Pipe()
        arguments = (self._config, self._listener, theirs, folder, self._set_up_logs, self._announced)
        process = spawn.Process(target=work, args=arguments, name="humandetect worker")
        with _ctrl_c_held():
            process.start()
        theirs.close()
        return Worker(process, ours)

    def _hear(self, worker: Worker) -> None:
        try:
            message = worker.line.recv()
        except (EOFError, OSError):  # it ends; how is known when it has
            worker.line.close()
            return
        if isinstance(message, HumanDetectError):
            worker.failure = message
            self._failures.append(message)
            return
        worker.ready, self._model = True, message
        self._failures.clear()
        if self._announced:
            logger.info("worker %d serves", worker.process.pid)

    def _bury(self, worker: Worker) -> None:
        """Forget a worker that has ended, and have another one start in its place, now or later."""
        self._workers.remove(worker)
        worker.line.close()
        worker.process.join()
        number, code = worker.process.pid, worker.process.exitcode
        if worker.ready:
            pause = LOOK_SECONDS  # whoever ends all processes at once ends this one too
            if not self._stop.wait(pause):
                logger.error("worker %d ended with exit code %s: replaced", number, code)
        else:
            if worker.failure is None:
                self._failures.append(ServerError(f"a worker ended with exit code {code} before it could serve"))
            pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** len(self._failures))
            logger.error("worker %d could not start: %s", number, worker.failure or self._failures[-1])
        self._due.append(time.monotonic() + pause)

    def _end(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        for worker in self._workers:
            worker.line.close()
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Start a process that does not hear Ctrl-C, which reaches all of the terminal's: ours is told, and tells it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(
    config: ServeConfig,
    listener: socket.socket,
    line: Connection,
    folder: str,
    set_up_logs: Callable[[], None],
    is_replacement: bool,
) -> None:
    """Be a worker; a replacement leaves connections to the others until it can answer them."""

    def tell(message: ModelInfo | HumanDetectError) -> None:
        with suppress(OSError):  # the parent may have hung up meanwhile
            line.send(message)

    os.environ[METRICS_FOLDER] = folder
    set_up_logs()
    try:
        server = Server(config, on_loaded=tell, accept_when_loaded=is_replacement)
        threading.Thread(target=_end_with_parent, args=(line, server), daemon=True).start()
        server.run_on(listener)
    except HumanDetectError as error:
        tell(error)
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent(line: Connection, server: Server) -> None:
    """Stop when the parent hangs up, be it on purpose or because it was killed."""
    try:
        line.recv()
    except (EOFError, OSError):
        server.stop()
