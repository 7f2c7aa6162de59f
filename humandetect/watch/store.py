"""What survives the process, in one SQLite file: events, counts, totals and the ids that were given."""

from __future__ import annotations

import fcntl
import json
import logging
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from humandetect.errors import SinkError, UsageError
from humandetect.media.frames import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from humandetect.analytics.counts import CountRow

MOST_EVENTS = 1_000_000
"""Kept in all, about half a gigabyte: a busy door for a year."""
_PRUNE_EVERY = 10_000
_VERSION = 1
_TABLES = """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, camera TEXT NOT NULL, body TEXT NOT NULL);
    CREATE INDEX events_of_camera ON events (camera, number);
    CREATE TABLE counts (number INTEGER PRIMARY KEY, camera TEXT NOT NULL, start TEXT NOT NULL, body TEXT NOT NULL);
    CREATE INDEX counts_since ON counts (start, camera);
    CREATE TABLE totals (
        camera TEXT, line TEXT, direction TEXT, crossings INTEGER NOT NULL, PRIMARY KEY (camera, line, direction));
    CREATE TABLE tracks (camera TEXT PRIMARY KEY, last_id INTEGER NOT NULL);
"""

logger = logging.getLogger(__name__)


class Store:
    """The file `watch.sqlite` of a data folder, for one process at a time; from any thread.

    A damaged file is set aside and a new one begun. Nothing raises after that: a full disk must not stop a camera.
    """

    def __init__(self, folder: Path) -> None:
        """Open or create it. Raises UsageError where another process has it, SinkError where it cannot be written."""
        self.path = folder / "watch.sqlite"
        self.failures = 0
        """Writes that were lost."""
        self._access = threading.Lock()
        self._added = 0
        self._is_failing = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._owner = _own(folder / "watch.lock")
            try:
                self._database = self._opened()
            except BaseException:
                self._owner.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise SinkError(
                f"cannot keep data in {str(folder)!r}: {getattr(error, 'strerror', None) or error}"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # it cannot be read, which does not make it bad
                raise
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            logger.error("%s is damaged (%s): it now is %s, and a new one begins", self.path, error, aside.name)  # noqa: TRY400
            return _connect(self.path)

    def add_events(self, events: Sequence[Event]) -> None:
        with self._writing() as database:
            for event in events:
                body = json.dumps(asdict(event))
                row = (event.id, event.source, body)
                new = database.execute("INSERT OR IGNORE INTO events (id, camera, body) VALUES (?, ?, ?)", row).rowcount
                if new and event.event == "crossing":
                    database.execute(
                        "INSERT INTO totals VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET crossings = crossings + 1",
                        (event.source, event.line, event.direction),
                    )
                self._added += new
            if self._added >= _PRUNE_EVERY:
                self._added = 0
                database.execute(
                    "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?", (MOST_EVENTS,)
                )

    def add_count(self, row: CountRow) -> None:
        with self._writing() as database:
            database.execute(
                "INSERT INTO counts (camera, start, body) VALUES (?, ?, ?)",
                (row["source"], _utc(datetime.fromisoformat(row["start_wall"] or "")), json.dumps(row)),
            )

    def keep_track_id(self, camera: str, track_id: int) -> None:
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO tracks VALUES (?, ?)", (camera, track_id))

    def totals(self, camera: str) -> Mapping[tuple[str, str], int]:
        rows = self._read("SELECT line, direction, crossings FROM totals WHERE camera = ?", camera)
        return {(line, direction): crossings for line, direction, crossings in rows}

    def last_track_id(self, camera: str) -> int:
        rows = self._read("SELECT last_id FROM tracks WHERE camera = ?", camera)
        return int(rows[0][0]) if rows else 0

    def events(self, *, camera: str | None = None, before: str | None = None, limit: int = 100) -> Sequence[Event]:
        rows = self._read(
            "SELECT body FROM events WHERE (?1 IS NULL OR camera = ?1) "
            "AND (?2 IS NULL OR number < (SELECT number FROM events WHERE id = ?2)) ORDER BY number DESC LIMIT ?3",
            camera, before, limit,
        )  # fmt: skip
        return [event_of(json.loads(body)) for (body,) in rows]

    def counts(self, *, camera: str | None, since: datetime) -> Sequence[CountRow]:
        rows = self._read(
            "SELECT body FROM counts WHERE (?1 IS NULL OR camera = ?1) AND start >= ?2 ORDER BY number",
            camera, _utc(since),
        )  # fmt: skip
        return [json.loads(body) for (body,) in rows]

    def close(self) -> None:
        """Let another process have it; may be called twice."""
        with self._access:
            self._database.close()
            self._owner.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction; one that fails is lost and told, once in a row."""
        with self._access:
            try:
                with self._database:
                    yield self._database
                self._is_failing = False
            except sqlite3.Error as error:
                if not self._is_failing:
                    logger.error("events and counts are not kept: %s: %s", self.path, error)  # noqa: TRY400
                self._is_failing = True
                self.failures += 1

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._access:
            try:
                return self._database.execute(query, values).fetchall()
            except sqlite3.Error:
                logger.exception("%s cannot be read", self.path)
                return []


def _utc(moment: datetime) -> str:
    """Write a moment so that later ones compare as greater."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def event_of(known: Mapping[str, Any]) -> Event:
    """Return the event that was written as JSON; points and boxes become tuples again."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
    return Event(**values)


def _own(path: Path) -> TextIO:
    """Hold a lock for as long as the file is open, and the process lives."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        where = str(path.parent)
        raise UsageError(f"another process keeps its data in {where!r}: end it, or name another --data") from None
    return file


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # survives the process; a power cut may cost the last events
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise UsageError(f"{path} was written by a newer version of humandetect")
    except BaseException:
        database.close()
        raise
    return database
