"""From a version's folder to what answers: session, measuring, batching, warm-up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from humandetect.model_server import serving_metrics as names
from humandetect.model_server.batch_scheduler import BatchingRunner
from humandetect.model_server.servable import Servable, load_session
from humandetect.model_server.warmup import warm_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from humandetect.model_server.batch_scheduler import BatchScheduler
    from humandetect.model_server.servable import Runner
    from humandetect.model_server.serving_metrics import ServingMetrics


@dataclass(frozen=True, slots=True)
class MeasuredRunner:
    """Runs a graph and notes how long it took."""

    model: str
    runner: Runner
    metrics: ServingMetrics

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_seconds: float | None
    ) -> list[NDArray[Any]]:
        begun = time.monotonic()
        arrays = self.runner.run(feeds, fetches, timeout_seconds)
        elapsed = (time.monotonic() - begun) * 1e6
        self.metrics.observe(names.RUNTIME_LATENCY, elapsed, model_name=self.model, API="Predict", runtime="TF1")
        return arrays

    def close(self) -> None:
        self.runner.close()


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads versions; raises ServingError for those that cannot be served."""

    metrics: ServingMetrics
    scheduler: BatchScheduler | None

    def __call__(self, model: str, version: Path) -> Servable:
        session, signatures = load_session(version)
        runner: Runner = MeasuredRunner(model, session, self.metrics)
        if self.scheduler is not None:
            runner = BatchingRunner(model, runner, self.scheduler, self.metrics)
        servable = Servable(signatures, runner)
        try:
            seconds = warm_up(servable, version)
        except BaseException:
            runner.close()
            raise
        if seconds is not None:
            self.metrics.observe(names.WARMUP_LATENCY, seconds * 1e6, model_path=str(version), status="OK")
        return servable
