from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.analytics.report import MOST_EVENTS
from humandetect.config import AnalyzeConfig, CountingConfig
from humandetect.errors import UsageError
from humandetect.media.frames import Event
from humandetect.watch.store import Store
from humandetect.watch.stored import analyze_store
from tests.command_line import error_line, invoke
from tests.reporting.test_page import Outline
from tests.watch.happenings import NOON, count_row, crossing, crossings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from humandetect.watch.base import State


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    kept = Store(tmp_path)
    yield kept
    kept.close()


def test_events_are_written_as_they_were_also_while_watch_goes_on(store: Store, tmp_path: Path) -> None:
    store.add_events([*crossings(3), crossing(1, camera="yard")])
    result = invoke("analyze", store.path, "--events", tmp_path / "e.jsonl")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == json.loads(json.dumps([asdict(event) for event in [*crossings(3), crossing(1, camera="yard")]]))


def test_counts_are_summed_by_the_clock_on_the_wall(store: Store, tmp_path: Path) -> None:
    hall = {"kind": "zone", "name": "hall", "in": None, "out": None, "visits": 1}
    for minute in (50, 55, 61):
        start = NOON + timedelta(minutes=minute)
        store.add_count(count_row(start))
        store.add_count(count_row(start, person_seconds=minute * 1.0, inside_max=minute, **hall))
    for minute, dwell in ((51, 7.110197), (52, 3.040552)):
        went = crossing(minute * 60, line=None, zone="hall", direction=None, dwell_seconds=dwell)
        store.add_events([replace(went, event="exit")])
    counting = CountingConfig(counts=tmp_path / "c.csv", per_seconds=3600)
    analyze_store(AnalyzeConfig((store.path,), counting=counting))
    with (tmp_path / "c.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told = ("start_seconds", "start_wall", "kind", "in", "out", "inside_max", "visits", "person_seconds")
    assert [tuple(row[key] for key in told) for row in rows] == [
        ("0.0", "2026-11-26T12:00:00.000+00:00", "line", "4", "2", "", "", ""),
        ("0.0", "2026-11-26T12:00:00.000+00:00", "zone", "", "", "55", "2", "105.0"),
        ("3600.0", "2026-11-26T13:00:00.000+00:00", "line", "2", "1", "", "", ""),
        ("3600.0", "2026-11-26T13:00:00.000+00:00", "zone", "", "", "61", "1", "61.0"),
    ]
    assert rows[1]["inside_mean"] == "0.875"
    assert [row["dwell_median_seconds"] for row in rows] == ["", "5.075375", "", ""]
    assert datetime.fromisoformat(rows[0]["start_wall"]) == NOON


def test_a_report_has_the_sums_of_the_counts_and_the_newest_events_by_the_clock(store: Store, tmp_path: Path) -> None:
    hall = {"kind": "zone", "name": "hall", "in": None, "out": None, "visits": 1, "inside_max": 3, "inside_mean": 0.5}
    for minute in range(0, 600, 3):
        store.add_count(count_row(NOON + timedelta(minutes=minute)))
        store.add_count(count_row(NOON + timedelta(minutes=minute), person_seconds=30.0, **hall))
    stay = crossing(7200, line=None, zone="hall", direction=None, dwell_seconds=12.5)
    gap = Event("gap", "g", "door", 0.0, wall_time=NOON.isoformat(), reason="no picture for 20 s")
    store.add_events(
        [gap, *crossings(MOST_EVENTS), replace(stay, event="exit"), change("live"), change("lost", "yard")]
    )
    store.add_events([crossing(598 * 60, reliability="short_track")])  # of the minute that is not counted yet
    result = invoke("analyze", store.path, "--report", tmp_path / "r.html", "--per", "1:00:00")
    assert result.returncode == 0, result.stderr
    assert "nothing was counted at camera 'yard': it had no lines and no zones" in result.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    texts = Outline(page).texts
    assert "26 November 2026, 12:00:00 to 21:58:00" in texts
    for told in ("3:20:00", "1 gap", "porch", "400", "200", "hall", "12.5 s", "0.50", "median 12.5 s"):
        assert told in texts, told
    assert "crossings, per 1 h; 26 November 2026, UTC" in texts
    assert [text for text in texts if text.startswith(("12:0", "14:0"))][-1] == "14:00:00"
    assert "and 2 more events, which --events has all of" in texts
    assert any(text.startswith("Only counts and events were kept, and no boxes") for text in texts)
    assert {"Tracks", "People in the picture", "Where people stood", "yard"}.isdisjoint(texts)
    assert "camera: " not in page
    assert "short track" not in page


def change(state: State, camera: str = "door") -> Event:
    return Event("camera", f"{camera} {state}", camera, 1.0, wall_time=NOON.isoformat(), state=state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counting": {"heatmap": "h.png"}}, "it gives --events, --counts and --report"),
        ({"background": "place.jpg", "counting": {"report": "r.html"}}, "no boxes"),
        ({"counting": {"counts": "c.csv", "per_seconds": 90.0}}, "--per must be whole minutes, got 90 s"),
        ({"counting": {"counts": "c.csv", "line": ("a=1,1,2,2",)}}, "leave out --scene"),
        ({"results": ("r.jsonl",)}, "no boxes"),
        ({"files": ("watch.sqlite", "people.jsonl"), "counting": {"counts": "c.csv"}}, "read alone"),
    ],
)
def test_what_a_store_cannot_give_is_refused(options: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"files": ("watch.sqlite",), **options}
    with pytest.raises(UsageError, match=message):
        AnalyzeConfig(**values | {"counting": CountingConfig(**options.get("counting", {}))})


def test_a_store_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "watch.sqlite").write_text("people" * 1000)
    result = invoke("analyze", tmp_path / "watch.sqlite", "--counts", tmp_path / "c.csv")
    assert result.returncode == 1
    assert "expected the watch.sqlite of `watch`" in error_line(result)
    assert not (tmp_path / "c.csv").exists()
