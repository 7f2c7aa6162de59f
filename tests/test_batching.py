"""What the batcher promises its callers."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING

import pytest

from humandetect.batching import Batcher
from humandetect.errors import Closed, HumanDetectError, Overloaded

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate:
    """A batch function that waits to be let through and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.let = threading.Semaphore(0)

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.entered.release()
        assert self.let.acquire(timeout=10)
        return [item * 10 for item in items]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def busy(gate: Gate) -> Iterator[Batcher[int, int]]:
    """A batcher of up to 3 whose only worker is occupied with item 0; two more fit its queue."""
    batcher = Batcher(gate, max_batch=3, queue_size=2, max_wait_seconds=0.05)
    batcher.submit(0)
    assert gate.entered.acquire(timeout=10)
    yield batcher
    for _ in range(10):
        gate.let.release()
    batcher.close()


def double(items: list[int]) -> list[int]:
    return [item * 2 for item in items]


def test_every_item_gets_its_own_result() -> None:
    with Batcher(double, max_batch=4, queue_size=100, workers=3) as batcher:
        futures = [batcher.submit(item, timeout_seconds=None) for item in range(100)]
        assert [future.result(timeout=10) for future in futures] == [item * 2 for item in range(100)]


def test_a_lone_item_leaves_at_once_while_a_worker_is_idle(gate: Gate) -> None:
    with Batcher(gate, max_batch=8, queue_size=8, max_wait_seconds=3600) as batcher:
        while batcher._idle == 0:  # the worker has just been started
            threading.Event().wait(0.001)
        future = batcher.submit(1)
        assert gate.entered.acquire(timeout=10)
        gate.let.release()
        assert future.result(timeout=10) == 10


def test_items_that_arrive_while_all_are_busy_share_a_batch(busy: Batcher[int, int], gate: Gate) -> None:
    futures = [busy.submit(1), busy.submit(2)]
    for _ in range(2):
        gate.let.release()
    wait(futures, timeout=10)
    assert gate.batches == [[0], [1, 2]]


def test_a_full_batch_does_not_wait(gate: Gate) -> None:
    with Batcher(gate, max_batch=2, queue_size=8, max_wait_seconds=3600) as batcher:
        while batcher._idle == 0:
            threading.Event().wait(0.001)
        batcher.submit(0)
        assert gate.entered.acquire(timeout=10)
        futures = [batcher.submit(item) for item in (1, 2)]
        for _ in range(2):
            gate.let.release()
        assert [future.result(timeout=10) for future in futures] == [10, 20]


def test_an_incomplete_batch_leaves_when_its_oldest_item_has_waited_long_enough(
    busy: Batcher[int, int], gate: Gate
) -> None:
    future = busy.submit(1)
    for _ in range(2):
        gate.let.release()
    assert future.result(timeout=10) == 10


def test_a_full_queue_is_an_overload(busy: Batcher[int, int]) -> None:
    busy.submit(1)
    busy.submit(2)
    with pytest.raises(Overloaded, match="2 items are waiting"):
        busy.submit(3)
    with pytest.raises(Overloaded):
        busy.submit(3, timeout_seconds=0.01)


def test_a_patient_caller_waits_for_room(busy: Batcher[int, int], gate: Gate) -> None:
    busy.submit(1)
    busy.submit(2)
    for _ in range(3):
        gate.let.release()
    assert busy.submit(3, timeout_seconds=10).result(timeout=10) == 30


def test_cancelled_items_never_reach_the_function(busy: Batcher[int, int], gate: Gate) -> None:
    gone, kept = busy.submit(1), busy.submit(2)
    assert gone.cancel()
    for _ in range(2):
        gate.let.release()
    assert kept.result(timeout=10) == 20
    assert all(1 not in batch for batch in gate.batches)


def test_an_error_reaches_every_caller_of_the_batch_and_the_worker_goes_on(gate: Gate) -> None:
    def fail_on_bad(items: list[int]) -> list[int]:
        gate(items)
        if -1 in items:
            raise ValueError("bad item")
        return items

    with Batcher(fail_on_bad, max_batch=2, queue_size=4, max_wait_seconds=3600) as batcher:
        batcher.submit(0)
        assert gate.entered.acquire(timeout=10)
        both = [batcher.submit(-1), batcher.submit(1)]
        for _ in range(3):
            gate.let.release()
        for future in both:
            with pytest.raises(ValueError, match="bad item"):
                future.result(timeout=10)
        assert batcher.submit(5, timeout_seconds=5).result(timeout=10) == 5


def test_a_wrong_number_of_results_is_an_error() -> None:
    def twice(items: list[int]) -> list[int]:
        return items + items

    with (
        Batcher(twice, max_batch=1, queue_size=1) as batcher,
        pytest.raises(HumanDetectError, match="1 items went in, 2"),
    ):
        batcher.submit(1).result(timeout=10)


def test_close_fails_what_is_queued_and_finishes_what_is_running(gate: Gate) -> None:
    batcher = Batcher(gate, max_batch=1, queue_size=5)
    running = batcher.submit(0)
    assert gate.entered.acquire(timeout=10)
    queued, cancelled = batcher.submit(1), batcher.submit(2)
    cancelled.cancel()
    closer = threading.Thread(target=batcher.close)
    closer.start()
    with pytest.raises(Closed):
        queued.result(timeout=10)
    gate.let.release()
    assert running.result(timeout=10) == 0
    closer.join(timeout=10)
    assert not closer.is_alive()
    with pytest.raises(Closed):
        batcher.submit(3)
    batcher.close()


def test_close_wakes_a_caller_that_waits_for_room(gate: Gate) -> None:
    batcher = Batcher(gate, max_batch=1, queue_size=1)
    batcher.submit(0)
    assert gate.entered.acquire(timeout=10)
    batcher.submit(1)
    seen: list[BaseException] = []

    def offer() -> None:
        try:
            batcher.submit(2, timeout_seconds=None)
        except Closed as error:
            seen.append(error)

    caller = threading.Thread(target=offer)
    caller.start()
    gate.let.release()
    gate.let.release()
    gate.let.release()
    batcher.close()
    caller.join(timeout=10)
    assert not caller.is_alive()
