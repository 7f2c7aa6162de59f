"""What the batcher promises its callers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from humandetect.detection import batching
from humandetect.detection.batching import MAX_ABANDONED, Batcher
from humandetect.errors import Closed, EngineTimeout, HumanDetectError, Overloaded
from tests.fakes import Clock
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future


class Gate:
    """A batch function that waits to be let through and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.let = threading.Semaphore(0)

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.entered.release()
        assert self.let.acquire(timeout=60)
        return [item * 10 for item in items]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(batching, "time", clock)
    return clock


@pytest.fixture
def busy(gate: Gate) -> Iterator[Batcher[int, int]]:
    """A batcher of up to 3 whose only worker is occupied with item 0; two more fit its queue."""
    batcher = Batcher(gate, max_batch=3, queue_size=2, max_wait_seconds=0.05)
    batcher.submit(0)
    assert gate.entered.acquire(timeout=60)
    yield batcher
    for _ in range(10):
        gate.let.release()
    batcher.close()


def double(items: list[int]) -> list[int]:
    return [item * 2 for item in items]


def test_every_item_gets_its_own_result() -> None:
    with Batcher(double, max_batch=4, queue_size=100, workers=3) as batcher:
        futures = [batcher.submit(item, timeout_seconds=None) for item in range(100)]
        assert [future.result(timeout=60) for future in futures] == [item * 2 for item in range(100)]


def test_a_lone_item_leaves_at_once_while_a_worker_is_idle(gate: Gate) -> None:
    with Batcher(gate, max_batch=8, queue_size=8, max_wait_seconds=3600) as batcher:
        while batcher._idle == 0:  # the worker has just been started
            threading.Event().wait(0.001)
        future = batcher.submit(1)
        assert gate.entered.acquire(timeout=60)
        gate.let.release()
        assert future.result(timeout=60) == 10


def test_items_that_arrive_while_all_are_busy_share_a_batch(busy: Batcher[int, int], gate: Gate) -> None:
    futures = [busy.submit(1), busy.submit(2)]
    for _ in range(2):
        gate.let.release()
    wait(futures, timeout=60)
    assert gate.batches == [[0], [1, 2]]


def test_a_full_batch_does_not_wait(gate: Gate) -> None:
    with Batcher(gate, max_batch=2, queue_size=8, max_wait_seconds=3600) as batcher:
        while batcher._idle == 0:
            threading.Event().wait(0.001)
        batcher.submit(0)
        assert gate.entered.acquire(timeout=60)
        futures = [batcher.submit(item) for item in (1, 2)]
        for _ in range(2):
            gate.let.release()
        assert [future.result(timeout=60) for future in futures] == [10, 20]


def test_an_incomplete_batch_leaves_when_its_oldest_item_has_waited_long_enough(
    busy: Batcher[int, int], gate: Gate
) -> None:
    future = busy.submit(1)
    for _ in range(2):
        gate.let.release()
    assert future.result(timeout=60) == 10


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
    assert busy.submit(3, timeout_seconds=10).result(timeout=60) == 30


def test_cancelled_items_never_reach_the_function(busy: Batcher[int, int], gate: Gate) -> None:
    gone, kept = busy.submit(1), busy.submit(2)
    assert gone.cancel()
    for _ in range(2):
        gate.let.release()
    assert kept.result(timeout=60) == 20
    assert all(1 not in batch for batch in gate.batches)


def test_an_error_reaches_every_caller_of_the_batch_and_the_worker_goes_on(gate: Gate) -> None:
    def fail_on_bad(items: list[int]) -> list[int]:
        gate(items)
        if -1 in items:
            raise ValueError("bad item")
        return items

    with Batcher(fail_on_bad, max_batch=2, queue_size=4, max_wait_seconds=3600) as batcher:
        batcher.submit(0)
        assert gate.entered.acquire(timeout=60)
        both = [batcher.submit(-1), batcher.submit(1)]
        for _ in range(3):
            gate.let.release()
        for future in both:
            with pytest.raises(ValueError, match="bad item"):
                future.result(timeout=60)
        assert batcher.submit(5, timeout_seconds=5).result(timeout=60) == 5


def test_a_wrong_number_of_results_is_an_error() -> None:
    def twice(items: list[int]) -> list[int]:
        return items + items

    with (
        Batcher(twice, max_batch=1, queue_size=1) as batcher,
        pytest.raises(HumanDetectError, match="1 items went in, 2"),
    ):
        batcher.submit(1).result(timeout=60)


