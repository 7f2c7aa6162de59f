"""Batching as TensorFlow Serving does it: rows of several requests go through the graph in one run.

All models share the threads; requests meet in a queue if they give the same inputs and want the same outputs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from humandetect.model_server import serving_metrics as names
from humandetect.model_server.batch import Task, join, pad, split_outputs, split_rows, task_rows
from humandetect.model_server.status import ServingError, deadline_exceeded, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from humandetect.model_server.batching_parameters import BatchingParameters
    from humandetect.model_server.servable import Runner
    from humandetect.model_server.serving_metrics import ServingMetrics

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """Tasks that will be run together."""

    tasks: list[Task] = field(default_factory=list)
    rows: int = 0
    begun: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class Queue:
    """Batches for one graph, inputs and outputs; only the last one still takes tasks."""

    model: str
    runner: Runner
    fetches: Sequence[str]
    batches: deque[Batch] = field(default_factory=deque)


class BatchScheduler:
    """Runs batches that are full, or whose first task has waited long enough, on a pool of threads."""

    def __init__(self, parameters: BatchingParameters, metrics: ServingMetrics) -> None:
        self.parameters, self._metrics = parameters, metrics
        self._queues: deque[Queue] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{index}", daemon=True)
            for index in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, queue: Queue) -> None:
        with self._changed:
            self._queues.append(queue)

    def remove(self, queue: Queue) -> None:
        with self._changed:
            self._queues.remove(queue)

    def submit(self, queue: Queue, tasks: Sequence[Task]) -> None:
        """Add all tasks or, if there is no room, none; raises ServingError."""
        with self._changed:
            batches, limit = queue.batches, self.parameters.execution_batch_size
            rows, needed = (batches[-1].rows if batches else limit), 0
            for task in tasks:
                needed += rows + task.rows > limit
                rows = task.rows if rows + task.rows > limit else rows + task.rows
            if needed and len(batches) + needed > self.parameters.max_enqueued_batches:
                raise ServingError(
                    grpc.StatusCode.UNAVAILABLE,
                    "The batch scheduling queue to which this task was submitted is full; currently "
                    f"{len(batches)} batches enqueued and max_enqueued_batches is "
                    f"{self.parameters.max_enqueued_batches}",
                )
            for task in tasks:
                if not batches or batches[-1].rows + task.rows > limit:
                    batches.append(Batch())
                batches[-1].tasks.append(task)
                batches[-1].rows += task.rows
            self._changed.notify()

    def close(self) -> None:
        """End the threads once they have run what they are running."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(1)

    def _work(self) -> None:
        while True:
            with self._changed:
                found = self._next()
                while found is None:
                    if self._closed:
                        return
                    self._changed.wait(self._patience())
                    found = self._next()
                self._changed.notify()  # there may be more for another thread
            self._run(*found)

    def _next(self) -> tuple[Queue, Batch] | None:
        """Take a batch that is ready; queues take turns."""
        for _ in range(len(self._queues)):
            queue = self._queues[0]
            self._queues.rotate(-1)
            if queue.batches and self._wait_of(queue) <= 0:
                return queue, queue.batches.popleft()
        return None

    def _patience(self) -> float:
        return min([threading.TIMEOUT_MAX, *(self._wait_of(queue) for queue in self._queues if queue.batches)])

    def _wait_of(self, queue: Queue) -> float:
        """Return the seconds until a queue's first batch may run."""
        first = queue.batches[0]
        if len(queue.batches) > 1 or first.rows >= self.parameters.execution_batch_size:
            return 0.0
        return first.begun + self.parameters.batch_timeout_seconds - time.monotonic()

    def _run(self, queue: Queue, batch: Batch) -> None:
        now = time.monotonic()
        tasks = []
        for task in batch.tasks:
            if task.deadline is not None and task.deadline <= now:
                reason = "Run() timeout exceeded while waiting in batching queue"
                task.answer.set_exception(ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, reason))
            else:
                tasks.append(task)
                self._metrics.observe(names.QUEUING_LATENCY, (now - task.begun) * 1e6, model_name=queue.model)
        if not tasks:
            return
        try:
            answers = self._run_together(queue, tasks)
        except ServingError as error:
            for task in tasks:
                task.answer.set_exception(error)
        except Exception as error:
            logger.exception("a batch of model %s failed in an unexpected way", queue.model)
            for task in tasks:
                task.answer.set_exception(ServingError(grpc.StatusCode.INTERNAL, repr(error)))
        else:
            for task, answer in zip(tasks, answers, strict=True):
                task.answer.set_result(answer)

    def _run_together(self, queue: Queue, tasks: list[Task]) -> list[list[NDArray[Any]]]:
        joined = join(tasks, may_pad=self.parameters.pad_variable_length_inputs)
        rows = sum(task.rows for task in tasks)
        padded = self.parameters.padded_size(rows)
        self._metrics.observe(names.PADDING, padded - rows, model_name=queue.model)
        self._metrics.observe(names.PROCESSED_BATCH, padded, model_name=queue.model)
        self._metrics.count(names.RUNS, model_name=queue.model)
        deadlines = [task.deadline for task in tasks]
        last = None if None in deadlines else max(deadline for deadline in deadlines if deadline is not None)
        timeout = None if last is None else last - time.monotonic()
        outputs = queue.runner.run(pad(joined, padded - rows, tasks[-1]), queue.fetches, timeout)
        return split_outputs(outputs, tasks, padded)


class BatchingRunner:
    """Runs a graph like its session, but together with what others want of it at the same time."""

    def __init__(self, model: str, runner: Runner, scheduler: BatchScheduler, metrics: ServingMetrics) -> None:
        self._model, self._runner, self._scheduler, self._metrics = model, runner, scheduler, metrics
        self._queues: dict[object, Queue] = {}
        self._lock = threading.Lock()

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_seconds: float | None
    ) -> list[NDArray[Any]]:
        """Wait for a batch and return this request's part; raises ServingError."""
        if not feeds:
            return self._runner.run(feeds, fetches, timeout_seconds)
        parameters, rows = self._scheduler.parameters, task_rows(feeds)
        if rows > parameters.max_batch_size:
            raise invalid(f"Task size {rows} is larger than maximum input batch size {parameters.max_batch_size}")
        self._metrics.observe(names.INPUT_BATCH, rows, model_name=self._model)
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        parts = split_rows(feeds, rows, parameters.execution_batch_size)
        tasks = [Task(part, task_rows(part), deadline, Future()) for part in parts]
        self._scheduler.submit(self._queue(feeds, fetches), tasks)
        answers = [_wait(task) for task in tasks]
        return answers[0] if len(answers) == 1 else [np.concatenate(one) for one in zip(*answers, strict=True)]

    def close(self) -> None:
        for queue in self._queues.values():
            self._scheduler.remove(queue)
        self._queues.clear()
        self._runner.close()

    def _queue(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> Queue:
        # By type too: numpy would join floats and integers to something that none of the clients has sent.
        key = (frozenset((name, array.dtype.str) for name, array in feeds.items()), tuple(fetches))
        with self._lock:
            if key not in self._queues:
                self._queues[key] = Queue(self._model, self._runner, fetches)
                self._scheduler.add(self._queues[key])
            return self._queues[key]


def _wait(task: Task) -> list[NDArray[Any]]:
    seconds = None if task.deadline is None else max(0.0, task.deadline - time.monotonic())
    try:
        answer: list[NDArray[Any]] = task.answer.result(seconds)
    except FutureTimeoutError as error:
        raise deadline_exceeded() from error
    return answer
