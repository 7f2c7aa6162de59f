"""The SQLite file of a store: its tables, who has it, and whether it can be trusted."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = 1
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = """
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, camera TEXT NOT NULL,
                     at REAL NOT NULL, json TEXT NOT NULL);
CREATE INDEX events_of_camera ON events (camera, number);
CREATE TABLE counts (number INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, at REAL NOT NULL,
                     json TEXT NOT NULL);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX counts_by_time ON counts (at);
CREATE TABLE totals (camera TEXT NOT NULL, line TEXT NOT NULL, direction TEXT NOT NULL, crossings INTEGER NOT NULL,
                     PRIMARY KEY (camera, line, direction)) WITHOUT ROWID;
CREATE TABLE tracks (camera TEXT PRIMARY KEY, last_id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE queue (number INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, json TEXT NOT NULL);
CREATE INDEX queue_of_receiver ON queue (receiver, number);
"""
_RETAINED = "CREATE TABLE IF NOT EXISTS retained (topic TEXT PRIMARY KEY, said TEXT NOT NULL) WITHOUT ROWID"
"""What files of the same version may lack."""


def claimed(folder: Path) -> sqlite3.Connection:
    """Keep other processes from a folder: a lock of the system, which even a killed process gives back."""
    claim = sqlite3.connect(folder / "watch.lock", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        claim.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        claim.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise UsageError(f"another process keeps its data in {str(folder)!r}: end it, or name another --data") from None
    return claim


def connected(path: Path) -> sqlite3.Connection:
    """Open or make the file. Raises sqlite3.Error, and UsageError for one of another version."""
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if not db.execute("PRAGMA user_version").fetchone()[0]:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        check_version(db, path)
        db.execute(_RETAINED)
    except BaseException:
        db.close()
        raise
    return db


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """Raise UsageError for a file of another version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise UsageError(
            f"{str(path)!r} is of version {version}, expected {VERSION}: was it made by a newer humandetect?"
        )


def transaction(db: sqlite3.Connection, write: Callable[[sqlite3.Connection], object]) -> None:
    """Keep all that is written, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        write(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell a damaged file from one that only cannot be used now."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED  # the rest says where
