"""Limits are read as people write them, and hold for every load."""

from __future__ import annotations

import pytest

from humandetect.bench.gates import Gate
from humandetect.errors import UsageError
from tests.bench.figures import figures, report


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("p95>120ms", True),
        ("p95 > 130", False),
        ("p95>=130ms", True),
        ("p99>0.2s", False),
        ("images/s<50", False),
        ("images/s <= 60", True),
        ("memory>0.5GB", True),
        ("memory>700MB", False),
        ("spread>4%", True),
        ("errors>0", False),
        ("CPU>20ms", False),
    ],
)
def test_a_limit_fails_when_it_should(text: str, fails: bool) -> None:
    assert bool(list(Gate.parse(text).failures(report(figures())))) is fails


def test_a_failure_names_the_load_the_figure_and_the_limit() -> None:
    (line,) = Gate.parse("p95>120ms").failures(report(figures(p95_ms=180.5), figures(mode="stream", p95_ms=5.0)))
    assert line == "openvino, batch 20 x 16: p95 is 180.5 ms, --fail-if 'p95>120ms'"


def test_errors_of_all_kinds_count() -> None:
    assert list(Gate.parse("errors>2").failures(report(figures(errors={"timeout": 2, "status 503": 1}))))


def test_a_figure_that_is_not_known_has_not_kept_its_limit() -> None:
    (line,) = Gate.parse("memory>1GB").failures(report(figures(peak_memory_mb=None)))
    assert "not known" in line


@pytest.mark.parametrize("text", ["", "p95", "p95>fast", "p42>1", "p95>1MB", "p95=1", "images/s<5 ms", "p95>-1"])
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not understood"):
        Gate.parse(text)
