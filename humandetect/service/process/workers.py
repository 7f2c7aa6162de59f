"""Several processes behind one port, each with an engine of its own, for machines that one process cannot fill.

Not uvicorn's supervisor: there, one worker that cannot start ends all of them, and the thread that says that a worker
lives goes on where the loop that serves hangs.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from humandetect.errors import HumanDetectError, ServerError
from humandetect.plural import counted
from humandetect.processes import Child, Parent
from humandetect.service import END_SECONDS, METRICS_FOLDER
from humandetect.service.process.server import Server, lasted, leave, on_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from humandetect.config import ServeConfig
    from humandetect.engines.base import ModelInfo

logger = logging.getLogger("humandetect.service")

LOOK_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries to start a worker; the first pause is 2 s, each next one twice as long."""
SILENT_SECONDS = END_SECONDS + 2.0
"""A worker that serves says every second that its loop goes round; one that does not for so long is killed. One that
was told to end says nothing more while it answers."""


@dataclass(slots=True)
class WorkerProcess:
    """A process that says when it is ready or why it cannot be, and then, every second, that it lives."""

    child: Child
    ready: bool = False
    failure: HumanDetectError | None = None
    silent_seconds: float = 0.0
    """How long one has listened to it since it last said something."""

    @property
    def resident_bytes(self) -> int:
        try:
            return int(psutil.Process(self.child.pid).memory_info().rss)
        except psutil.Error:  # it died just now
            return 0

    @property
    def hangs(self) -> bool:
        return self.ready and self.silent_seconds > SILENT_SECONDS


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
        self._workers: list[WorkerProcess] = []
        self._due: list[float] = []
        """When to start the workers that are missing, in monotonic seconds."""
        self._failures: list[HumanDetectError] = []
        """Of those that could not start, since one last could."""
        self._model: ModelInfo | None = None
        self._announced = False
        self._stop = stop or threading.Event()

    def run(self) -> None:
        """Serve until told to end. Raises what the first worker says that cannot start, if none of the first can."""
        from humandetect.service.metrics import requests_counted

        with on_signals(self._on_signal), tempfile.TemporaryDirectory(prefix="humandetect-metrics-") as folder:
            began = time.monotonic()
            try:
                self._workers = [self._start(folder) for _ in range(self._config.workers)]
                while not self._stop.is_set():
                    self._look()
                    self._announce()
                    self._start_due(folder)
                logger.info("ending %d workers", len(self._workers))
            finally:
                self._listener.close()
                self._end()
                logger.info("ended after %s and %s", lasted(began), counted(requests_counted(Path(folder)), "request"))

    def _look(self) -> None:
        """Wait for what happens next, for a moment."""
        talking = {worker.child.line: worker for worker in self._workers if not worker.child.line.closed}
        began = time.monotonic()
        happened = wait(list(talking), timeout=LOOK_SECONDS)
        # No more than that: where all stand still, as in a paused container, no worker can speak.
        waited = min(time.monotonic() - began, LOOK_SECONDS)
        for worker in self._workers:
            worker.silent_seconds += waited
        for line, worker in talking.items():
            if line in happened:
                self._hear(worker)
        for worker in list(self._workers):
            if worker.hangs:
                logger.error("worker %d hangs: killed", worker.child.pid)
                worker.child.process.kill()
                worker.silent_seconds = 0.0
            if worker.child.process.poll() is not None:
                self._replace(worker)

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
            try:
                self._workers.append(self._start(folder))
            except OSError as error:  # no memory, or no process to be had: the others go on
                self._failures.append(ServerError(str(error)))
                logger.error("a worker could not start: %s", error)  # noqa: TRY400  the message says it all
                self._due.append(now + self._pause())

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._stop.is_set():
            for worker in self._workers:
                worker.child.process.kill()
            leave(128 + number)
        self._stop.set()

    def _start(self, folder: str) -> WorkerProcess:
        number = self._listener.fileno()
        child = Child(__name__, end_seconds=END_SECONDS, pass_fds=(number,))
        child.send(WorkerOrder(self._config, number, folder, self._set_up_logs, is_replacement=self._announced))
        return WorkerProcess(child)

    def _hear(self, worker: WorkerProcess) -> None:
        try:
            message = worker.child.line.recv()
        except (EOFError, OSError):  # it ends; how is known when it has
            worker.child.line.close()
            return
        worker.silent_seconds = 0.0
        if message is None:
            return
        if isinstance(message, HumanDetectError):
            worker.failure = message
            self._failures.append(message)
            return
        worker.ready, self._model = True, message
        self._failures.clear()
        if self._announced:
            logger.info("worker %d serves", worker.child.pid)

    def _replace(self, worker: WorkerProcess) -> None:
        """Forget a worker that has ended, and have another one start in its place, now or later."""
        self._workers.remove(worker)
        worker.child.close()
        number, code = worker.child.pid, worker.child.process.returncode
        if worker.ready:
            pause = LOOK_SECONDS  # whoever ends all processes at once ends this one too
            time.sleep(pause)  # not a wait for `stop`: in its midst, a signal's handler that sets it would wait for us
            if not self._stop.is_set():
                logger.error("worker %d ended with exit code %s: replaced", number, code)
        else:
            if worker.failure is None:
                self._failures.append(ServerError(f"a worker ended with exit code {code} before it could serve"))
            pause = self._pause()
            logger.error("worker %d could not start: %s", number, worker.failure or self._failures[-1])
        self._due.append(time.monotonic() + pause)

    def _pause(self) -> float:
        return min(LONGEST_PAUSE_SECONDS, 2.0 ** len(self._failures))

    def _end(self) -> None:
        """Tell all at once, then wait for each."""
        for worker in self._workers:
            worker.child.process.terminate()
        for worker in self._workers:
            worker.child.close()


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is told first."""

    config: ServeConfig
    listener: int
    """The number of the listening socket, which it has inherited."""
    folder: str
    """Where the metrics of all workers are."""
    set_up_logs: Callable[[], None]
    is_replacement: bool
    """It leaves connections to the others until it can answer them."""


def main() -> None:
    """Be a worker."""
    with Parent() as parent:
        work(parent)


def work(parent: Parent) -> None:
    """Serve until the parent says otherwise, or is gone."""
    parent_id = os.getppid()
    order: WorkerOrder = parent.receive()
    os.environ[METRICS_FOLDER] = order.folder
    order.set_up_logs()
    try:
        server = Server(
            order.config, on_loaded=parent.send, on_second=lambda: parent.send_if_heard(None),
            accept_when_loaded=order.is_replacement, is_worker=True,
        )  # fmt: skip
        server.run_on(socket.socket(fileno=order.listener))
    except HumanDetectError as error:
        parent.send(error)
    if os.getppid() != parent_id:  # nobody else is left to clean up
        shutil.rmtree(order.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
