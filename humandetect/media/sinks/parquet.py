"""Results, events and counts as Parquet: tables that pandas, polars and DuckDB read fast and without being told how."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from humandetect.errors import SinkError
from humandetect.media.frames import Event
from humandetect.media.parquet_columns import FRAMES, MADE_KEY, SIDES, pa, pq
from humandetect.media.sinks.atomic_files import PendingFile, sink_error
from humandetect.media.sinks.base import Sink
from humandetect.media.sinks.event_sinks import EVENT_COLUMNS, event_cells
from humandetect.media.sinks.text_formats import frame_record, provenance_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from humandetect.media.frames import DetectedFrame, Provenance
    from humandetect.media.sinks.base import PictureKind

GROUP_BOXES = 20_000
"""Rows and the people in them that are kept in memory, some 10 MB, until they are written as a row group."""
_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string()}


class ParquetSink(Sink):
    """Writes rows in groups, under a hidden name until complete; what a crash leaves there cannot be read."""

    picture: PictureKind = "none"

    def __init__(self, path: Path, columns: pa.Schema) -> None:
        super().__init__()
        self._path = path
        self._pending = PendingFile(path)
        self.warnings += self._pending.remains("which cannot be read: delete it unless that run goes on")
        self._writer = pq.ParquetWriter(self._pending.path, columns, compression="zstd")
        self._columns = columns
        self._group: list[Mapping[str, Any]] = []
        self._boxes = 0
        self.rows = 0
        """So far, also those that are not written yet."""
        self._broken = False
        """Whether half a group is in the file, which then never becomes a Parquet file."""
        self._closed = False
        self._written: Path | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row; it is written with others."""
        self._group.append(row)
        self.rows += 1
        self._boxes += 1 + len(row.get("people", ()))
        if self._boxes >= GROUP_BOXES:
            self._write_group()

    def write(self, result: DetectedFrame) -> None:
        """Take nothing of a frame."""

    def close(self, *, complete: bool = True) -> Path | None:
        if self._closed:
            return self._written
        self._closed = True
        if self._broken or not (complete or self.rows):
            self._discard()
            return None
        try:
            self._write_group()
            self._end()
        except SinkError:
            self._discard()
            raise
        self._written = self._pending.finish(complete=complete)
        return self._written

    def metadata(self) -> dict[str, str]:
        """Return what the file says of itself."""
        return {}

    def _discard(self) -> None:
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._pending.discard()

    def _write_group(self) -> None:
        group, self._group, self._boxes = self._group, [], 0
        if not group:
            return
        try:
            self._writer.write_table(pa.Table.from_pylist(group, self._columns))
        except OSError as error:
            self._broken = True
            raise sink_error(self._path, error) from error

    def _end(self) -> None:
        try:
            self._writer.add_key_value_metadata(self.metadata())
            self._writer.close()
        except OSError as error:
            raise sink_error(self._path, error) from error


class ParquetResults(ParquetSink):
    """A row a frame with a list of its people; how they were made is in the file's metadata."""

    def __init__(self, path: Path, *, weakest_score: float | None = None) -> None:
        super().__init__(path, FRAMES)
        self._weakest_score = weakest_score
        self._begun: Provenance | None = None
        self._made: list[dict[str, Any]] = []

    def begin(self, provenance: Provenance) -> None:
        """Take how the next source's results are made."""
        self._begun = provenance

    def write(self, result: DetectedFrame) -> None:
        if self._begun is not None:
            self._made.append({**provenance_record(self._begun), "first_row": self.rows})
            self._begun = None
        record = frame_record(result, self._weakest_score)
        people = [
            {**dict(zip(SIDES, box.pop("box"), strict=True)), "weak": False, **box} for box in record.pop("people")
        ]
        self.add({"detected": True, **record, "people": people})

    def metadata(self) -> dict[str, str]:
        return {MADE_KEY: json.dumps(self._made)}


class ParquetEvents(ParquetSink):
    """A row an event, in the columns of the CSV."""

    def __init__(self, path: Path) -> None:
        types = get_type_hints(Event)
        super().__init__(path, pa.schema({name: _arrow(types.get(name, float)) for name in EVENT_COLUMNS}))

    def write(self, result: DetectedFrame) -> None:
        for event in result.events:
            self.add(dict(zip(EVENT_COLUMNS, event_cells(asdict(event)), strict=True)))


class ParquetCounts(ParquetSink):
    """Rows of counts; they come by `add`, from whoever sums up, not with the frames."""

    def __init__(self, path: Path, types: Mapping[str, Any]) -> None:
        super().__init__(path, pa.schema({name: _arrow(kind) for name, kind in types.items()}))


def _arrow(kind: Any) -> pa.DataType:
    """Return the column type of a field's type, `int | None` as well as `int`; what is no number is text."""
    return next((_ARROW[one] for one in get_args(kind) or (kind,) if one in _ARROW), pa.string())
