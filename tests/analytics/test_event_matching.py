"""An event is right once, near to a true one of its line and direction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from humandetect.analytics.event_matching import RecordedEvent, match_events, read_events
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def crossings(*times: float, name: str = "gate", direction: str = "in") -> list[RecordedEvent]:
    return [RecordedEvent("crossing", time, name, direction) for time in times]


def test_each_true_event_is_matched_once_and_within_the_time() -> None:
    score = match_events(crossings(1, 2, 3), crossings(1.1, 1.2, 2.9, 9), within_seconds=0.5)
    assert (score.true, score.counted, score.lines[0].matched) == (3, 4, 2)
    assert (score.precision, score.recall, score.f1) == pytest.approx((2 / 4, 2 / 3, 4 / 7))
    assert score.lines[0].seconds_off == pytest.approx(0.1)


def test_as_many_are_matched_as_can_be_rather_than_the_nearest() -> None:
    """The counted 1.4 is nearest to the true 1.5, which leaves none for the true 0.6."""
    score = match_events(crossings(0.6, 1.5), crossings(1.4, 2.4))
    assert score.lines[0].matched == 2


def test_errors_in_and_out_do_not_cancel_each_other() -> None:
    true = [*crossings(1, 5), *crossings(3, direction="out")]
    score = match_events(true, [*crossings(1), *crossings(3, 6, direction="out")])
    assert (score.true, score.counted, score.count_error) == pytest.approx((3, 3, 2 / 3))


def test_lines_have_nothing_to_do_with_each_other() -> None:
    score = match_events(crossings(1), crossings(1, name="other"))
    assert (score.f1, len(score.lines)) == (0, 2)
    assert score.lines[0].seconds_off is None


def test_visits_are_matched_by_their_beginning_and_summed_by_their_end() -> None:
    true = [RecordedEvent("enter", 1, "lawn"), RecordedEvent("exit", 5, "lawn", None, 4.0)]
    counted = [RecordedEvent("enter", 1.5, "lawn"), RecordedEvent("exit", 9, "lawn", None, 7.5)]
    (zone,) = match_events(true, counted).zones
    assert (zone.true, zone.counted, zone.matched) == (1, 1, 1)
    assert (zone.true_person_seconds, zone.person_seconds) == (4.0, 7.5)


def test_nothing_true_and_nothing_counted_is_no_division_by_zero() -> None:
    score = match_events([], [])
    assert (score.true, score.f1, score.count_error, score.lines, score.zones) == (0, 0, 0, (), ())


def events_file(path: Path, *events: dict[str, object]) -> Path:
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return path


CROSSING = {"event": "crossing", "time_seconds": 1, "line": "gate", "direction": "in", "source": "a.mp4"}


def test_other_events_are_passed_over(tmp_path: Path) -> None:
    visit = {"event": "exit", "time_seconds": 4, "zone": "lawn", "dwell_seconds": 2, "source": "a.mp4"}
    gap = {"event": "gap", "time_seconds": 3, "source": "a.mp4"}
    assert read_events(events_file(tmp_path / "e.jsonl", CROSSING, gap, visit)) == [
        RecordedEvent("crossing", 1, "gate", "in", None, "a.mp4"),
        RecordedEvent("exit", 4, "lawn", None, 2, "a.mp4"),
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"time_seconds": 1}, "e.jsonl:2 is no event: there is no 'event'"),
        ({**CROSSING, "time_seconds": None}, "e.jsonl:2 is no event"),
        ({**CROSSING, "time_seconds": float("nan")}, "time_seconds nan"),
        ({**CROSSING, "source": "b.mp4"}, "has events of 2 sources"),
    ],
)
def test_an_events_file_that_makes_no_sense_is_refused(event: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_events(events_file(tmp_path / "e.jsonl", CROSSING, event))
    assert said in str(caught.value)
