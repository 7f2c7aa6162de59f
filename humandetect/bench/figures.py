"""What a run of `bench` says in the end, as values; tables, report_files and plot show it, gates judge it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from humandetect.bench.loads import Load, Mode
from humandetect.bench.machine import machine, versions
from humandetect.bench.windows import AGREEMENT
from humandetect.errors import HumanDetectError, SourceError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.bench.targets import Target


@dataclass(frozen=True, slots=True)
class Figures:
    """One load on one target. None: not known."""

    target: str
    mode: Mode
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
    def load(self) -> Load:
        return Load(self.mode, self.batch, self.concurrency, self.rate)

    @property
    def kinds_of_errors(self) -> str:
        return ", ".join(f"{count} x {kind}" for kind, count in self.errors.items())


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
class BenchSetting:
    """What must be the same for two runs to be compared."""

    pictures: str
    """Digest of what was sent."""
    model: str
    model_version: str
    score: float


@dataclass(frozen=True, slots=True)
class BenchReport:
    """A run of `bench`."""

    setting: BenchSetting
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
    command: str = ""
    began: str = ""

    @property
    def failures(self) -> list[HumanDetectError]:
        """Targets that ended, and loads without a single good answer: that was no measurement."""
        return [HumanDetectError(line) for line in self.ended] + [
            HumanDetectError(
                f"{one.target}, {one.mode} {one.load.size}: no good answer ({one.kinds_of_errors or 'none at all'})"
            )
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


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _or_none(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def rounded(value: float) -> float:
    return round(value, 3)
