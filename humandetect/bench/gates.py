"""`--fail-if "p95>120ms"`: limits that a run must keep, so that a pipeline can depend on them."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.bench.figures import BenchReport, Figures

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_TIME = {"": 1.0, "ms": 1.0, "s": 1000.0}
_PLAIN = {"": 1.0}
_MEMORY = {"": 1.0, "mb": 1.0, "gb": 1000.0}
_SHARE = {"": 1.0, "%": 0.01}


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure that a gate can name."""

    value: Callable[[Figures], float | None]
    units: dict[str, float]


MEASURES = {
    "p50": Measure(lambda one: one.p50_ms, _TIME),
    "p90": Measure(lambda one: one.p90_ms, _TIME),
    "p95": Measure(lambda one: one.p95_ms, _TIME),
    "p99": Measure(lambda one: one.p99_ms, _TIME),
    "images/s": Measure(lambda one: one.images_per_second, _PLAIN),
    "requests/s": Measure(lambda one: one.requests_per_second, _PLAIN),
    "errors": Measure(lambda one: float(sum(one.errors.values())), _PLAIN),
    "memory": Measure(lambda one: one.peak_memory_mb, _MEMORY),
    "cpu": Measure(lambda one: one.cpu_ms_per_image, _TIME),
    "spread": Measure(lambda one: one.spread, _SHARE),
}


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition under which a run has failed."""

    text: str
    measure: str
    comparison: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Read `p95>120ms`. Raises UsageError."""
        found = re.fullmatch(r"([a-z0-9/]+)(>=|<=|>|<)(\d+(?:\.\d+)?)([a-z%]*)", re.sub(r"\s+", "", text).lower())
        measure = MEASURES.get(found[1]) if found else None
        if found is None or measure is None or found[4] not in measure.units:
            raise UsageError(
                f"--fail-if {text!r} is not understood: write it as p95>120ms, images/s<50 or memory>2GB; there are "
                f"{', '.join(MEASURES)}"
            )
        return cls(text, found[1], found[2], float(found[3]) * measure.units[found[4]])

    def failures(self, report: BenchReport) -> Iterator[str]:
        """Yield a line for each load that fails. A figure that is not known has not kept its limit."""
        for one in report.figures:
            value = MEASURES[self.measure].value(one)
            where = f"{one.target}, {one.load.name}: {self.measure}"
            if value is None:
                yield f"{where} is not known, and must be to pass --fail-if {self.text!r}"
            elif COMPARISONS[self.comparison](value, self.limit):
                yield f"{where} is {value:g}{self._unit}, --fail-if {self.text!r}"

    @property
    def _unit(self) -> str:
        units = MEASURES[self.measure].units
        return " ms" if units is _TIME else " MB" if units is _MEMORY else ""
