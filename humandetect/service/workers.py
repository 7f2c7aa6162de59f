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
from humandetect.service.process import END_SECONDS, Server, leave, on_signals

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import FrameType

    from humandetect.config import ServeConfig
    from humandetect.engines.base import ModelInfo

logger = logging.getLogger("humandetect.service")

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client reads it while it is imported, so it is set first thing in each worker, and only there."""
LOOK_SECONDS = 0.2


@dataclass(slots=True)
class Worker:
    """A process, and the line to it: it says when it is ready or why it cannot be; it ends when the line does."""

    process: SpawnProcess
    line: Connection
    ready: bool = False

    @property
    def resident_bytes(self) -> int:
        resident: int = psutil.Process(self.process.pid).memory_info().rss
        return resident


class Workers:
    """Start as many processes as the config says, replace those that die, end them all."""

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
        self._stop = stop or threading.Event()

    def run(self) -> None:
        """Serve until told to end. Raises what the first worker that cannot start says."""
        with on_signals(self._on_signal), tempfile.TemporaryDirectory(prefix="humandetect-metrics-") as folder:
            try:
                self._workers = [self._start(folder) for _ in range(self._config.workers)]
                while not self._stop.is_set():
                    for line in wait([worker.line for worker in self._workers], timeout=LOOK_SECONDS):
                        self._hear(next(worker for worker in self._workers if worker.line is line), folder)
            finally:
                self._listener.close()
                self._end()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._stop.is_set():
            for worker in self._workers:
                worker.process.kill()
            leave(128 + number)
        self._stop.set()

    def _start(self, folder: str) -> Worker:
        spawn = multiprocessing.get_context("spawn")  # a forked process would share locks and threads' leftovers
        ours, theirs = spawn.Pipe()
        arguments = (self._config, self._listener, theirs, folder, self._set_up_logs)
        process = spawn.Process(target=work, args=arguments, name="humandetect worker")
        with _ctrl_c_held():
            process.start()
        theirs.close()
        return Worker(process, ours)

    def _hear(self, worker: Worker, folder: str) -> None:
        try:
            message = worker.line.recv()
        except (EOFError, OSError):
            self._replace(worker, folder)
            return
        if isinstance(message, HumanDetectError):
            raise message
        worker.ready = True
        if all(each.ready for each in self._workers):
            self._on_ready(message, [each.resident_bytes for each in self._workers])

    def _replace(self, worker: Worker, folder: str) -> None:
        worker.line.close()
        worker.process.join(END_SECONDS)
        if self._stop.wait(LOOK_SECONDS):  # whoever ends all processes at once ends this one too
            return
        if not worker.ready:
            raise ServerError(f"a worker ended with exit code {worker.process.exitcode} before it could serve")
        logger.error("worker %d ended with exit code %s: replaced", worker.process.pid, worker.process.exitcode)
        self._workers[self._workers.index(worker)] = self._start(folder)

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
    config: ServeConfig, listener: socket.socket, line: Connection, folder: str, set_up_logs: Callable[[], None]
) -> None:
    """Be a worker."""

    def tell(message: ModelInfo | HumanDetectError) -> None:
        with suppress(OSError):  # the parent may have hung up meanwhile
            line.send(message)

    os.environ[METRICS_FOLDER] = folder
    set_up_logs()
    try:
        server = Server(config, on_loaded=tell)
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
