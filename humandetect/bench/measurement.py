"""One load on one target while it is measured: its windows so far, and what they cost."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from humandetect.bench.figures import Figures, rounded
from humandetect.bench.usage import watched
from humandetect.bench.windows import AGREEING, WRONG, judge, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.bench.loads import Load, WindowPlan
    from humandetect.bench.samples import WindowSamples
    from humandetect.bench.targets import StageTimes, Target
    from humandetect.bench.windows import Window
    from humandetect.bench.workload import ReferencePeople

PERCENTS = (50, 90, 95, 99)


@dataclass
class Measurement:
    """What is known of one load on one target."""

    load: Load
    target: Target
    windows: list[Window] = field(default_factory=list)
    cpu_seconds: float = 0.0
    all_images: int = 0
    client_cpu_seconds: float = 0.0
    busy_seconds: float = 0.0
    peak_memory_mb: float | None = None
    stages: StageTimes = field(default_factory=dict)
    """Seconds and images of this load alone."""

    def take_window(self, plan: WindowPlan, reference: ReferencePeople) -> None:
        """Send a window of load and add what came of it. Raises HumanDetectError and psutil.NoSuchProcess."""
        before = self.target.stages()
        began = time.perf_counter()
        samples = self._send(plan)
        self.busy_seconds += time.perf_counter() - began
        self._add_stages(before, self.target.stages())
        window = judge(samples, reference)
        self.windows.append(window)
        self.all_images += window.all_images
        self.client_cpu_seconds += samples.client_cpu_seconds

    def figures(self) -> Figures:
        last = self.windows[-AGREEING:]
        seconds = sum(window.seconds for window in last)
        requests = sum(window.requests for window in last)
        good = sum(window.good_images for window in last)
        p50, p90, p95, p99 = _percentiles_ms([latency for window in last for latency in window.latencies])
        knows_cpu = self.target.pid is not None and self.all_images > 0
        apart = spread(self.windows)
        return Figures(
            target=self.target.name,
            mode=self.load.mode,
            batch=self.load.batch,
            concurrency=self.load.concurrency,
            rate=self.load.rate,
            images_per_second=rounded(good / seconds if seconds else 0.0),
            requests_per_second=rounded(requests / seconds if seconds else 0.0),
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            requests=requests,
            good_images=good,
            errors=dict(sum((window.errors for window in self.windows), Counter[str]())),
            windows_images_per_second=[rounded(window.images_per_second) for window in self.windows],
            spread=None if apart is None else min(round(apart, 4), 1e6),  # JSON has no infinity
            cpu_ms_per_image=rounded(self.cpu_seconds / self.all_images * 1000) if knows_cpu else None,
            peak_memory_mb=self.peak_memory_mb,
            stages_ms_per_image={
                stage: rounded(spent / images * 1000) for stage, (spent, images) in self.stages.items() if images
            },
            client_cpu_share=rounded(self.client_cpu_seconds / self.busy_seconds if self.busy_seconds else 0.0),
        )

    def warnings(self) -> Iterator[str]:
        """Yield why its figures are not to be trusted."""
        figures = self.figures()
        where = f"{figures.target}, {self.load.name}"
        if figures.spread is not None and not figures.stable:
            yield f"{where}: unstable, the last {AGREEING} windows lie {figures.spread:.0%} apart"
        if figures.errors:
            yield f"{where}: {figures.kinds_of_errors}"
        if WRONG in figures.errors:
            yield f"{where}: answers with wrong people do not count"

    def _send(self, plan: WindowPlan) -> WindowSamples:
        if self.target.pid is None:
            return self.target.send(plan)
        with watched(self.target.pid) as usage:
            samples = self.target.send(plan)
        self.cpu_seconds += usage.cpu_seconds
        self.peak_memory_mb = round(max(self.peak_memory_mb or 0.0, usage.peak_memory_mb), 1)
        self.target.peak_memory_mb = max(self.target.peak_memory_mb or 0.0, usage.peak_memory_mb)
        return samples

    def _add_stages(self, before: StageTimes, after: StageTimes) -> None:
        for stage, now in after.items():
            total, earlier = self.stages.get(stage, (0.0, 0.0)), before.get(stage, (0.0, 0.0))
            self.stages[stage] = total[0] + now[0] - earlier[0], total[1] + now[1] - earlier[1]


def _percentiles_ms(latencies: Sequence[float]) -> list[float | None]:
    """Return for each percentage the smallest latency that so many percent do not exceed; None: nobody answered."""
    if not latencies:
        return [None] * len(PERCENTS)
    exact = np.percentile(latencies, PERCENTS, method="inverted_cdf")
    return [rounded(float(seconds) * 1000) for seconds in exact]
