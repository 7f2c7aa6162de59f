"""What the supervisor of several workers does with those that fail; the workers are made up, their lines are real."""

from __future__ import annotations

import multiprocessing
import queue
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from humandetect.config import ServeConfig
from humandetect.errors import ServerError
from humandetect.service.process import workers
from humandetect.service.process.workers import Worker, Workers
from tests.fakes import INFO
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class Process:
    """Ends when it is told to."""

    def __init__(self) -> None:
        self.pid = 2**22 + 1  # more than any system has
        self.exitcode = 1
        self._end, self.sentinel = multiprocessing.Pipe()

    def die(self) -> None:
        self._end.close()

    kill = die

    def is_alive(self) -> bool:
        return not self._end.closed

    def join(self, timeout: float | None = None) -> None: ...


class Made:
    """A supervisor whose workers do what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.started: queue.Queue[tuple[Process, Any]] = queue.Queue()
        self.announced: list[int] = []
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        monkeypatch.setattr(Workers, "_start", lambda workers, folder: self._start())
        monkeypatch.setattr(workers, "LOOK_SECONDS", 0.01)
        self._supervisor = Workers(
            ServeConfig(workers=count), socket.socket(), stop=self.stop, set_up_logs=lambda: None,
            on_ready=lambda info, sizes: self.announced.append(len(sizes)),
        )  # fmt: skip

    def _start(self) -> Worker:
        ours, theirs = multiprocessing.Pipe()
        process = Process()
        self.started.put((process, theirs))
        return Worker(process, ours)  # type: ignore[arg-type]

    def run(self) -> None:
        try:
            self._supervisor.run()
        except ServerError as error:
            self.failure = error


@contextmanager
def supervised(monkeypatch: pytest.MonkeyPatch, count: int = 2) -> Iterator[Made]:
    made = Made(monkeypatch, count)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        thread.join(10)
        assert not thread.is_alive()


def fail(worker: tuple[Process, Any], words: str) -> None:
    worker[1].send(ServerError(words))
    worker[0].die()


def test_if_none_of_the_first_can_start_the_first_reason_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with supervised(monkeypatch) as made:
        for words in ("first", "second"):
            fail(made.started.get(timeout=10), words)
        eventually(lambda: made.failure)
    assert str(made.failure) == "first"
    assert made.announced == []


def test_one_that_cannot_start_is_tried_again_while_the_others_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LONGEST_PAUSE_SECONDS", 0.01)
    with supervised(monkeypatch) as made:
        bad, good = made.started.get(timeout=10), made.started.get(timeout=10)
        fail(bad, "no memory")
        good[1].send(INFO)
        eventually(lambda: made.announced == [1])
        for _ in range(3):
            fail(made.started.get(timeout=10), "no memory")
        made.started.get(timeout=10)[1].send(INFO)
        good[0].die()
        made.started.get(timeout=10)[1].send(INFO)
        assert made.announced == [1]
        assert made.failure is None


def test_a_worker_that_is_long_in_ending_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with supervised(monkeypatch) as made:
        slow, other = made.started.get(timeout=10), made.started.get(timeout=10)
        slow[1].send(INFO)
        other[1].send(INFO)
        eventually(lambda: made.announced == [2])
        slow[1].close()  # it has said good-bye, and its process hangs
        other[0].die()
        made.started.get(timeout=10)[1].send(INFO)
        slow[0].die()
        made.started.get(timeout=10)
