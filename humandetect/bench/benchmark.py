"""One run of `bench`: loads, one after the other, on all targets in turn, until the figures agree."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import psutil

from humandetect.bench.pictures import Pictures, Reference, find_reference, read_pictures
from humandetect.bench.plan import Load, Order, is_late, loads
from humandetect.bench.figures import (
    BenchInterrupted,
    BenchReport,
    Setting,
    Tally,
    check_comparable,
    now,
    target_figures,
)
from humandetect.bench.targets import STAGES, Target, open_targets
from humandetect.bench.usage import gpu_memory_mb, watched
from humandetect.bench.windows import AGREEING, WRONG, agree, judged
from humandetect.errors import HumanDetectError, UsageError
from humandetect.models.find import find_model

if TYPE_CHECKING:
    from humandetect.config import BenchConfig

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Whoever wants to be told how far a run is."""

    def say(self, what: str, /) -> None:
        """Take what is being done now."""
        ...

    def plan(self, windows: int, /) -> None:
        """Take the least number of windows that there will be."""
        ...

    def window(self, what: str, images_per_second: float, /, *, more: int) -> None:
        """Take the outcome of a window; `more` are needed beyond what was planned."""
        ...

    def stop(self) -> None:
        """The run is over, whichever way."""
        ...


def run(
    config: BenchConfig,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    old: BenchReport | None = None,
) -> BenchReport:
    """Measure and return the figures. Raises BenchInterrupted, with those there are, on Ctrl-C or `stop`.

    With `old`, a report to compare with, a run that cannot be compared ends before it has measured: UsageError.
    """
    bench = _Bench(config, progress or _Silent(), stop or threading.Event(), old)
    try:
        bench.run()
    except KeyboardInterrupt:
        raise BenchInterrupted(bench.figures(interrupted=True)) from None
    finally:
        bench.progress.stop()
    return bench.figures(interrupted=False)


