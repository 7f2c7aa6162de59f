"""An engine under load without HTTP: a process that keeps it busy with pictures that are decoded already."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from humandetect.bench.load_process import obey
from humandetect.bench.samples import ReportedPeople, Sample, WindowSamples
from humandetect.bench.workload import MAX_MEGAPIXELS
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.errors import HumanDetectError
from humandetect.media.frames import people_in
from humandetect.media.images import decode_image
from humandetect.wire import ModelUsed

if TYPE_CHECKING:
    from humandetect.bench.loads import WindowPlan
    from humandetect.bench.schedule import Schedule
    from humandetect.config import EngineConfig


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """What is loaded and what it is given. It is sent to the engine's process ahead of the plans of windows."""

    config: EngineConfig
    score: float | None
    pictures: tuple[bytes, ...]


class EngineLoad:
    """Answers windows of load with its own engine."""

    def __init__(self, setup: EngineSetup) -> None:
        self._detector = Detector(load_engine(setup.config), score=setup.score)
        self._images = [decode_image(data, max_megapixels=MAX_MEGAPIXELS) for data in setup.pictures]
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._closed = False
        info = self._detector.info
        self.greeting = ModelUsed(name=info.name, version=info.version, engine=info.engine, score=self._detector.score)

    def __call__(self, plan: WindowPlan) -> WindowSamples:
        """Do one window of load and return what came of it."""
        schedule, reported, samples = plan.begin(), ReportedPeople(), list[Sample]()
        cpu = time.process_time()
        with ThreadPoolExecutor(plan.load.concurrency) as threads:
            jobs = [
                threads.submit(self._work, schedule, plan.load.batch, reported, samples)
                for _ in range(plan.load.concurrency)
            ]
        for job in jobs:
            job.result()
        return WindowSamples.of(samples, schedule, reported, cpu_seconds=time.process_time() - cpu)

    def close(self) -> None:
        """End the window under way, and the engine with all that it has started."""
        self._closed = True
        self._detector.close()

    def _work(self, schedule: Schedule, batch: int, reported: ReportedPeople, samples: list[Sample]) -> None:
        while not self._closed:
            with self._lock:
                due = schedule.due()
                start = next(self._numbers) * max(1, batch // 2)
            if due is None:
                return
            time.sleep(max(0.0, due - time.perf_counter()))
            sample = self._sample(due, [(start + index) % len(self._images) for index in range(batch)], reported)
            with self._lock:
                samples.append(sample)
                schedule.answered(sample.ended)

    def _sample(self, due: float, indices: list[int], reported: ReportedPeople) -> Sample:
        images = [self._images[index] for index in indices]
        try:
            rows = self._detector.infer([self._detector.prepare(image) for image in images])
        except HumanDetectError as error:
            return Sample(due, time.perf_counter(), len(images), type(error).__name__)
        found = [self._detector.people(row, image.shape[:2]) for row, image in zip(rows, images, strict=True)]
        ended = time.perf_counter()
        people = [[{"box": one.box, "score": one.score} for one in people_in(detections)] for detections in found]
        with self._lock:
            numbers = tuple(reported.number(index, who) for index, who in zip(indices, people, strict=True))
        return Sample(due, ended, len(images), reported=numbers)


if __name__ == "__main__":
    obey(EngineLoad)
