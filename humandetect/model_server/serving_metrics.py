"""Counters and histograms under TensorFlow Serving's names, in Prometheus' text form.

Not by prometheus-client: it ends every counter's name in _total, and dashboards for TensorFlow Serving know none.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field

PREFIX = ":tensorflow:serving:"
MICROSECONDS = tuple(10 * 1.8**power for power in range(33))
ROWS = tuple(float(2**power) for power in range(17))

REQUESTS, REQUEST_LATENCY, RUNTIME_LATENCY = "request_count", "request_latency", "runtime_latency"
WARMUP_LATENCY = "model_warmup_latency"
RUNS, QUEUING_LATENCY = "batching_session:wrapped_run_count", "batching_session:queuing_latency"
INPUT_BATCH, PADDING, PROCESSED_BATCH = (
    f"batching_session:{name}" for name in ("input_batch_size", "padding_size", "processed_batch_size")
)
COUNTERS = (REQUESTS, RUNS)
HISTOGRAMS = {
    REQUEST_LATENCY: MICROSECONDS, RUNTIME_LATENCY: MICROSECONDS, WARMUP_LATENCY: MICROSECONDS,
    QUEUING_LATENCY: MICROSECONDS, INPUT_BATCH: ROWS, PADDING: ROWS, PROCESSED_BATCH: ROWS,
}  # fmt: skip

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class ServingMetrics:
    """Counts what is counted; thread-safe."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counters: dict[str, dict[Labels, int]] = field(default_factory=lambda: {name: {} for name in COUNTERS})
    _histograms: dict[str, dict[Labels, _Histogram]] = field(default_factory=lambda: {name: {} for name in HISTOGRAMS})

    def count(self, name: str, **labels: str) -> None:
        key = tuple(labels.items())
        with self._lock:
            series = self._counters[name]
            series[key] = series.get(key, 0) + 1

    def observe(self, name: str, value: float, **labels: str) -> None:
        key, bounds = tuple(labels.items()), HISTOGRAMS[name]
        with self._lock:
            histogram = self._histograms[name].setdefault(key, _Histogram([0] * (len(bounds) + 1)))
            histogram.counts[bisect_left(bounds, value)] += 1
            histogram.total += value

    def text(self) -> str:
        lines = []
        with self._lock:
            for name, series in self._counters.items():
                lines.append(f"# TYPE {PREFIX}{name} counter")
                lines += [f"{PREFIX}{name}{_braces(labels)} {value}" for labels, value in series.items()]
            for name, histograms in self._histograms.items():
                lines.append(f"# TYPE {PREFIX}{name} histogram")
                for labels, histogram in histograms.items():
                    lines += _histogram_lines(PREFIX + name, labels, histogram, HISTOGRAMS[name])
        return "\n".join(lines) + "\n"


def _histogram_lines(name: str, labels: Labels, histogram: _Histogram, bounds: tuple[float, ...]) -> list[str]:
    lines, seen = [], 0
    for bound, count in zip([*(f"{bound:g}" for bound in bounds), "+Inf"], histogram.counts, strict=True):
        seen += count
        lines.append(f"{name}_bucket{_braces((*labels, ('le', bound)))} {seen}")
    return [*lines, f"{name}_sum{_braces(labels)} {histogram.total:g}", f"{name}_count{_braces(labels)} {seen}"]


def _braces(labels: Labels) -> str:
    escaped = ((name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels)
    inside = ",".join(f'{name}="{value}"' for name, value in escaped)
    return f"{{{inside}}}" if inside else ""
