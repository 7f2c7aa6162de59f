"""What a run of `bench` says in the end, as values; `tables.py`, `files.py` and `plot.py` show it."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from humandetect.bench.machine import command_line, machine, versions
from humandetect.bench.windows import AGREEING, AGREEMENT, PERCENTS, percentile, spread
from humandetect.errors import HumanDetectError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from humandetect.bench.plan import Load
    from humandetect.bench.targets import Target
    from humandetect.bench.windows import Window


@dataclass(frozen=True, slots=True)
class Figures:
    """One load on one target. None: not known."""

    target: str
    mode: str
    batch: int
    concurrency: int
    rate: float | None
    """Requests a second that were sent; None: as fast as answers came."""
    images_per_second: float
    """Good answers only."""
    requests_per_second: float
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    requests: int
    good_images: int
    errors: dict[str, int]
    windows_images_per_second: list[float]
    """Of all windows; the other figures are those of the last three."""
    spread: float | None
    """How far the last three lie apart, as a share of their middle."""
    cpu_ms_per_image: float | None
    peak_memory_mb: float | None
    stages_ms_per_image: dict[str, float]
    client_cpu_share: float
    """Of one core, of the process that put on the load."""

    @property
    def stable(self) -> bool:
        return self.spread is not None and self.spread <= AGREEMENT

    @property
    def load_name(self) -> str:
        pace = "" if self.rate is None else f" at {self.rate:g} requests/s"
        return f"{self.concurrency} x {self.batch}{pace}"


@dataclass(frozen=True, slots=True)
class TargetFigures:
    """A target as a whole."""

    name: str
    engine: str
    url: str | None
    start_seconds: float | None
    first_answer_seconds: float | None
    peak_memory_mb: float | None
    gpu_memory_mb: float | None


@dataclass(frozen=True, slots=True)
class Setting:
    """What must be the same for two runs to be compared."""

    pictures: str
    """Digest of what was sent."""
    model: str
    model_version: str
    score: float


@dataclass(frozen=True, slots=True)
class BenchReport:
    """A run of `bench`."""

    setting: Setting
    images: str
    """What the user called the pictures."""
    image_count: int
    image_mean_kb: float
    target: str
    """`server`, or `engine`: without HTTP."""
    targets: list[TargetFigures]
    figures: list[Figures]
    warnings: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """Targets whose process ended, and why: their figures are incomplete."""
    interrupted: bool = False
    """Figures are missing, or come from fewer windows."""
    seconds: float = 0.0
    machine: dict[str, str | int | float] = field(default_factory=machine)
    versions: dict[str, str] = field(default_factory=versions)
    command: str = field(default_factory=lambda: command_line(sys.argv[1:]))
    began: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @property
    def failures(self) -> list[HumanDetectError]:
        """Targets that ended, and loads without a single good answer: that was no measurement."""
        return [HumanDetectError(line) for line in self.ended] + [
            HumanDetectError(f"{one.target}, {one.mode} {one.load_name}: no good answer ({_kinds(one)})")
            for one in self.figures
            if one.good_images == 0
        ]

    @property
    def modes(self) -> list[str]:
        return list(dict.fromkeys(one.mode for one in self.figures))


class BenchInterrupted(KeyboardInterrupt):
    """Ctrl-C or a signal ended a benchmark; `report` holds what was measured until then."""

    def __init__(self, report: BenchReport) -> None:
        super().__init__("interrupted")
        self.report = report


@dataclass
class Tally:
    """What is known of one load on one target while it goes on."""

    load: Load
    target: Target
    windows: list[Window] = field(default_factory=list)
    cpu_seconds: float = 0.0
    all_images: int = 0
    client_cpu_seconds: float = 0.0
    busy_seconds: float = 0.0
    peak_memory_mb: float | None = None
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Seconds and images of this load alone."""

    def figures(self) -> Figures:
        last = self.windows[-AGREEING:]
        seconds = sum(window.seconds for window in last)
        latencies = [latency for window in last for latency in window.latencies]
        requests = sum(window.requests for window in last)
        good = sum(window.good_images for window in last)
        p50, p90, p95, p99 = (_ms(percentile(latencies, percent)) for percent in PERCENTS)
        knows_cpu = self.target.pid is not None and self.all_images > 0
        return Figures(
            target=self.target.name,
            mode=self.load.mode,
            batch=self.load.batch,
            concurrency=self.load.concurrency,
            rate=self.load.rate,
            images_per_second=_rounded(good / seconds if seconds else 0.0),
            requests_per_second=_rounded(requests / seconds if seconds else 0.0),
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            requests=requests,
            good_images=good,
            errors=dict(sum((window.errors for window in self.windows), Counter[str]())),
            windows_images_per_second=[_rounded(window.images_per_second) for window in self.windows],
            spread=_apart(self.windows),
            cpu_ms_per_image=_rounded(self.cpu_seconds / self.all_images * 1000) if knows_cpu else None,
            peak_memory_mb=self.peak_memory_mb,
            stages_ms_per_image={
                stage: _rounded(spent / images * 1000) for stage, (spent, images) in self.stages.items() if images
            },
            client_cpu_share=_rounded(self.client_cpu_seconds / self.busy_seconds if self.busy_seconds else 0.0),
        )


def _kinds(one: Figures) -> str:
    return ", ".join(f"{count} x {kind}" for kind, count in one.errors.items()) or "none at all"


def target_figures(target: Target) -> TargetFigures:
    return TargetFigures(
        name=target.name,
        engine=target.engine,
        url=target.name if target.pid is None else None,
        start_seconds=_or_none(target.start_seconds),
        first_answer_seconds=_or_none(target.first_answer_seconds),
        peak_memory_mb=_or_none(target.peak_memory_mb),
        gpu_memory_mb=_or_none(target.gpu_memory_mb),
    )


def read_report(path: Path) -> BenchReport:
    """Read what `--json` wrote. Raises SourceError, and UsageError where it is something else."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror}") from error
    try:
        return TypeAdapter(BenchReport).validate_json(text)
    except ValidationError as error:
        raise UsageError(f"{str(path)!r} is not a report of `humandetect bench --json`") from error


def check_comparable(old: BenchReport, new: BenchReport) -> None:
    """Raise UsageError, naming what differs, for runs whose figures say nothing about each other."""
    for name, here, there in (
        ("images", old.setting.pictures, new.setting.pictures),
        ("model", old.setting.model, new.setting.model),
        ("model version", old.setting.model_version, new.setting.model_version),
        ("score", old.setting.score, new.setting.score),
        ("target", old.target, new.target),
    ):
        if here != there:
            raise UsageError(f"the runs cannot be compared, they differ in {name}: {here} then, {there} now")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _apart(windows: Sequence[Window]) -> float | None:
    apart = spread(windows)
    return None if apart is None else min(round(apart, 4), 1e6)  # JSON has no infinity


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else _rounded(seconds * 1000)


def _or_none(value: float | None) -> float | None:
    return None if value is None else _rounded(value)


def _rounded(value: float) -> float:
    return round(value, 3)
