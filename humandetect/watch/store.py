"""What survives the process, in one SQLite file: events, counts, totals, and what waits to be sent."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from humandetect.config.delivery import DeliveryConfig
from humandetect.errors import SinkError
from humandetect.media.frames import Event
from humandetect.watch.database import claimed, connected, is_damage, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from humandetect.analytics.counts import CountRow

logger = logging.getLogger(__name__)

T = TypeVar("T")

SWEEP_SECONDS = 600.0
"""How often what is too old, or too many, is deleted."""


RESULTS = ("sent", "failed", "dropped")
"""What becomes of an event: it arrived, was given up, or left because too many waited."""


class Queued(NamedTuple):
    """An event that waits for one receiver."""

    number: int
    event: Event
    json: str
    """As in a file of events."""


class Store:
    """Keeps what `Memory` promises, from any thread, and gives those who send it what is due.

    A commit survives the death of the process; of the machine, too, except for what its last seconds wrote.
    """

    def __init__(self, folder: Path, config: DeliveryConfig | None = None) -> None:
        """Open or make `watch.sqlite`. Raises UsageError where another process has it, SinkError where it cannot be."""
        self.path = folder / "watch.sqlite"
        self._config = config or DeliveryConfig()
        self._receivers = self._config.receivers
        self._lock = threading.RLock()
        self._closed = False
        self._failing = False
        """So that a full disk is said once, not at each event."""
        self._next_sweep = 0.0
        self._queued: Counter[str] = Counter()
        self._waiters: list[Callable[[], object]] = []
        self.lost: Counter[str] = Counter()
        """What could not be kept: `events`, `counts`."""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Events by receiver and result."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._claim = claimed(folder)
            try:
                self._db = self._opened()
            except BaseException:
                self._claim.close()
                raise
        except (OSError, sqlite3.Error) as error:
            told = getattr(error, "strerror", None) or error
            raise SinkError(f"cannot keep data in {str(folder)!r} (--data): {told}") from error

    def add_events(self, events: Sequence[Event]) -> None:
        """Do as Memory says."""
        if events and not self._kept(lambda db: self._add_events(db, events)):
            self.lost["events"] += len(events)
        for wake in self._waiters:
            wake()

    def add_count(self, row: CountRow) -> None:
        """Do as Memory says."""
        values = (row["source"], _epoch(row["start_wall"]), json.dumps(row))
        if not self._kept(lambda db: db.execute("INSERT INTO counts (camera, at, json) VALUES (?, ?, ?)", values)):
            self.lost["counts"] += 1

    def totals(self, camera: str) -> Mapping[tuple[str, str], int]:
        """Do as Memory says."""
        rows = self._rows("SELECT line, direction, crossings FROM totals WHERE camera = ?", camera)
        return {(line, direction): crossings for line, direction, crossings in rows}

    def last_track_id(self, camera: str) -> int:
        """Do as Memory says."""
        return max((last for (last,) in self._rows("SELECT last_id FROM tracks WHERE camera = ?", camera)), default=0)

    def keep_track_id(self, camera: str, track_id: int) -> None:
        """Do as Memory says."""
        self._kept(
            lambda db: db.execute(
                "INSERT INTO tracks VALUES (?, ?) ON CONFLICT DO UPDATE SET last_id = max(last_id, excluded.last_id)",
                (camera, track_id),
            )
        )

    def retained(self) -> dict[str, str]:
        """Return what a broker was last told to keep, by topic, as far as `keep_retained` was told."""
        return dict(self._rows("SELECT topic, said FROM retained"))

    def keep_retained(self, said: Mapping[str, str]) -> None:
        """Keep what topics say; those that say nothing are forgotten."""

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO retained VALUES (?, ?)", said.items())
            db.execute("DELETE FROM retained WHERE said = ''")

        self._kept(write)

    def events(self, *, camera: str | None = None, before: str | None = None, limit: int = 100) -> Sequence[Event]:
        """Do as Memory says; nothing is before an event that is not known."""
        where = ["TRUE"]
        where += ["camera = :camera"] * (camera is not None)
        where += ["number < (SELECT number FROM events WHERE id = :before)"] * (before is not None)
        rows = self._rows(
            f"SELECT json FROM events WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT :limit",  # noqa: S608
            camera=camera, before=before, limit=limit,
        )  # fmt: skip
        return [event_of(text) for (text,) in rows]

    def counts(self, *, camera: str | None, since: datetime) -> Sequence[CountRow]:
        """Do as Memory says; oldest first."""
        rows = self._rows(
            "SELECT json FROM counts WHERE at >= :since AND :camera IN (camera, '') ORDER BY at, number",
            since=since.timestamp(), camera=camera or "",
        )  # fmt: skip
        return [json.loads(text) for (text,) in rows]

    def queued(self, receiver: str) -> int:
        """Return how many events wait."""
        with self._lock:
            return self._queued[receiver]

    def first_queued(self, receiver: str) -> Queued | None:
        """Return the oldest event that waits; it stays until `take` has it."""
        rows = self._rows("SELECT number, json FROM queue WHERE receiver = ? ORDER BY number LIMIT 1", receiver)
        return next((Queued(number, event_of(text), text) for number, text in rows), None)

    def take(self, queued: Queued, receiver: str, *, result: str) -> bool:
        """Take an event from the queue, and count what became of it; tell whether that could be written."""
        with self._lock:
            taken = self._kept(lambda db: self._delete_queued(db, receiver, "number = ?", queued.number))
            self.outcomes[receiver, result] += taken
            return taken

    def on_queued(self, wake: Callable[[], object]) -> None:
        """Call this, which returns at once, after events were queued."""
        self._waiters.append(wake)

    def close(self) -> None:
        """Let the file go; what is asked later finds nothing, and what is given is lost. May be called twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._db.close()
                self._claim.close()

    def _add_events(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        for event in events:
            text = json.dumps(asdict(event))
            values = (event.id, event.source, _epoch(event.wall_time), text)
            if not db.execute(
                "INSERT OR IGNORE INTO events (id, camera, at, json) VALUES (?, ?, ?, ?)", values
            ).rowcount:
                continue
            if event.event == "crossing":
                db.execute(
                    "INSERT INTO totals VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET crossings = crossings + 1",
                    (event.source, event.line, event.direction),
                )
            db.executemany(
                "INSERT INTO queue (receiver, json) VALUES (?, ?)", [(name, text) for name in self._receivers]
            )
            self._queued.update(self._receivers)
        for receiver in self._receivers:
            self._drop_oldest(db, receiver)
        if time.monotonic() >= self._next_sweep:
            self._sweep(db)

    def _drop_oldest(self, db: sqlite3.Connection, receiver: str) -> None:
        excess = self._queued[receiver] - self._config.most_queued
        if excess > 0:
            oldest = "number IN (SELECT number FROM queue WHERE receiver = ? ORDER BY number LIMIT ?)"
            self.outcomes[receiver, "dropped"] += self._delete_queued(db, receiver, oldest, receiver, excess)

    def _delete_queued(self, db: sqlite3.Connection, receiver: str, where: str, *values: object) -> int:
        deleted = db.execute(f"DELETE FROM queue WHERE {where}", values).rowcount  # noqa: S608
        self._queued[receiver] -= deleted
        return deleted

    def _sweep(self, db: sqlite3.Connection) -> None:
        self._next_sweep = time.monotonic() + SWEEP_SECONDS
        oldest = time.time() - timedelta(days=self._config.keep_event_days).total_seconds()
        for table in ("events", "counts"):
            db.execute(f"DELETE FROM {table} WHERE at < ?", (oldest,))  # noqa: S608
            db.execute(
                f"DELETE FROM {table} WHERE number <= (SELECT max(number) FROM {table}) - ?",  # noqa: S608
                (self._config.most_events,),
            )

    def _kept(self, write: Callable[[sqlite3.Connection], object]) -> bool:
        """Write in one transaction, of which all or nothing is kept; tell whether it was."""
        with self._lock:
            queued = self._queued.copy()
            outcomes = self.outcomes.copy()
            try:
                self._tried(lambda db: transaction(db, write))
            except (sqlite3.Error, OSError) as error:
                self._queued, self.outcomes = queued, outcomes
                self._say(error)
                return False
            self._failing = False
            return True

    def _rows(self, query: str, *values: object, **named: object) -> list[Any]:
        with self._lock:
            try:
                return self._tried(lambda db: db.execute(query, named or values).fetchall())
            except (sqlite3.Error, OSError) as error:
                self._say(error)
                return []

    def _tried(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """Use the file; a damaged one is set aside, and a new one used."""
        try:
            return use(self._db)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._db.close()
            self._set_aside(error)
            self._db = self._opened()
            return use(self._db)

    def _say(self, error: Exception) -> None:
        if not self._failing and not self._closed:
            logger.error("%s: %s; watching goes on, and what happens meanwhile is not kept", self.path, error)
        self._failing = True

    def _opened(self) -> sqlite3.Connection:
        try:
            db = connected(self.path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._set_aside(error)
            db = connected(self.path)
        rows = db.execute("SELECT receiver, count(*) FROM queue GROUP BY receiver").fetchall()
        self._queued = Counter(dict(rows))
        return db

    def _set_aside(self, error: Exception) -> None:
        aside = self.path.with_name(f"{self.path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{self.path.suffix}")
        for ending in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + ending)
            if part.exists():
                part.replace(aside.with_name(aside.name + ending))
        logger.error("%s is damaged (%s): set aside as %s; totals begin anew", self.path, error, aside.name)


def _epoch(wall_time: str | None) -> float:
    return datetime.fromisoformat(wall_time).timestamp() if wall_time else time.time()


def event_of(text: str) -> Event:
    """Return the event that was written as JSON."""
    values = json.loads(text)
    return Event(**{**values, **{name: tuple(values[name]) for name in ("box", "point") if values[name]}})
