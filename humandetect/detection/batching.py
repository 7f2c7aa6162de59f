"""Group single items into batches for a function that likes batches. Knows no images."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from humandetect.errors import Closed, EngineTimeout, HumanDetectError, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_ABANDONED = 8
"""Threads that may hang at once beside the workers; each holds memory that nothing can free."""

TICK_SECONDS = 1.0
"""So often who watches for hung batches looks at the clock; a tick twice as long tells that the process stood still."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: Future[Result]
    leave_at: float
    """Monotonic time after which the batch must not wait for company."""


@dataclass(frozen=True, slots=True)
class _Running(Generic[Item, Result]):
    batch: list[_Waiting[Item, Result]]
    since: float
    """Monotonic time."""


class Batcher(Generic[Item, Result]):
    """Collect submitted items and hand them to `run` in batches, on worker threads of its own.

    A batch leaves at once while a worker is idle. Only items that arrived while every worker was busy wait for
    company, and no longer than `max_wait_seconds` from their arrival. Not `eager`, all items wait for company so long:
    for workers whom a small batch costs as much as a full one.

    A batch that runs for more than `hung_after_seconds` is given up: its futures fail with EngineTimeout and another
    thread takes the place of the one that hangs.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch: int,
        queue_size: int,
        workers: int = 1,
        max_wait_seconds: float = 0.0,
        hung_after_seconds: float | None = None,
        eager: bool = True,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._queue_size = queue_size
        self.capacity = queue_size + max_batch * workers
        """Items that can be waiting or worked on at once."""
        self._max_wait_seconds = max_wait_seconds
        self._hung_after_seconds = hung_after_seconds or threading.TIMEOUT_MAX
        self._eager = eager
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._running: dict[threading.Thread, _Running[Item, Result]] = {}
        """Who takes a batch out of it, its worker or the one who gives it up, answers its futures."""
        self._hung_in_a_row, self._doubted_until = 0, 0.0
        """Batches given up since one last returned, and the monotonic time until which they count."""
        self._idle = self._abandoned = 0
        self._max_abandoned = max(MAX_ABANDONED, 2 * workers)
        self._wanted_workers = workers
        self._closed = False
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._freed = threading.Condition(self._lock)
        self._began = threading.Condition(self._lock)
        self._watching = True
        """Whether the watch will look by itself when a batch may hang; else it waits to be told of one."""
        self._workers: set[threading.Thread] = set()
        for _ in range(workers):
            self._start_worker()
        if hung_after_seconds is not None:
            threading.Thread(target=self._watch, name="batcher watch", daemon=True).start()

    def submit(self, item: Item, *, timeout_seconds: float | None = 0.0) -> Future[Result]:
        """Queue an item. A full queue is waited for up to `timeout_seconds` (None: as long as it takes).

        Raises Overloaded when the queue stays full or every thread hangs, Closed after `close()`.
        """
        with self._freed:
            fits = self._freed.wait_for(lambda: self._closed or len(self._queue) < self._queue_size, timeout_seconds)
            if self._closed:
                raise Closed("the batcher is closed")
            if not self._workers:
                raise Overloaded(f"the engine hangs: {self._abandoned} batches were given up and have not come back")
            if not fits:
                raise Overloaded(f"{self._queue_size} items are waiting already; try again later")
            now = time.monotonic()
            free_worker = self._eager and self._idle > len(self._queue)
            waiting = _Waiting(item, Future[Result](), leave_at=now if free_worker else now + self._max_wait_seconds)
            self._queue.append(waiting)
            self._filled.notify()
        return waiting.future

    def is_stuck(self) -> bool:
        """Tell whether no worker is well: each one's batch was given up lately, and none has returned since.

        Lately: twice as long as a batch may run, or it would flicker where items come one by one. Then it is worth
        another try, unless every thread hangs.
        """
        with self._lock:
            doubted = self._hung_in_a_row >= self._wanted_workers and time.monotonic() < self._doubted_until
            return not self._closed and (doubted or not self._workers)

    def close(self) -> None:
        """Fail what is still queued, let running batches end, given up only where they hang. May be called twice."""
        with self._filled:
            self._closed = True
            left = list(self._queue)
            self._queue.clear()
            self._filled.notify_all()
            self._freed.notify_all()
            self._began.notify_all()
        for waiting in left:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_exception(Closed("the batcher was closed before this item's turn"))
        for worker in self._workers - {threading.current_thread()}:
            while worker.is_alive() and (seconds := self._seconds_left(worker)):
                worker.join(seconds)
        self._give_up_hung()

    def __enter__(self) -> Batcher[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_worker(self) -> None:
        worker = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._workers.add(worker)
        worker.start()

    def _seconds_left(self, worker: threading.Thread) -> float:
        """Return how long a worker may still run before it hangs."""
        running = self._running.get(worker)
        lasted = time.monotonic() - running.since if running else 0.0
        return max(0.0, self._hung_after_seconds - lasted)

    def _watch(self) -> None:
        """Give up each batch once it hangs: told when one begins while none ran, woken by the clock from then on."""
        while not self._closed:
            with self._began:
                left = [self._seconds_left(worker) for worker in self._running]
                self._watching = bool(left)
                if 0 not in left and not self._closed:
                    self._wait(min(left, default=None))
            self._give_up_hung()

    def _wait(self, seconds: float | None) -> None:
        """Wait for a batch to begin, or a while; time in which the whole process was stopped is no batch's own."""
        tick = None if seconds is None else min(seconds, TICK_SECONDS)
        began = time.monotonic()
        self._began.wait(tick)
        now = time.monotonic()
        if tick is not None and (stopped := now - began - tick) > TICK_SECONDS:
            for worker, running in self._running.items():
                self._running[worker] = replace(running, since=min(running.since + stopped, now))

    def _give_up_hung(self) -> None:
        """Fail the batches that hang and replace their workers, while not too many threads hang already."""
        with self._lock:
            hung = [worker for worker in self._running if self._seconds_left(worker) == 0]
            given_up = [waiting for worker in hung for waiting in self._running.pop(worker).batch]
            self._workers -= set(hung)
            for _ in () if self._closed else hung[: max(0, self._max_abandoned - self._abandoned)]:
                self._start_worker()
            self._abandoned += len(hung)
            if hung:
                self._hung_in_a_row += len(hung)
                self._doubted_until = time.monotonic() + 2 * self._hung_after_seconds
        for waiting in given_up:
            waiting.future.set_exception(EngineTimeout(f"the batch was given up after {self._hung_after_seconds:g} s"))

    def _work(self) -> None:
        while batch := self._take():
            wanted = [waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()]
            if wanted and not self._answer(wanted):
                return

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

    def _answer(self, batch: list[_Waiting[Item, Result]]) -> bool:
        """Run a batch and answer its futures; False if it was given up and another thread has taken over meanwhile."""
        worker = threading.current_thread()
        with self._lock:
            self._running[worker] = _Running(batch, since=time.monotonic())
            if not self._watching:
                self._began.notify()
        results: Sequence[Result] = ()
        failure: BaseException | None = None
        try:
            results = self._run([waiting.item for waiting in batch])
            if len(results) != len(batch):
                raise HumanDetectError(f"{len(batch)} items went in, {len(results)} results came out")
        except BaseException as error:  # whatever happened belongs to the callers; the worker goes on
            failure = error
        with self._lock:
            self._hung_in_a_row = 0
            if self._running.pop(worker, None) is None:
                self._abandoned -= 1
                if len(self._workers) < self._wanted_workers:
                    self._workers.add(worker)
                return worker in self._workers
        if failure is not None:
            for waiting in batch:
                waiting.future.set_exception(failure)
            return True
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(result)
        return True
