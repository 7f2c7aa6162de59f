from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self

import pytest

from humandetect.watch import epoch
from humandetect.watch.epoch import Epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

BEGAN = datetime(2026, 10, 24, 20, 0, 30, tzinfo=UTC)


class Wall(datetime):
    """The clock on the wall, in a house where summer time ends on 25 October 2026 at 1 o'clock UTC."""

    instant = BEGAN

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        del tz
        return cls.fromtimestamp(cls.instant.timestamp())


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let hours pass, at whose end the clock is set by so many seconds."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    monkeypatch.setattr(epoch, "datetime", Wall)

    def at(hours: float, *, set_by_seconds: float = 0.0) -> None:
        passed = timedelta(hours=hours)
        monkeypatch.setattr(Wall, "instant", BEGAN + passed + timedelta(seconds=set_by_seconds))
        monkeypatch.setattr(epoch, "time", SimpleNamespace(monotonic=lambda: 1000 + passed.total_seconds()))

    at(0)
    yield at
    monkeypatch.undo()
    time.tzset()


def test_seconds_count_from_a_whole_minute(after: Callable[..., None]) -> None:
    epoch = Epoch.now()
    assert epoch.started.isoformat() == "2026-10-24T22:00:00+02:00"
    assert epoch.seconds(1000) == 30
    after(4)
    assert epoch.why_over() is None
    assert Epoch.now().run != epoch.run


@pytest.mark.parametrize(("seconds", "why"), [(1.5, None), (-1.5, None), (3, "+3 s"), (-3600, "-3600 s")])
def test_a_clock_that_was_set_shows_another_time(after: Callable[..., None], seconds: float, why: str | None) -> None:
    epoch = Epoch.now()
    after(1, set_by_seconds=seconds)
    said = epoch.why_over()
    assert said == (why and f"this machine's clock was set by {why}")


def test_hours_are_those_of_the_wall_also_after_summer_time_ended(after: Callable[..., None]) -> None:
    summer = Epoch.now()
    after(6)
    assert summer.why_over() == "this machine's clock shows CET now, and no more CEST"
    winter = Epoch.now()
    assert winter.why_over() is None
    assert winter.started.isoformat() == "2026-10-25T03:00:00+01:00"
