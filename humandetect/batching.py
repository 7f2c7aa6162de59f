"""Group single items into batches for a function that likes batches. Knows no images."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from humandetect.errors import Closed, HumanDetectError, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: Future[Result]
    leave_at: float
    """Monotonic time after which the batch must not wait for company."""


class Batcher(Generic[Item, Result]):
    """Collect submitted items and hand them to `run` in batches, on worker threads of its own.

    A batch leaves at once while a worker is idle. Only items that arrived while every worker was busy wait for
    company, and no longer than `max_wait_seconds` from their arrival.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch: int,
        queue_size: int,
        workers: int = 1,
        max_wait_seconds: float = 0.0,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._queue_size = queue_size
        self.capacity = queue_size + max_batch * workers
        """Items that can be waiting or worked on at once."""
        self._max_wait_seconds = max_wait_seconds
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._idle = 0
        self._closed = False
        lock = threading.Lock()
        self._filled = threading.Condition(lock)
        self._freed = threading.Condition(lock)
        self._workers = [
            threading.Thread(target=self._work, name=f"batcher-{number}", daemon=True) for number in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    def submit(self, item: Item, *, timeout_seconds: float | None = 0.0) -> Future[Result]:
        """Queue an item. A full queue is waited for up to `timeout_seconds` (None: as long as it takes).

        Raises Overloaded when the queue stays full, Closed after `close()`.
        """
        with self._freed:
            has_room = self._freed.wait_for(
                lambda: self._closed or len(self._queue) < self._queue_size, timeout_seconds
            )
            if self._closed:
                raise Closed("the batcher is closed")
            if not has_room:
                raise Overloaded(f"{self._queue_size} items are waiting already; try again later")
            now = time.monotonic()
            free_worker = self._idle > len(self._queue)
            waiting = _Waiting(item, Future[Result](), leave_at=now if free_worker else now + self._max_wait_seconds)
            self._queue.append(waiting)
            self._filled.notify()
        return waiting.future

    def close(self) -> None:
        """Fail what is still queued, let running batches end, stop the workers. May be called twice."""
        with self._filled:
            self._closed = True
            left = list(self._queue)
            self._queue.clear()
            self._filled.notify_all()
            self._freed.notify_all()
        for waiting in left:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_exception(Closed("the batcher was closed before this item's turn"))
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join()

    def __enter__(self) -> Batcher[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while batch := self._take():
            wanted = [waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _take(self) -> list[_Waiting[Item, Result]]:
        """Wait for a batch; empty once the batcher is closed."""
        with self._filled:
            while not self._closed:
                if not self._queue:
                    self._idle += 1
                    self._filled.wait()
                    self._idle -= 1
                    continue
                remaining = self._queue[0].leave_at - time.monotonic()
                if len(self._queue) >= self._max_batch or remaining <= 0:
                    size = min(self._max_batch, len(self._queue))
                    self._freed.notify(size)
                    return [self._queue.popleft() for _ in range(size)]
                self._filled.wait(remaining)
        return []

    def _answer(self, batch: list[_Waiting[Item, Result]]) -> None:
        try:
            results = self._run([waiting.item for waiting in batch])
            if len(results) != len(batch):
                raise HumanDetectError(f"{len(batch)} items went in, {len(results)} results came out")
        except BaseException as error:  # whatever happened belongs to the callers; the worker goes on
            for waiting in batch:
                waiting.future.set_exception(error)
            return
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(result)
