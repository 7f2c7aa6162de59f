"""The figures of a load are those of its last windows, and say what is not known."""

from __future__ import annotations

from collections import Counter

from humandetect.bench.load_process import LoadProcess
from humandetect.bench.loads import Load
from humandetect.bench.measurement import Measurement
from humandetect.bench.targets import Target
from humandetect.bench.windows import Window


def measurement(*windows: Window) -> Measurement:
    worker = LoadProcess.__new__(LoadProcess)  # never asked
    return Measurement(Load("stream", 1, 2), Target("a", worker), list(windows))


def window(*latencies: float, errors: Counter[str] | None = None) -> Window:
    count = len(latencies)
    return Window(1.0, count, count, latencies, errors or Counter(), count)


def test_percentiles_are_latencies_that_were_measured() -> None:
    made = measurement(window(9.0), *(window(0.1, 0.2, 0.3) for _ in range(2)), window(0.1, 0.2, 0.3, 0.4)).figures()
    assert (made.p50_ms, made.p90_ms, made.p99_ms) == (200.0, 300.0, 400.0)
    assert made.images_per_second == 3.333


def test_where_nobody_answered_no_latency_is_known() -> None:
    made = measurement(window(errors=Counter({"timeout": 2})))
    assert made.figures().p50_ms is None
    assert list(made.warnings()) == ["a, stream 2 x 1: 2 x timeout"]


def test_windows_that_lie_apart_are_called_unstable() -> None:
    (warning,) = measurement(window(0.1), window(0.1), window(0.1, 0.1)).warnings()
    assert "unstable, the last 3 windows lie 100% apart" in warning