def test_close_fails_what_is_queued_and_finishes_what_is_running(gate: Gate) -> None:
    batcher = Batcher(gate, max_batch=1, queue_size=5)
    running = batcher.submit(0)
    assert gate.entered.acquire(timeout=60)
    queued, cancelled = batcher.submit(1), batcher.submit(2)
    cancelled.cancel()
    closer = threading.Thread(target=batcher.close)
    closer.start()
    with pytest.raises(Closed):
        queued.result(timeout=60)
    gate.let.release()
    assert running.result(timeout=60) == 0
    closer.join(timeout=60)
    assert not closer.is_alive()
    with pytest.raises(Closed):
        batcher.submit(3)
    batcher.close()


def test_close_wakes_a_caller_that_waits_for_room(gate: Gate) -> None:
    batcher = Batcher(gate, max_batch=1, queue_size=1)
    batcher.submit(0)
    assert gate.entered.acquire(timeout=60)
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
    caller.join(timeout=60)
    assert not caller.is_alive()


LONG_SECONDS = 0.5
"""Longer than a batch may run, and less than a pause of the whole process."""


def hang(gate: Gate, *, hung_after_seconds: float = 0.01, workers: int = 1) -> Batcher[int, int]:
    return Batcher(gate, max_batch=1, queue_size=20, workers=workers, hung_after_seconds=hung_after_seconds)


def enter(batcher: Batcher[int, int], gate: Gate, item: int) -> Future[int]:
    """Submit an item and wait until its batch runs."""
    future = batcher.submit(item)
    assert gate.entered.acquire(timeout=60)
    return future


def given_up(batcher: Batcher[int, int], gate: Gate, clock: Clock, item: int) -> Future[int]:
    """Submit an item and wait until its batch has run for too long."""
    future = enter(batcher, gate, item)
    clock.now += LONG_SECONDS
    assert isinstance(future.exception(timeout=60), EngineTimeout)
    return future


def test_a_hung_batch_fails_by_itself_and_another_worker_takes_its_place(gate: Gate, clock: Clock) -> None:
    with hang(gate) as batcher:
        hung = enter(batcher, gate, 1)  # nobody submits afterwards, and nothing waits
        clock.now += LONG_SECONDS
        with pytest.raises(EngineTimeout, match=r"given up after 0\.01 s"):
            hung.result(timeout=60)
        for _ in range(2):
            gate.let.release()
        assert batcher.submit(2).result(timeout=60) == 20


def test_an_item_that_waits_behind_a_hung_batch_is_taken_when_it_is_given_up(gate: Gate, clock: Clock) -> None:
    with hang(gate) as batcher:
        hung = enter(batcher, gate, 1)
        after = batcher.submit(2)  # before the first one hangs
        clock.now += LONG_SECONDS
        assert isinstance(hung.exception(timeout=60), EngineTimeout)
        for _ in range(2):
            gate.let.release()
        assert after.result(timeout=60) == 20


