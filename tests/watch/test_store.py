"""What survives: events once each, totals and ids over restarts, and cameras over a disk that does not."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import SinkError, UsageError
from humandetect.media.frames import Event
from humandetect.watch.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from humandetect.analytics.counts import CountRow

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def crossing(number: int, *, camera: str = "door", direction: str = "in") -> Event:
    return Event(
        event="crossing", id=f"{camera}{number}", source=camera, time_seconds=float(number), line="gate",
        direction=direction, box=(1.0, 2.0, 3.0, 4.0), point=(2.0, 4.0),  # type: ignore[arg-type]
    )  # fmt: skip


def count(minute: int, *, camera: str = "door") -> CountRow:
    start = (NOON + timedelta(minutes=minute)).astimezone().isoformat(timespec="milliseconds")
    return {
        "source": camera, "start_seconds": minute * 60.0, "start_wall": start, "seconds_covered": 60.0, "kind": "line",
        "name": "gate", "in": minute, "out": 0, "inside_mean": None, "inside_max": None, "visits": None,
        "person_seconds": None, "dwell_median_seconds": None,
    }  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def test_events_are_kept_once_and_read_newest_first(store: Store) -> None:
    first, second, other = crossing(1), crossing(2), crossing(1, camera="yard")
    store.add_events([first, second])
    store.add_events([second, other])
    assert store.events() == [other, second, first]
    assert store.events(camera="door") == [second, first]
    assert store.events(limit=1) == [other]
    assert store.events(before=second.id) == [first]


def test_totals_and_ids_go_on_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_events([crossing(1), crossing(2), crossing(2), crossing(3, direction="out"), crossing(1, camera="yard")])
    store.keep_track_id("door", 17)
    store.close()
    store = Store(tmp_path)
    assert store.totals("door") == {("gate", "in"): 2, ("gate", "out"): 1}
    assert (store.last_track_id("door"), store.last_track_id("yard")) == (17, 0)
    store.close()


def test_counts_are_read_from_a_moment_on(store: Store) -> None:
    for minute in range(3):
        store.add_count(count(minute))
    store.add_count(count(2, camera="yard"))
    assert store.counts(camera="door", since=NOON + timedelta(minutes=1)) == [count(1), count(2)]
    assert len(store.counts(camera=None, since=NOON)) == 4


def test_what_was_added_survives_a_kill(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from tests.watch.test_store import crossing
from humandetect.watch.store import Store
Store(Path({str(tmp_path)!r})).add_events([crossing(1), crossing(2)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    store = Store(tmp_path)
    assert [event.id for event in store.events()] == ["door2", "door1"]
    store.close()


def test_a_folder_is_kept_by_one_process(store: Store) -> None:
    with pytest.raises(UsageError, match="another process keeps its data"):
        Store(store.path.parent)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot keep data"):
        Store(tmp_path / "file")


def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "watch.sqlite").write_bytes(b"no database" * 1000)
    store = Store(tmp_path)
    store.add_events([crossing(1)])
    assert len(store.events()) == 1
    assert (tmp_path / "watch.damaged").exists()
    assert "is damaged" in caplog.text
    store.close()


def test_what_cannot_be_kept_is_told_once_and_stops_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        store.path.parent.joinpath("watch.sqlite")
        limit = store._database.execute("PRAGMA max_page_count = 12")
        limit.fetchall()
        for number in range(300):
            store.add_events([crossing(number)])
    assert store.failures > 1
    assert caplog.text.count("are not kept") == 1


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "watch.sqlite") as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(UsageError, match="newer version"):
        Store(tmp_path)
