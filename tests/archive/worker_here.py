"""A worker of `archive` with a fake engine in a thread of the tests: what fails is made to fail where it would."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from humandetect.archive import worker
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    import pytest


def _work() -> None:
    with suppress(SystemExit):
        worker.main()


class ChildHere:
    """What looks like a process to who starts one. One at a time."""

    said_to: SimpleQueue[Any]
    said_by: SimpleQueue[Any]

    def __init__(self, _module: str, **_: object) -> None:
        ChildHere.said_to, ChildHere.said_by = SimpleQueue(), SimpleQueue()
        self._thread = threading.Thread(target=_work, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.said_to.put(SystemExit())
        self._thread.join()

    def send(self, value: object) -> None:
        self.said_to.put(value)

    def receive(self, within_seconds: float) -> Any:
        try:
            value = self.said_by.get(timeout=within_seconds)
        except Empty:
            raise TimeoutError from None
        if isinstance(value, Exception):
            raise value
        return value


class ParentHere:
    """What that worker hears, and says."""

    def __init__(self) -> None:
        self._said_to, self._said_by = ChildHere.said_to, ChildHere.said_by

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def receive(self) -> Any:
        value = self._said_to.get()
        if isinstance(value, SystemExit):
            raise value
        return value

    def send(self, value: object) -> None:
        self._said_by.put(value)


class Silent:
    """Tells nobody how far it is."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


def work_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.archive.local.Child", ChildHere)
    monkeypatch.setattr(worker, "Parent", ParentHere)
    monkeypatch.setattr(worker, "load_engine", lambda _: FakeEngine())
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None)
