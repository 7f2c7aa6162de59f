"""Which loads there are, and which answers count."""

from __future__ import annotations

import time
from typing import Any

import pytest

from humandetect.bench.loads import Load, WindowPlan, is_late, loads
from humandetect.config import BenchConfig
from humandetect.errors import UsageError


def test_a_run_has_batches_and_single_images() -> None:
    assert loads(BenchConfig()) == [Load("batch", 16, 20), Load("stream", 1, 20)]


def test_batches_of_one_are_single_images() -> None:
    assert loads(BenchConfig(batch=1, concurrency=3)) == [Load("stream", 1, 3)]


def test_a_sweep_goes_through_the_classic_concurrencies() -> None:
    swept = [(load.mode, load.concurrency) for load in loads(BenchConfig(sweep=True))]
    assert swept == [("batch", n) for n in (1, 5, 10, 20)] + [("stream", n) for n in (1, 20, 40, 160)]


@pytest.mark.parametrize(
    ("options", "rounds", "spent_seconds", "late"),
    [
        ({}, 0, 0.0, False),
        ({}, 3, 3 * 20.0, False),
        ({}, 3, 3 * 40.0, True),  # a fourth would end after 160 s
        ({}, 1, 100.0, True),  # slow cores: two such loads and three starts fill five minutes
        ({"window_seconds": 60.0}, 2, 2 * 180.0, False),  # that was asked for
        ({"requests": 100}, 2, 2 * 100.0, False),
        ({"requests": 100}, 3, 3 * 100.0, True),
    ],
)
def test_a_run_ends_in_time_however_slow_the_answers_are(
    options: dict[str, Any], rounds: int, spent_seconds: float, late: bool
) -> None:
    assert is_late(BenchConfig(**options), targets=3, rounds=rounds, spent_seconds=spent_seconds) == late


@pytest.mark.parametrize(
    "options",
    [
        {"urls": ("http://127.0.0.1:1",), "engines": ("openvino",)},
        {"urls": ("http://127.0.0.1:1",), "target": "engine"},
        {"concurrency": 0},
        {"batch": 0},
        {"rate": 0.0},
        {"rate": 5.0, "sweep": True},
        {"requests": 0},
        {"window_seconds": 0.0},
        {"windows": 0},
        {"score": 2.0},
        {"timeout_seconds": 0.0},
        {"api_key": ""},
    ],
)
def test_a_run_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BenchConfig(**options)


def test_an_open_loop_is_due_by_the_clock_whatever_the_answers_do() -> None:
    schedule = WindowPlan(Load("stream", 1, 2, rate=100.0), seconds=0.05).begin()
    due = [schedule.due() for _ in range(6)]
    assert due[5] is None
    assert [round((moment or 0) - schedule.began, 6) for moment in due[:5]] == [0.0, 0.01, 0.02, 0.03, 0.04]


def test_so_many_requests_are_so_many_requests() -> None:
    schedule = WindowPlan(Load("stream", 1, 2), seconds=9.0, requests=3).begin()
    due = [schedule.due() for _ in range(4)]
    assert due.pop() is None
    assert None not in due
    assert schedule.counts(time.perf_counter())