def test_time_in_which_the_process_is_stopped_is_not_the_engines(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by SIGSTOP, or with the whole machine: the clock goes on, and no thread does."""
    stopped_seconds, looked = [0.0], threading.Semaphore(0)

    def monotonic() -> float:
        looked.release()
        return time.monotonic() + stopped_seconds[0]

    monkeypatch.setattr(batching, "TICK_SECONDS", 0.01)
    with hang(gate, hung_after_seconds=50) as batcher:
        slow = enter(batcher, gate, 1)
        monkeypatch.setattr(batching, "time", SimpleNamespace(monotonic=monotonic))
        assert looked.acquire(timeout=60)  # the watch does not wait for the whole time at once
        stopped_seconds[0] = 100.0
        for _ in range(10):
            assert looked.acquire(timeout=60)
        gate.let.release()
        assert slow.result(timeout=60) == 10


def test_the_watch_ends_with_the_batcher(gate: Gate) -> None:
    before = set(threading.enumerate())
    with hang(gate, hung_after_seconds=3600):
        started = set(threading.enumerate()) - before
        assert len(started) == 2
    for thread in started:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_a_worker_given_up_ends_quietly_when_its_batch_returns_at_last(gate: Gate, clock: Clock) -> None:
    with hang(gate) as batcher:
        (worker,) = batcher._workers
        hung = given_up(batcher, gate, clock, 1)
        gate.let.release()
        worker.join(timeout=60)
        assert not worker.is_alive()
        assert isinstance(hung.exception(timeout=60), EngineTimeout)
        gate.let.release()
        assert batcher.submit(3).result(timeout=60) == 30


def test_a_slow_batch_is_left_alone(gate: Gate) -> None:
    with hang(gate, hung_after_seconds=3600) as batcher:
        slow = enter(batcher, gate, 1)
        after = batcher.submit(2)
        for _ in range(2):
            gate.let.release()
        assert (slow.result(timeout=60), after.result(timeout=60)) == (10, 20)
        assert gate.batches == [[1], [2]]


def test_idle_and_good_workers_never_count_as_hung(gate: Gate, clock: Clock) -> None:
    with hang(gate, workers=2) as batcher:
        for item in range(3):
            gate.let.release()
            assert batcher.submit(item).result(timeout=60) == item * 10
            clock.now += LONG_SECONDS
            time.sleep(0.02)  # somebody might look
        assert len(batcher._workers) == 2
        assert batcher._abandoned == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_an_engine_that_keeps_hanging_is_an_overload_until_a_batch_returns(
    gate: Gate, clock: Clock, workers: int
) -> None:
    with hang(gate, workers=workers) as batcher:
        for item in range(MAX_ABANDONED + workers):
            given_up(batcher, gate, clock, item)
        with pytest.raises(Overloaded, match=f"hangs: {MAX_ABANDONED + workers} batches"):
            batcher.submit(100)
        assert batcher.is_stuck()
        clock.now += LONG_SECONDS
        assert batcher.is_stuck()  # there is no thread left for another try
        for _ in range(MAX_ABANDONED + workers + 1):
            gate.let.release()
        eventually(lambda: not batcher._abandoned)
        assert len(batcher._workers) == workers
        assert batcher.submit(101).result(timeout=60) == 1010


def test_it_is_stuck_while_every_worker_hangs_and_no_longer_when_a_batch_returns(gate: Gate, clock: Clock) -> None:
    with hang(gate, workers=2) as batcher:
        both = [enter(batcher, gate, item) for item in (1, 2)]
        assert not batcher.is_stuck()
        clock.now += LONG_SECONDS
        wait(both, timeout=60)
        assert batcher.is_stuck()
        gate.let.release()
        eventually(lambda: not batcher.is_stuck())
        gate.let.release()


def test_one_worker_that_hangs_is_not_all(gate: Gate, clock: Clock) -> None:
    with hang(gate, workers=2) as batcher:
        given_up(batcher, gate, clock, 1)
        assert not batcher.is_stuck()
        gate.let.release()


def test_it_is_stuck_for_a_while_after_a_worker_was_replaced_unless_a_batch_returns(gate: Gate, clock: Clock) -> None:
    with hang(gate) as batcher:
        given_up(batcher, gate, clock, 1)
        assert batcher.is_stuck()
        enter(batcher, gate, 2)
        assert batcher.is_stuck()  # though this batch does not hang
        gate.let.release()
        eventually(lambda: not batcher.is_stuck())
        gate.let.release()


def test_a_replaced_worker_is_given_a_chance_after_a_while(gate: Gate, clock: Clock) -> None:
    with hang(gate) as batcher:
        given_up(batcher, gate, clock, 1)
        assert batcher.is_stuck()
        clock.now += LONG_SECONDS
        assert not batcher.is_stuck()
        gate.let.release()


def test_close_fails_a_hung_batch_without_waiting_for_it(gate: Gate, clock: Clock) -> None:
    batcher = hang(gate)
    hung = enter(batcher, gate, 1)
    clock.now += LONG_SECONDS
    batcher.close()
    with pytest.raises(EngineTimeout):
        hung.result(timeout=60)
    gate.let.release()


def test_close_gives_a_running_batch_the_rest_of_its_time(gate: Gate) -> None:
    batcher = hang(gate, hung_after_seconds=3600)
    running = enter(batcher, gate, 1)
    closer = threading.Thread(target=batcher.close)
    closer.start()
    closer.join(0.02)
    assert closer.is_alive()
    gate.let.release()
    assert running.result(timeout=60) == 10
    closer.join(timeout=60)
    assert not closer.is_alive()


def test_a_caller_that_leaves_while_its_batch_runs_disturbs_nobody(gate: Gate) -> None:
    with hang(gate, hung_after_seconds=3600) as batcher:
        left = batcher.submit(1)
        assert gate.entered.acquire(timeout=60)
        assert not left.cancel()
        for _ in range(2):
            gate.let.release()
        assert batcher.submit(2).result(timeout=60) == 20


def test_without_eagerness_items_wait_for_company_though_a_worker_is_idle(clock: Clock) -> None:
    batches: list[list[int]] = []

    def note(items: list[int]) -> list[int]:
        batches.append(items)
        return items

    with Batcher(note, max_batch=3, queue_size=10, workers=2, max_wait_seconds=0.05, eager=False) as batcher:
        futures = [batcher.submit(item) for item in range(7)]
        wait(futures[:6], timeout=60)
        assert not futures[6].done()
        clock.now += 0.05
        wait(futures, timeout=60)
    assert sorted(batches) == [[0, 1, 2], [3, 4, 5], [6]]
