"""One run of `bench`: loads, one after the other, on all targets in turn, until the figures agree."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from humandetect.bench.comparison import check_comparable, check_matching
from humandetect.bench.figures import BenchInterrupted, BenchReport, BenchSetting, now, target_figures
from humandetect.bench.forecast import Forecast
from humandetect.bench.loads import Load, WindowPlan, is_late, loads
from humandetect.bench.measurement import Measurement
from humandetect.bench.targets import Target, engines_of, open_targets
from humandetect.bench.usage import gpu_memory_mb
from humandetect.bench.windows import AGREEING, agree
from humandetect.bench.workload import ReferencePeople, Workload, find_reference, read_pictures
from humandetect.config.commands import command_line
from humandetect.errors import HumanDetectError, UsageError
from humandetect.models.find import find_model

if TYPE_CHECKING:
    from humandetect.config import BenchConfig

logger = logging.getLogger(__name__)


class BenchObserver:
    """Is told how far a run is, and does nothing about it."""

    def say(self, what: str) -> None:
        """Take what is being done now, for a time that nobody knows."""

    def begin_window(self, what: str, *, number: int, windows: int, seconds_left: float) -> None:
        """Take which window of how many begins, and how long the run still takes, as far as both are known."""

    def end_window(self, images_per_second: float) -> None:
        """Take the outcome of a window."""

    def stop(self) -> None:
        """The run is over, whichever way."""


def run(
    config: BenchConfig,
    *,
    progress: BenchObserver | None = None,
    stop: threading.Event | None = None,
    old: BenchReport | None = None,
) -> BenchReport:
    """Measure and return the figures. Raises BenchInterrupted, with those there are, on Ctrl-C or `stop`.

    With `old`, a report to compare with, a run that cannot be compared ends before it has measured: UsageError.
    """
    bench = _Benchmark(config, progress or BenchObserver(), stop or threading.Event(), old)
    try:
        bench.run()
    except KeyboardInterrupt:
        raise BenchInterrupted(bench.report(interrupted=True)) from None
    finally:
        bench.progress.stop()
    return bench.report(interrupted=False)


@dataclass
class _Benchmark:
    config: BenchConfig
    progress: BenchObserver
    stop: threading.Event
    old: BenchReport | None
    pictures: Workload | None = None
    reference: ReferencePeople | None = None
    targets: list[Target] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    began_at: str = field(default_factory=now)

    def run(self) -> None:
        find_model(self.config.engine.model, self.config.engine.models_dir)  # whoever is measured: the reference has it
        plan = loads(self.config)
        if self.old is not None and not self.config.urls:  # it costs nothing yet: servers take a while to start
            check_matching(self.old, engines_of(self.config), plan)
        self._say("reading pictures")
        self.pictures = read_pictures(self.config.images)
        with open_targets(self.config, self.pictures, say=self._say) as (targets, left_out):
            self.targets, self.left_out = targets, left_out
            self._say("finding the people that must be found")
            score = _common_score(targets, self.config)
            began = time.perf_counter()
            self.reference = find_reference(self.pictures, self.config.engine, score=score)
            seconds_per_image = (time.perf_counter() - began) / len(self.pictures.data)
            _check_models(targets, self.reference)
            if self.old is not None:
                check_comparable(self.old, self.report(interrupted=False))
                check_matching(self.old, [target.name for target in targets], plan)
            forecast = Forecast(self.config, plan, targets=len(targets), seconds_per_image=seconds_per_image)
            for load in plan:
                self._measure(load, self.reference, forecast)
            for target in targets:
                if target.pid is not None:
                    target.gpu_memory_mb = gpu_memory_mb(target.pid)

    def report(self, *, interrupted: bool) -> BenchReport:
        pictures = self.pictures or Workload(self.config.images, ())
        known = self.reference
        warnings = [warning for measurement in self.measurements for warning in measurement.warnings()]
        silent = [target.name for target in self.targets if target.model is None]
        return BenchReport(
            setting=BenchSetting(
                pictures=pictures.digest,
                model=known.model if known else "",
                model_version=known.version if known else "",
                score=round(known.score, 4) if known else 0.0,
            ),
            images=pictures.name,
            image_count=len(pictures.data),
            image_mean_kb=round(pictures.mean_kb, 1),
            target=self.config.target,
            targets=[target_figures(target) for target in self.targets],
            figures=[measurement.figures() for measurement in self.measurements if measurement.windows],
            warnings=[*self.left_out, *warnings, *(f"{name} does not say which model it runs" for name in silent)],
            ended=[target.ended for target in self.targets if target.ended is not None],
            interrupted=interrupted,
            seconds=round(time.perf_counter() - self.began, 1),
            command=command_line(self.config),
            began=self.began_at,
        )

    def _say(self, what: str) -> None:
        logger.info("%s", what)
        self.progress.say(what)

    def _measure(self, load: Load, reference: ReferencePeople, forecast: Forecast) -> None:
        """Take windows of all targets in turn, so that a machine that drifts hurts all alike."""
        measurements = [Measurement(load, target) for target in self.targets]
        self.measurements += measurements
        forecast.begin()
        targets, began = len(measurements), time.perf_counter()
        for number in range(self.config.windows):
            running = [one for one in measurements if one.target.ended is None]
            if number >= AGREEING and all(agree(one.windows) for one in running):
                return
            if is_late(self.config, targets=targets, rounds=number, spent_seconds=time.perf_counter() - began):
                return
            for measurement in running if number % 2 == 0 else reversed(running):
                if self.stop.is_set():
                    raise KeyboardInterrupt
                self._take_window(measurement, reference, forecast)

    def _take_window(self, measurement: Measurement, reference: ReferencePeople, forecast: Forecast) -> None:
        what = f"{measurement.target.name}: {measurement.load.name}"
        plan = WindowPlan(measurement.load, self.config.window_seconds, self.config.requests)
        self.progress.begin_window(
            what, number=forecast.done + 1, windows=forecast.windows, seconds_left=forecast.seconds_left
        )
        began, images = time.perf_counter(), measurement.all_images
        _try_window(measurement, plan, reference)
        forecast.add(time.perf_counter() - began, images=measurement.all_images - images)
        if measurement.windows:
            rate = measurement.windows[-1].images_per_second
            logger.info("%s: %.1f images/s", what, rate)
            self.progress.end_window(rate)


def _try_window(measurement: Measurement, plan: WindowPlan, reference: ReferencePeople) -> None:
    """Take a window. A target that ends costs its own figures: those of the others are worth their minutes."""
    target = measurement.target
    try:
        measurement.take_window(plan, reference)
        is_gone = target.pid is not None and psutil.Process(target.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        is_gone = True
    except HumanDetectError as error:
        target.ended = f"{target.name}: {error}"
        return
    if is_gone:
        target.ended = f"{target.name}: its server ended during the benchmark"


def _common_score(targets: list[Target], config: BenchConfig) -> float | None:
    """Return the threshold of all targets. Raises UsageError where they have different ones."""
    scores = {target.name: target.model.score for target in targets if target.model is not None}
    if len({round(score, 4) for score in scores.values()}) > 1:
        each = ", ".join(f"{name} {score:g}" for name, score in scores.items())
        raise UsageError(f"the servers have different scores ({each}): their people cannot be compared")
    score = next(iter(scores.values()), None)
    if None not in (config.score, score) and abs((config.score or 0) - (score or 0)) > 1e-4:
        raise UsageError(f"the server reports people from a score of {score:g}, --score says {config.score:g}")
    return config.score if score is None else score


def _check_models(targets: list[Target], reference: ReferencePeople) -> None:
    for target in targets:
        if target.model is None:
            continue
        name, version = target.model.name, target.model.version
        if (name, version) != (reference.model, reference.version):
            raise UsageError(
                f"{target.name} runs another model: {name} {version}, where {reference.model} {reference.version} was "
                "expected: choose it here by --model, or there"
            )