@dataclass
class _Bench:
    config: BenchConfig
    progress: Progress
    stop: threading.Event
    old: BenchReport | None
    pictures: Pictures | None = None
    reference: Reference | None = None
    targets: list[Target] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    began_at: str = field(default_factory=now)

    def run(self) -> None:
        find_model(self.config.engine.model, self.config.engine.models_dir)  # whoever is measured: the reference has it
        self.progress.say("reading pictures")
        self.pictures = read_pictures(self.config.images)
        self.progress.say("starting")
        with open_targets(self.config, self.pictures, starting=self._say_start) as (targets, left_out):
            self.targets, self.left_out = targets, left_out
            self.progress.say("finding the people that must be found")
            score = _common_score(targets, self.config)
            self.reference = find_reference(self.pictures, self.config.engine, score=score)
            _check_models(targets, self.reference)
            if self.old is not None:
                check_comparable(self.old, self.report(interrupted=False))
            plan = loads(self.config)
            self.progress.plan(len(plan) * len(targets) * min(AGREEING, self.config.windows))
            for load in plan:
                self._measure(load, self.reference)
            for target in targets:
                if target.pid is not None:
                    target.gpu_memory_mb = gpu_memory_mb(target.pid)

    def report(self, *, interrupted: bool) -> BenchReport:
        pictures = self.pictures or Pictures(self.config.images, ())
        known = self.reference
        figures = [tally.figures() for tally in self.tallies if tally.windows]
        return BenchReport(
            setting=Setting(
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
            figures=figures,
            warnings=list(self._warnings()),
            ended=[target.ended for target in self.targets if target.ended is not None],
            interrupted=interrupted,
            seconds=round(time.perf_counter() - self.began, 1),
            began=self.began_at,
        )

    def _say_start(self, name: str) -> None:
        logger.info("starting %s", name)
        self.progress.say(f"starting {name}")

    def _measure(self, load: Load, reference: Reference) -> None:
        """Take windows of all targets in turn, so that a machine that drifts hurts all alike."""
        tallies = [Tally(load, target) for target in self.targets]
        self.tallies += tallies
        began = time.perf_counter()
        for number in range(self.config.windows):
            running = [tally for tally in tallies if tally.target.ended is None]
            if number >= AGREEING and all(agree(tally.windows) for tally in running):
                return
            if is_late(self.config, targets=len(tallies), rounds=number, spent_seconds=time.perf_counter() - began):
                return
            for tally in running if number % 2 == 0 else reversed(running):
                if self.stop.is_set():
                    raise KeyboardInterrupt
                self._try_window(tally, reference)
                if tally.windows:
                    what, rate = f"{tally.target.name}: {load.name}", tally.windows[-1].images_per_second
                    logger.info("%s: %.1f images/s", what, rate)
                    self.progress.window(what, rate, more=int(number >= AGREEING))

    def _try_window(self, tally: Tally, reference: Reference) -> None:
        """Take a window. A target that ends costs its own figures: those of the others are worth their minutes."""
        target = tally.target
        try:
            self._take_window(tally, reference)
            is_gone = target.pid is not None and psutil.Process(target.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            is_gone = True
        except HumanDetectError as error:
            target.ended = f"{target.name}: {error}"
            return
        if is_gone:
            target.ended = f"{target.name}: its server ended during the benchmark"

    def _take_window(self, tally: Tally, reference: Reference) -> None:
        order = Order(tally.load, self.config.window_seconds, self.config.requests)
        target = tally.target
        before = target.stages()
        began = time.perf_counter()
        if target.pid is None:
            haul = target.send(order)
        else:
            with watched(target.pid) as usage:
                haul = target.send(order)
            tally.cpu_seconds += usage.cpu_seconds
            tally.peak_memory_mb = round(max(tally.peak_memory_mb or 0.0, usage.peak_memory_mb), 1)
            target.peak_memory_mb = max(target.peak_memory_mb or 0.0, usage.peak_memory_mb)
        tally.busy_seconds += time.perf_counter() - began
        after = target.stages()
        tally.stages = _added(tally.stages, before, after)
        window = judged(haul, reference)
        tally.windows.append(window)
        tally.all_images += window.all_images
        tally.client_cpu_seconds += haul.client_cpu_seconds

    def _warnings(self) -> list[str]:
        said = list(self.left_out)
        for tally in self.tallies:
            figures = tally.figures()
            where = f"{figures.target}, {tally.load.name}"
            if figures.spread is not None and not figures.stable:
                said.append(f"{where}: unstable, the last {AGREEING} windows lie {figures.spread:.0%} apart")
            if figures.errors:
                kinds = ", ".join(f"{count} x {kind}" for kind, count in figures.errors.items())
                said.append(f"{where}: {kinds}")
            if WRONG in figures.errors:
                said.append(f"{where}: answers with wrong people do not count")
        said += [f"{target.name} does not say which model it runs" for target in self.targets if target.model is None]
        return said


class _Silent:
    """Tells nobody."""

    def say(self, what: str, /) -> None: ...

    def plan(self, windows: int, /) -> None: ...

    def window(self, what: str, images_per_second: float, /, *, more: int) -> None: ...

    def stop(self) -> None: ...


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


def _check_models(targets: list[Target], reference: Reference) -> None:
    for target in targets:
        if target.model is None:
            continue
        name, version = target.model.name, target.model.version
        if (name, version) != (reference.model, reference.version):
            raise UsageError(
                f"{target.name} runs another model: {name} {version}, where {reference.model} {reference.version} was "
                "expected: choose it here by --model, or there"
            )


def _added(
    total: dict[str, tuple[float, float]],
    before: dict[str, tuple[float, float]],
    after: dict[str, tuple[float, float]],
) -> dict[str, tuple[float, float]]:
    """Add what each stage spent between two looks."""
    nothing = (0.0, 0.0)
    return {
        stage: (
            total.get(stage, nothing)[0] + after[stage][0] - before.get(stage, nothing)[0],
            total.get(stage, nothing)[1] + after[stage][1] - before.get(stage, nothing)[1],
        )
        for stage in STAGES
        if stage in after
    }
