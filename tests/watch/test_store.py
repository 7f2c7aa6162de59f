from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from humandetect.config.delivery import DeliveryConfig
from humandetect.errors import SinkError, SourceError, UsageError
from humandetect.watch.store import Store
from humandetect.watch.stored import reading
from tests.watch.happenings import NOON, count_row, crossing, crossings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOTH = DeliveryConfig(mqtt="mqtt://broker", webhook="http://host/hook")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    kept = Store(tmp_path, BOTH)
    yield kept
    kept.close()


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path, BOTH)
    store.add_events([*crossings(3), crossing(3, direction="out"), crossing(0, camera="yard")])
    store.add_count(count_row(NOON))
    store.keep_track_id("door", 7)
    store.keep_track_id("door", 5)
    store.close()

    store = Store(tmp_path, BOTH)
    assert store.events(camera="door") == [crossing(3, direction="out"), *crossings(3)[::-1]]
    assert store.totals("door") == {("porch", "in"): 3, ("porch", "out"): 1}
    assert store.totals("yard") == {("porch", "in"): 1}
    assert store.last_track_id("door") == 7
    assert store.last_track_id("yard") == 0
    assert store.counts(camera="door", since=NOON) == [count_row(NOON)]
    assert store.counts(camera=None, since=NOON + timedelta(seconds=1)) == []
    assert (store.queued("mqtt"), store.queued("webhook")) == (5, 5)
    store.close()


def test_an_event_that_is_there_already_changes_nothing(store: Store) -> None:
    store.add_events(crossings(2))
    store.add_events(crossings(3))
    assert len(store.events()) == 3
    assert store.totals("door") == {("porch", "in"): 3}
    assert store.queued("mqtt") == 3


def test_events_can_be_paged_through(store: Store) -> None:
    store.add_events(crossings(5))
    newest = store.events(limit=2)
    assert [event.id for event in newest] == ["door-4", "door-3"]
    assert [event.id for event in store.events(before=newest[-1].id, limit=2)] == ["door-2", "door-1"]
    assert store.events(before="unknown") == []


def test_too_long_a_queue_drops_its_oldest_and_counts_them(tmp_path: Path) -> None:
    store = Store(tmp_path, DeliveryConfig(webhook="http://host/hook", most_queued=3))
    store.add_events(crossings(5))
    first = store.first_queued("webhook")
    assert first is not None
    assert first.event == crossing(2)
    assert store.queued("webhook") == 3
    assert store.outcomes == {("webhook", "dropped"): 2}
    store.close()


def test_old_events_go_and_totals_stay(tmp_path: Path) -> None:
    store = Store(tmp_path, DeliveryConfig(keep_event_days=1, most_events=2))
    now = datetime.now(UTC)
    store.add_events([crossing(0, at=now - timedelta(days=2), camera="old"), *crossings(3, at=now)])
    assert [event.id for event in store.events()] == ["door-2", "door-1"]
    assert store.totals("old") == {("porch", "in"): 1}
    store.close()


def test_a_second_process_is_refused_by_name(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"another process keeps its data in '{tmp_path}'"):
        Store(tmp_path)


def test_a_killed_process_leaves_whole_transactions(store: Store, tmp_path: Path) -> None:
    store.add_events(crossings(100))
    left = shutil.copytree(tmp_path, tmp_path / "left")  # as it is on the disk while nobody closed it
    again = Store(left)
    assert again.totals("door") == {("porch", "in"): 100}
    again.close()


@pytest.mark.parametrize("bad", [b"no database at all" * 100, None])
def test_a_damaged_file_is_set_aside_and_said(
    tmp_path: Path, bad: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    store.add_events(crossings(2000))
    store.close()
    path = tmp_path / "watch.sqlite"
    path.write_bytes(bad or path.read_bytes()[:8192] + b"\xff" * 60_000)

    store = Store(tmp_path)
    store.add_events(crossings(3))
    assert len(store.events()) == 3
    store.close()
    assert len(list(tmp_path.glob("watch.damaged-*.sqlite"))) == 1
    assert "is damaged" in caplog.text


def test_a_full_disk_is_said_once_counted_and_survived(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.add_events(crossings(1))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    store.add_events(crossings(2000))
    store.add_events([crossing(number) for number in range(2000, 4000)])
    assert store.lost == {"events": 4000}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "full" in caplog.text
    assert store.queued("mqtt") == 1

    store._db.execute("PRAGMA max_page_count = 1000000")
    store.add_events(crossings(3))
    assert len(store.events()) == 3
    assert store.totals("door") == {("porch", "in"): 3}


def test_what_comes_after_the_end_raises_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    store.close()
    store.add_events(crossings(1))
    assert store.events() == []


def test_threads_write_and_read_at_once(store: Store) -> None:
    def add(camera: str) -> None:
        for number in range(50):
            store.add_events([crossing(number, camera=camera)])
            assert store.events(camera=camera, limit=1)

    threads = [threading.Thread(target=add, args=(camera,)) for camera in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.queued("webhook") == 200
    assert len(store.events(limit=1000)) == 200


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"cannot keep data in .*file"):
        Store(tmp_path / "file")


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "watch.sqlite") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(UsageError, match="version 99, expected 1"):
        Store(tmp_path)


def test_a_store_is_read_while_it_is_written(store: Store) -> None:
    store.add_events(crossings(2))
    with reading(store.path) as rows:
        assert list(rows.events()) == crossings(2)


def test_what_is_no_store_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "watch.sqlite").write_text("people" * 1000)
    with pytest.raises(SourceError, match=r"expected the watch\.sqlite of `watch`"), reading(tmp_path / "watch.sqlite"):
        pass
