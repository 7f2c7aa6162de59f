"""What the supervisor of several workers does with those that fail; the workers are made up, their lines are real."""

from __future__ import annotations

import multiprocessing
import queue
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from humandetect.config import ServeConfig
from humandetect.errors import ServerError
from humandetect.service.process import workers
from humandetect.service.process.workers import WorkerProcess, Workers
from tests.fakes import INFO
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class Made:
    """A worker's child that says and does what the test wants, over a real line."""

    def __init__(self) -> None:
        self.pid = 2**22 + 1  # more than any system has
        self.line, self._end = multiprocessing.Pipe()
        self.process = self
        self.returncode: int | None = None

    def says(self, message: object) -> None:
        self._end.send(message)

    def hangs_up(self) -> None:
        self._end.close()

    def die(self) -> None:
        self.returncode = 1
        self._end.close()

    def kill(self) -> None:
        self.returncode = 1

    terminate = close = kill

    def poll(self) -> int | None:
        return self.returncode

    def fails(self, words: str) -> None:
        self.says(ServerError(words))
        self.die()


class Supervised:
    """A supervisor whose workers do what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.started: queue.Queue[Made] = queue.Queue()
        self.announced: list[int] = []
        self.cannot_start: list[OSError] = []
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        monkeypatch.setattr(Workers, "_start", lambda workers, folder: self._start())
        monkeypatch.setattr(workers, "LOOK_SECONDS", 0.01)
        self._supervisor = Workers(
            ServeConfig(workers=count), socket.socket(), stop=self.stop, set_up_logs=lambda: None,
            on_ready=lambda info, sizes: self.announced.append(len(sizes)),
        )  # fmt: skip

    def _start(self) -> WorkerProcess:
        if self.cannot_start:
            raise self.cannot_start.pop()
        child = Made()
        self.started.put(child)
        return WorkerProcess(child)  # type: ignore[arg-type]

    def run(self) -> None:
        try:
            self._supervisor.run()
        except ServerError as error:
            self.failure = error


@contextmanager
def supervised(monkeypatch: pytest.MonkeyPatch, count: int = 2) -> Iterator[Supervised]:
    made = Supervised(monkeypatch, count)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_if_none_of_the_first_can_start_the_first_reason_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with supervised(monkeypatch) as made:
        for words in ("first", "second"):
            made.started.get(timeout=60).fails(words)
        eventually(lambda: made.failure)
    assert str(made.failure) == "first"
    assert made.announced == []


def test_one_that_cannot_start_is_tried_again_while_the_others_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LONGEST_PAUSE_SECONDS", 0.01)
    with supervised(monkeypatch) as made:
        bad, good = made.started.get(timeout=60), made.started.get(timeout=60)
        bad.fails("no memory")
        good.says(INFO)
        eventually(lambda: made.announced == [1])
        for _ in range(3):
            made.started.get(timeout=60).fails("no memory")
        made.started.get(timeout=60).says(INFO)
        good.die()
        made.started.get(timeout=60).says(INFO)
        assert made.announced == [1]
        assert made.failure is None


def test_a_worker_that_is_long_in_ending_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with supervised(monkeypatch) as made:
        slow, other = made.started.get(timeout=60), made.started.get(timeout=60)
        slow.says(INFO)
        other.says(INFO)
        eventually(lambda: made.announced == [2])
        slow.hangs_up()  # it has said good-bye, and its process hangs
        other.die()
        made.started.get(timeout=60).says(INFO)
        slow.die()
        made.started.get(timeout=60)


def test_a_worker_that_falls_silent_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with supervised(monkeypatch) as made:
        silent, other = made.started.get(timeout=60), made.started.get(timeout=60)
        silent.says(INFO)
        other.says(INFO)
        eventually(lambda: made.announced == [2])
        monkeypatch.setattr(workers, "SILENT_SECONDS", 0.5)
        stop = threading.Event()

        def live() -> None:
            while not stop.wait(0.05):
                other.says(None)

        beat = threading.Thread(target=live)
        beat.start()
        made.started.get(timeout=60).says(INFO)
        stop.set()
        beat.join()
        assert silent.returncode == 1
        assert other.returncode is None


def test_no_lock_is_held_that_a_signals_handler_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal sets `stop`, whose lock whoever waits for it holds for moments."""
    with supervised(monkeypatch) as made:
        first, other = made.started.get(timeout=60), made.started.get(timeout=60)
        monkeypatch.setattr(made.stop, "wait", None)
        first.says(INFO)
        other.says(INFO)
        first.die()
        made.started.get(timeout=60).says(INFO)


def test_a_system_that_gives_no_process_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LONGEST_PAUSE_SECONDS", 0.01)
    with supervised(monkeypatch) as made:
        first, other = made.started.get(timeout=60), made.started.get(timeout=60)
        first.says(INFO)
        other.says(INFO)
        eventually(lambda: made.announced == [2])
        made.cannot_start += [OSError("no memory"), OSError("no memory")]
        first.die()
        made.started.get(timeout=60).says(INFO)
        assert other.returncode is None


def test_a_pause_of_the_whole_machine_is_no_workers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, looks = [0.0], [0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            looks[0] += 1
            return time.monotonic() + ahead[0]

    with supervised(monkeypatch) as made:
        both = made.started.get(timeout=60), made.started.get(timeout=60)
        for one in both:
            one.says(INFO)
        eventually(lambda: made.announced == [2])
        monkeypatch.setattr(workers, "time", Clock)
        ahead[0] = 3600.0
        seen = looks[0]
        eventually(lambda: looks[0] > seen + 20)
        assert [one.returncode for one in both] == [None, None]
