"""What the endpoint counts and times, in Prometheus' format; over all worker processes where there are several."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import psutil
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from humandetect.service import METRICS_FOLDER

REQUESTS = "humandetect_requests_total"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that one image spent in each stage."""

    decode: float
    queue: float
    """All waiting: for a thread, for memory, for the engine."""
    infer: float
    encode: float


class Metrics:
    """The numbers of one app. Every method but `exposition` is thread-safe and takes microseconds."""

    def __init__(self) -> None:
        # prometheus_client chooses between memory and shared files when it is imported; asking the environment
        # again here could give another answer than the one it acts on.
        self._shared = values.ValueClass is not values.MutexValue
        self._registry = registry = CollectorRegistry()
        if not self._shared:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        counter = partial(Counter, registry=registry)
        timer = partial(Histogram, buckets=SECONDS, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self._requests = counter(
            REQUESTS,
            "Requests answered; 499: the client left before its answer; route -: what never became a request.",
            ["route", "status"],
        )
        self._request_seconds = timer(
            "humandetect_request_seconds", "Time from a request's first byte to its answer's last.", ["route"]
        )
        images = counter("humandetect_images_total", "Images by outcome.", ["outcome"])
        self._good_images, self._bad_images = images.labels("ok"), images.labels("bad")
        self._people = counter("humandetect_people_total", "People found.")
        stages = timer("humandetect_stage_seconds", "Time of one image in each stage.", ["stage"])
        self._stages = {stage.name: stages.labels(stage.name) for stage in fields(Timings)}
        self._batch_size = Histogram(
            "humandetect_batch_size", "Images per call of the engine.", buckets=BATCH_SIZES, registry=registry
        )
        self._under_way = gauge(
            "humandetect_images_under_way", "Images being worked on or waiting for it.", multiprocess_mode="livesum"
        )
        self._under_way.set(0)  # a dead worker's file, met again by a worker that got the same process id, may say more
        self._model = gauge(
            "humandetect_model_info", "The model and the engine that runs it.", ["model", "version", "engine"],
            multiprocess_mode="livemax",
        )  # fmt: skip

    def request(self, *, route: str, status: int, seconds: float) -> None:
        """Count a finished request. `route` must come from a bounded set: each makes series of its own."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def image(self, *, people: int, timings: Timings) -> None:
        """Count an image that was answered."""
        self._good_images.inc()
        self._people.inc(people)
        for stage, histogram in self._stages.items():
            histogram.observe(getattr(timings, stage))

    def bad_image(self) -> None:
        """Count an image that was refused."""
        self._bad_images.inc()

    def batch(self, size: int) -> None:
        """Count a call of the engine."""
        self._batch_size.observe(size)

    def queue_changed(self, by: int) -> None:
        """Count images in (positive) or out (negative)."""
        self._under_way.inc(by)

    def model(self, *, name: str, version: str, engine: str) -> None:
        """Say what is running."""
        self._model.labels(name, version, engine).set(1)

    def exposition(self) -> tuple[bytes, str]:
        """Return what Prometheus scrapes, and its content type."""
        if not self._shared:
            return generate_latest(self._registry), CONTENT_TYPE_LATEST
        folder = Path(os.environ[METRICS_FOLDER])
        _forget_the_dead(folder)
        return generate_latest(_all_workers(folder)), CONTENT_TYPE_LATEST


def requests_counted(folder: Path) -> int:
    """Return how many requests all workers that share a folder have answered, those that ended among them."""
    samples = (sample for metric in _all_workers(folder).collect() for sample in metric.samples)
    return int(sum(sample.value for sample in samples if sample.name == REQUESTS))


def _all_workers(folder: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return registry


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of workers that ended; what they counted stays counted."""
    pids = {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}
    for pid in pids:
        if not _is_alive(pid):
            try:
                mark_process_dead(pid)  # type: ignore[no-untyped-call]
            except FileNotFoundError:  # another worker, scraped at the same time, was quicker
                continue


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
