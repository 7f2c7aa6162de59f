"""What `analyze` makes of a store: its events as they are, its counts in longer intervals, and a page of both."""

from __future__ import annotations

import json
import sqlite3
import statistics
from collections import defaultdict
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import numpy as np
import supervision as sv

from humandetect import __version__
from humandetect.analytics.counts import CountRow
from humandetect.analytics.report import SourceReport
from humandetect.config.commands import command_line
from humandetect.errors import SourceError
from humandetect.media.frames import DetectedFrame, Frame
from humandetect.media.sinks.event_sinks import open_counts, open_events
from humandetect.media.sinks.names import refuse_input
from humandetect.pipeline.failure_policy import costs_the_rest
from humandetect.pipeline.summary import RunRecord, RunSummary
from humandetect.reporting.sinks import ReportSink
from humandetect.watch.database import check_version
from humandetect.watch.store import event_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.config import AnalyzeConfig
    from humandetect.media.frames import Event
    from humandetect.media.sinks.base import Sink

S = TypeVar("S", bound="Sink")

STORED_SECONDS = 60
"""How long a row of counts is."""


@contextmanager
def reading(path: Path) -> Iterator[StoredRows]:
    """Open a store only to read it, also while `watch` writes it. Raises SourceError."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            check_version(db, path)
            yield StoredRows(db)
    except sqlite3.Error as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}; expected the watch.sqlite of `watch`") from error


class StoredRows:
    """All that a store has, oldest first."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def events(self) -> Iterator[Event]:
        return (event_of(text) for (text,) in self._db.execute("SELECT json FROM events ORDER BY number"))

    def newest_events(self, camera: str) -> Iterator[Event]:
        """Yield the events of a camera, newest first."""
        rows = self._db.execute("SELECT json FROM events WHERE camera = ? ORDER BY number DESC", (camera,))
        return (event_of(text) for (text,) in rows)

    def uncounted(self) -> list[str]:
        """Return the cameras that had neither lines nor zones."""
        rows = self._db.execute("SELECT camera FROM events EXCEPT SELECT camera FROM counts ORDER BY camera")
        return [camera for (camera,) in rows]

    def counts(self) -> Iterator[CountRow]:
        rows = self._db.execute("SELECT json FROM counts ORDER BY camera, at, number")
        return (cast("CountRow", json.loads(text)) for (text,) in rows)


class _CameraInterval(NamedTuple):
    camera: str
    start: datetime


def analyze_store(config: AnalyzeConfig) -> RunSummary:
    """Write the events and counts that a store has, and a report of them; it fails as `run` does."""
    record = RunRecord()
    record.begin(engine="")
    counting, path = config.counting, Path(config.files[0])
    with costs_the_rest(record), reading(path) as rows:
        if counting.events is not None:
            refuse_input(Path(counting.events), [path])
            with _written(open_events(counting.events), record) as events:
                nothing = DetectedFrame(Frame(np.zeros((1, 1, 3), np.uint8), 0, 0.0, ""), sv.Detections.empty())
                for event in rows.events():
                    events.write(replace(nothing, events=(event,)))  # sinks take events with a frame
        if counting.counts is not None:
            refuse_input(counting.counts, [path])
            with _written(open_counts(counting.counts, CountRow.__annotations__), record) as counts:
                for row in summed(rows, per_seconds=counting.per_seconds):
                    counts.add(row)
        if counting.report is not None:
            refuse_input(counting.report, [path])
            with _written(ReportSink(counting.report), record) as page:
                for report in reported(rows, config):
                    page.add(report)
            record.warnings += [
                f"nothing was counted at camera {camera!r}: it had no lines and no zones" for camera in rows.uncounted()
            ]
    return record.summary()


