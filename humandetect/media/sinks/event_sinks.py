"""Events and counts: what happened, each when it is certain, and sums per interval."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humandetect.media.frames import Event
from humandetect.media.sinks.text import ResultsSink, StdoutSink

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from humandetect.media.frames import DetectedFrame
    from humandetect.media.sinks.base import Sink
    from humandetect.media.sinks.parquet import ParquetCounts

_PARTS = {"box": ("x1", "y1", "x2", "y2"), "point": ("x", "y")}
EVENT_COLUMNS = tuple(name for field in fields(Event) for name in _PARTS.get(field.name, (field.name,)))


class EventLines:
    """One object a line, with all keys."""

    head = tail = ""

    def text(self, result: DetectedFrame) -> str:
        return "".join(json.dumps(asdict(event), separators=(", ", ": ")) + "\n" for event in result.events)


class EventRows:
    """One row an event; a box is four cells, a point two."""

    tail = ""
    head = ",".join(EVENT_COLUMNS) + "\n"

    def text(self, result: DetectedFrame) -> str:
        return _csv([event_cells(asdict(event)) for event in result.events])


def open_events(path_or_dash: str) -> Sink:
    """Return the sink for a file of events, its format chosen by the ending, or for `-`, JSON lines on stdout."""
    if path_or_dash == "-":
        return StdoutSink(EventLines())
    path = Path(path_or_dash)
    if path.suffix.lower() == ".parquet":
        from humandetect.media.sinks.parquet import ParquetEvents

        return ParquetEvents(path)
    form = EventRows() if path.suffix.lower() == ".csv" else EventLines()
    return ResultsSink(path, form, ending=path.suffix)


def open_counts(path: Path, types: Mapping[str, Any]) -> CountsSink | ParquetCounts:
    """Return the sink for rows of counts, whose columns have these types, its format chosen by the ending."""
    if path.suffix.lower() == ".parquet":
        from humandetect.media.sinks.parquet import ParquetCounts

        return ParquetCounts(path, types)
    return CountsSink(path, types)


class CountsSink(ResultsSink):
    """Rows of counts; they come by `add`, from whoever sums up, not with the frames."""

    def __init__(self, path: Path, keys: Iterable[str]) -> None:
        self._keys = tuple(keys)
        super().__init__(path, _CountsHead(self._keys), ending=path.suffix)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row."""
        self.append(_csv([[row[key] for key in self._keys]]))

    def write(self, result: DetectedFrame) -> None:
        """Take nothing of a frame."""


class _CountsHead:
    tail = ""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.head = ",".join(keys) + "\n"

    def text(self, result: DetectedFrame) -> str:  # noqa: ARG002
        return ""


def event_cells(event: dict[str, Any]) -> list[Any]:
    """Return the values of EVENT_COLUMNS."""
    cells: list[Any] = []
    for key, value in event.items():
        cells += list(value or [None] * len(_PARTS[key])) if key in _PARTS else [value]
    return cells


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    return lines.getvalue()
