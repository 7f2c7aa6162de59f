"""Rows of several requests in one run, and what can go wrong with that."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from humandetect.errors import ServerError
from humandetect.model_server.batch_scheduler import BatchingRunner, BatchScheduler
from humandetect.model_server.batching_parameters import BatchingParameters, read_batching_parameters
from humandetect.model_server.serving_metrics import RUNS, ServingMetrics
from humandetect.model_server.status import ServingError
from tests.model_server import served_models as models
from tests.model_server.started import config_text, predict_request, serving
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CODE = grpc.StatusCode


class Doubler:
    """y = 2 x; remembers what it was given, waits at its gate, and may answer with other rows."""

    def __init__(self, more_rows: int = 0) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.given: list[Any] = []
        self.timeouts: list[float | None] = []
        self.closed = False
        self._more_rows = more_rows

    def run(self, feeds: Any, fetches: Any, timeout_seconds: float | None) -> list[Any]:
        self.given.append(feeds["x"])
        self.timeouts.append(timeout_seconds)
        assert self.gate.wait(20)
        doubled = feeds["x"] * 2
        return [np.concatenate([doubled, doubled[: self._more_rows]])]

    def close(self) -> None:
        self.closed = True


@contextmanager
def batched(doubler: Doubler, **parameters: Any) -> Iterator[BatchingRunner]:
    metrics = ServingMetrics()
    scheduler = BatchScheduler(BatchingParameters(num_batch_threads=1, **parameters), metrics)
    runner = BatchingRunner("m", doubler, scheduler, metrics)
    try:
        yield runner
    finally:
        doubler.gate.set()
        runner.close()
        scheduler.close()


@contextmanager
def busy(doubler: Doubler, runner: BatchingRunner, pool: ThreadPoolExecutor) -> Iterator[Future[Any]]:
    """Keep the only thread at the gate meanwhile."""
    doubler.gate.clear()
    first = pool.submit(ask, runner, [0.0])
    eventually(lambda: doubler.given)
    yield first
    doubler.gate.set()


def ask(runner: BatchingRunner, rows: Any, timeout: float | None = 20) -> list[Any]:
    return runner.run({"x": np.asarray(rows)}, ["y"], timeout)[0].tolist()  # type: ignore[no-any-return]


def code_of(call: Callable[[], object]) -> tuple[Any, str]:
    with pytest.raises(ServingError) as caught:
        call()
    return caught.value.code, caught.value.message


def waiting(runner: BatchingRunner) -> list[int]:
    return [batch.rows for queue in runner._queues.values() for batch in queue.batches]


def test_requests_that_wait_together_run_together_and_get_their_own_rows() -> None:
    doubler = Doubler()
    with batched(doubler) as runner, ThreadPoolExecutor(8) as pool:
        with busy(doubler, runner, pool) as first:
            others = [pool.submit(ask, runner, [float(n), -float(n)]) for n in range(1, 6)]
            eventually(lambda: waiting(runner) == [10])
        assert first.result() == [0.0]
        assert [other.result() for other in others] == [[2.0 * n, -2.0 * n] for n in range(1, 6)]
        assert [len(rows) for rows in doubler.given] == [1, 10]


def test_a_batch_that_is_not_full_waits_for_its_time_and_no_longer() -> None:
    doubler = Doubler()
    with batched(doubler, max_batch_size=2, batch_timeout_micros=300_000) as runner, ThreadPoolExecutor(2) as pool:
        begun = time.monotonic()
        assert ask(runner, [1.0]) == [2.0]
        assert time.monotonic() - begun >= 0.3
        begun = time.monotonic()
        assert list(pool.map(lambda _: ask(runner, [1.0]), range(2))) == [[2.0], [2.0]]
        assert [len(rows) for rows in doubler.given] == [1, 2]


def test_a_full_queue_is_unavailable() -> None:
    doubler = Doubler()
    with (
        batched(doubler, max_batch_size=2, max_enqueued_batches=2) as runner,
        ThreadPoolExecutor(8) as pool,
        busy(doubler, runner, pool),
    ):
        for count in range(1, 3):
            pool.submit(ask, runner, [1.0, 2.0])
            eventually(lambda count=count: len(waiting(runner)) == count)  # type: ignore[misc]
        assert code_of(lambda: ask(runner, [3.0])) == (
            CODE.UNAVAILABLE,
            (
                "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued "
                "and max_enqueued_batches is 2"
            ),
        )


@pytest.mark.parametrize(
    ("rows", "code", "text"),
    [
        (np.zeros(9), CODE.INVALID_ARGUMENT, "Task size 9 is larger than maximum input batch size 8"),
        (np.zeros(()), CODE.INVALID_ARGUMENT, "Batching Run() input tensors must have at least one dimension"),
    ],
)
def test_what_cannot_be_batched_is_refused(rows: Any, code: Any, text: str) -> None:
    with batched(Doubler(), max_batch_size=8) as runner:
        assert code_of(lambda: ask(runner, rows)) == (code, text)


def test_inputs_must_have_as_many_rows_as_each_other() -> None:
    with batched(Doubler()) as runner:
        code, text = code_of(lambda: runner.run({"x": np.zeros(2), "z": np.zeros(3)}, ["y"], None))
        assert (code, text) == (
            CODE.INVALID_ARGUMENT, "Batching Run() input tensors must have equal 0th-dimension size",
        )  # fmt: skip


def test_outputs_must_have_as_many_rows_as_inputs() -> None:
    with batched(Doubler(more_rows=1)) as runner:
        code, text = code_of(lambda: ask(runner, [1.0]))
        assert code == CODE.FAILED_PRECONDITION
        assert text.startswith("Batched output tensor's 0th dimension does not equal the sum of")


def test_rows_of_other_shapes_need_padding() -> None:
    doubler = Doubler()
    with batched(doubler) as runner, ThreadPoolExecutor(8) as pool:
        with busy(doubler, runner, pool):
            answers = [pool.submit(ask, runner, rows) for rows in ([[1.0, 2.0]], [[1.0, 2.0, 3.0]])]
            eventually(lambda: waiting(runner) == [2])
        for answer in answers:
            code, text = code_of(answer.result)
            assert code == CODE.FAILED_PRECONDITION
            assert "have different shapes and padding is turned off" in text


def test_padding_fills_with_the_first_element() -> None:
    doubler = Doubler()
    with batched(doubler, pad_variable_length_inputs=True) as runner, ThreadPoolExecutor(8) as pool:
        with busy(doubler, runner, pool):
            short = pool.submit(ask, runner, [[7.0, 2.0]])
            eventually(lambda: waiting(runner) == [1])
            long = pool.submit(ask, runner, [[1.0, 2.0, 3.0]])
            eventually(lambda: waiting(runner) == [2])
        assert short.result() == [[14.0, 4.0, 14.0]]
        assert long.result() == [[2.0, 4.0, 6.0]]


def test_batches_grow_to_an_allowed_size_by_the_last_request_s_first_row() -> None:
    doubler = Doubler()
    with batched(doubler, max_batch_size=8, allowed_batch_sizes=(4, 8)) as runner:
        assert ask(runner, [5.0, 6.0, 7.0]) == [10.0, 12.0, 14.0]
        assert doubler.given[0].tolist() == [5.0, 6.0, 7.0, 5.0]


def test_large_requests_are_split_where_that_is_allowed() -> None:
    doubler = Doubler()
    with batched(
        doubler, max_batch_size=8, enable_large_batch_splitting=True, max_execution_batch_size=3
    ) as runner:  # fmt: skip
        assert ask(runner, np.arange(8.0)) == [2.0 * n for n in range(8)]
        assert [len(rows) for rows in doubler.given] == [3, 3, 2]


def test_a_deadline_in_mid_batch_harms_only_its_own_request() -> None:
    doubler = Doubler()
    with batched(doubler, max_batch_size=2) as runner, ThreadPoolExecutor(8) as pool:
        with busy(doubler, runner, pool) as first:
            impatient = pool.submit(ask, runner, [1.0], 0.1)
            eventually(lambda: waiting(runner) == [1])
            patient = pool.submit(ask, runner, [2.0], None)
            eventually(lambda: waiting(runner) == [2])
            assert code_of(impatient.result)[0] == CODE.DEADLINE_EXCEEDED
        assert first.result() == [0.0]
        assert patient.result() == [4.0]
        assert doubler.given[1].tolist() == [2.0]  # the expired one was left out
        assert doubler.timeouts[1] is None


def test_types_are_never_mixed() -> None:
    doubler = Doubler()
    with batched(doubler) as runner, ThreadPoolExecutor(8) as pool:
        with busy(doubler, runner, pool):
            answers = [pool.submit(ask, runner, rows) for rows in (np.ones(1, np.int32), np.ones(1, np.float32))]
            eventually(lambda: waiting(runner) == [1, 1] or waiting(runner) == [0, 1, 1])
        assert [answer.result() for answer in answers] == [[2], [2.0]]
        assert {array.dtype.name for array in doubler.given} == {"float64", "int32", "float32"}


def test_an_error_reaches_every_request_of_the_batch_and_the_thread_goes_on() -> None:
    class Fragile(Doubler):
        def run(self, feeds: Any, fetches: Any, timeout_seconds: float | None) -> list[Any]:
            answer = super().run(feeds, fetches, timeout_seconds)
            if 13.0 in feeds["x"]:
                raise RuntimeError("bad luck")
            return answer

    doubler = Fragile()
    with batched(doubler) as runner, ThreadPoolExecutor(8) as pool:
        with busy(doubler, runner, pool):
            answers = [pool.submit(ask, runner, [rows]) for rows in (13.0, 1.0)]
            eventually(lambda: waiting(runner) == [2])
        for answer in answers:
            assert code_of(answer.result) == (CODE.INTERNAL, "RuntimeError('bad luck')")
        assert ask(runner, [2.0]) == [4.0]


def test_the_standard_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "batching.txt"
    path.write_text(
        "max_batch_size { value: 16 }\nbatch_timeout_micros { value: 2000 }\nmax_enqueued_batches { value: 50 }\n"
        'num_batch_threads { value: 3 }\nthread_pool_name { value: "mine" }\nallowed_batch_sizes: 4\n'
        "allowed_batch_sizes: 16  # the largest\npad_variable_length_inputs: true\n"
    )
    assert read_batching_parameters(path) == BatchingParameters(
        max_batch_size=16, batch_timeout_micros=2000, max_enqueued_batches=50, num_batch_threads=3,
        allowed_batch_sizes=(4, 16), pad_variable_length_inputs=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\nmax_batch { value: 1 }", ", line 2: unknown field max_batch, expected .*max_batch_size"),
        ("max_batch_size: 1", ', line 1: .*Expected "{"'),
        ("max_batch_size { value: 1.5 }", ", line 1: .*Couldn't parse integer: 1.5"),
        ("max_batch_size { value: -1 }", ": max_batch_size must be at least 1, got -1"),
        ("batch_timeout_micros { value: -1 }", ": batch_timeout_micros must be at least 0, got -1"),
        ("max_batch_size { value: 0 }", ": max_batch_size must be at least 1, got 0"),
        ("pad_variable_length_inputs: maybe", ', line 1: .*Expected "true" or "false"'),
        ("allowed_batch_sizes { value: 1 }", ', line 1: .*Expected ":"'),
        ("allowed_batch_sizes: 4", ": allowed_batch_sizes must increase and end with 1000"),
        ("max_batch_size {", ', line 1: Expected "}"'),
    ],
)
def test_a_bad_file_is_an_error_with_line_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "batching.txt"
    path.write_text(text)
    with pytest.raises(ServerError, match=f"^{path}{reason}"):
        read_batching_parameters(path)


def test_clients_share_runs_of_the_graph(tmp_path: Path) -> None:
    models.half_plus(tmp_path / "half" / "1", 2)
    (tmp_path / "models.config").write_text(config_text({"half": tmp_path / "half"}))
    (tmp_path / "batching.txt").write_text("batch_timeout_micros { value: 50000 } max_batch_size { value: 16 }")
    with serving(
        tmp_path / "models.config", enable_batching=True, batching_parameters=tmp_path / "batching.txt", rest_port=0
    ) as client:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: client.predict("half", x=[float(n)])["y"][0], range(64)))
        assert answers == [n / 2 + 2 for n in range(64)]
        with pytest.raises(grpc.RpcError, match="Task size 17 is larger than maximum input batch size 16"):
            client.ask("half", x=np.zeros(17))
        with pytest.raises(grpc.RpcError, match="Expects arg"):
            client.prediction.Predict(predict_request("half", x=np.array([1], np.int32)), timeout=20)
        assert 0 < runs(client.rest, "half") <= 64 / 4


@pytest.mark.parametrize("seconds", [None, 3e8, 20])
def test_a_call_may_have_no_deadline_or_a_far_one(tmp_path: Path, seconds: float | None) -> None:
    import httpx

    models.half_plus(tmp_path / "half" / "1", 2)
    (tmp_path / "models.config").write_text(config_text({"half": tmp_path / "half"}))
    with serving(tmp_path / "models.config", enable_batching=True, rest_port=0) as client:
        assert list(client.ask("half", timeout=seconds, x=[1.0]).outputs["y"].float_val) == [2.5]
        url = f"http://{client.rest}/v1/models/half:predict"
        assert httpx.post(url, json={"instances": [1.0]}, timeout=seconds).json() == {"predictions": [2.5]}


def test_a_time_that_is_longer_than_threads_can_wait_harms_no_other_request() -> None:
    doubler = Doubler()
    with batched(doubler, max_batch_size=2, batch_timeout_micros=2**62) as runner, ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, runner, [1.0], None)
        eventually(lambda: waiting(runner) == [1])
        time.sleep(0.1)  # the thread begins to wait
        assert ask(runner, [2.0]) == [4.0]
        assert first.result(20) == [2.0]


def runs(address: str | None, model: str) -> float:
    import httpx

    text = httpx.get(f"http://{address}/monitoring/prometheus/metrics").text
    line = f':tensorflow:serving:{RUNS}{{model_name="{model}"}} '
    return next(float(found.removeprefix(line)) for found in text.splitlines() if found.startswith(line))