def reported(rows: StoredRows, config: AnalyzeConfig) -> Iterator[SourceReport]:
    """Yield what is told of each camera, from the midnight before, with its newest events."""
    made = {"humandetect": __version__, "Command": command_line(config, str(config.files[0]))}
    for camera, counted in groupby(summed(rows, per_seconds=STORED_SECONDS), key=itemgetter("source")):
        names: dict[str, list[str]] = {"line": [], "zone": []}
        first = next(counted)
        midnight = _midnight(first["start_wall"] or "")
        report = SourceReport(
            made, lines=names["line"], zones=names["zone"], per_seconds=config.counting.per_seconds, started=midnight,
            row_seconds=STORED_SECONDS,
        )  # fmt: skip
        for row in chain([first], counted):
            if row["name"] not in names[row["kind"]]:
                names[row["kind"]].append(row["name"])
            report.add_row({**row, "start_seconds": _since(midnight, row["start_wall"])})
        for event in rows.newest_events(camera):
            report.gaps += event.event == "gap"
            if event.event != "camera" and event.wall_time:
                seconds = _since(midnight, event.wall_time)
                if seconds < (report.end_seconds or 0.0):  # else it is of a minute that is not counted yet
                    report.note([replace(event, time_seconds=seconds)])
        yield report


def summed(rows: StoredRows, *, per_seconds: float) -> Iterator[CountRow]:
    """Yield the counts in intervals that begin with the day of the clock on the wall; none where nobody watched."""
    dwells: defaultdict[tuple[_CameraInterval, str], list[float]] = defaultdict(list)
    for event in rows.events():
        if event.event == "exit" and event.zone and event.wall_time and event.dwell_seconds is not None:
            dwells[_interval(event.source, event.wall_time, per_seconds), event.zone].append(event.dwell_seconds)
    begins: dict[str, datetime] = {}
    stored = (row for row in rows.counts() if row["start_wall"] is not None)
    for interval, within in groupby(stored, lambda row: _interval(row["source"], row["start_wall"] or "", per_seconds)):
        begin = begins.setdefault(interval.camera, interval.start)
        found: defaultdict[tuple[str, str], list[CountRow]] = defaultdict(list)
        for row in within:
            found[row["kind"], row["name"]].append(row)
        for (kind, name), those in found.items():
            stays = dwells[interval, name] if kind == "zone" else []
            yield _sum(interval, kind, name, those, stays, seconds=(interval.start - begin).total_seconds())


def _sum(
    interval: _CameraInterval, kind: str, name: str, rows: list[CountRow], dwells: list[float], *, seconds: float
) -> CountRow:
    zone = kind == "zone"
    covered = sum(row["seconds_covered"] for row in rows)
    person_seconds = sum(row["person_seconds"] or 0.0 for row in rows)
    return {
        "source": interval.camera,
        "start_seconds": seconds,
        "start_wall": interval.start.isoformat(timespec="milliseconds"),
        "seconds_covered": round(covered, 6),
        "kind": kind,
        "name": name,
        "in": None if zone else sum(row["in"] or 0 for row in rows),
        "out": None if zone else sum(row["out"] or 0 for row in rows),
        "inside_mean": round(person_seconds / covered, 4) if zone and covered else None,
        "inside_max": max((most for row in rows if (most := row["inside_max"]) is not None), default=None),
        "visits": sum(row["visits"] or 0 for row in rows) if zone else None,
        "person_seconds": round(person_seconds, 6) if zone else None,
        "dwell_median_seconds": round(statistics.median(dwells), 6) if dwells else None,
    }


def _interval(camera: str, wall_time: str, per_seconds: float) -> _CameraInterval:
    midnight = _midnight(wall_time)
    whole = _since(midnight, wall_time) // per_seconds * per_seconds
    return _CameraInterval(camera, midnight + timedelta(seconds=whole))


def _midnight(wall_time: str) -> datetime:
    return datetime.fromisoformat(wall_time).replace(hour=0, minute=0, second=0, microsecond=0)


def _since(begin: datetime, wall_time: str | None) -> float:
    return (datetime.fromisoformat(wall_time or "") - begin).total_seconds()


@contextmanager
def _written(sink: S, record: RunRecord) -> Iterator[S]:
    ended_well = False
    try:
        yield sink
        ended_well = True
    finally:
        record.add_output(sink.close(complete=ended_well))
        record.warnings += sink.warnings
