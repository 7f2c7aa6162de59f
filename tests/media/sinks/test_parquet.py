"""Results, events and counts as Parquet: the same numbers as in JSON and CSV, whole files, flat memory."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from humandetect.analytics.counts import CountRow
from humandetect.errors import MissingExtra, SinkError, SourceError, UsageError
from humandetect.media.frames import Event, Provenance
from humandetect.media.parquet_columns import FRAMES, MADE_KEY, read_records
from humandetect.media.sinks import parquet
from humandetect.media.sinks.event_sinks import open_counts, open_events
from humandetect.media.sinks.parquet import ParquetResults
from humandetect.media.sinks.text import open_results
from tests.builders import detected, people
from tests.media.sinks.test_text import names, write_beyond

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.media.frames import DetectedFrame

MADE = Provenance("clip.mp4", "video", (64, 48), 2, 0.5, 0.1, (0.5, 0.3), {"model": "m 1"}, None, "0.1.0")
EVENT = Event(
    "crossing", "ab12", "clip.mp4", 1.25, frame=31, line="gate", direction="in", track_id=3, score=0.8125,
    box=(1.0, 2.0, 30.33, 40.1), point=(15.5, 40.1),
)  # fmt: skip


def frames() -> list[DetectedFrame]:
    tracked = people([[10.123, 10, 30, 40], [1, 1, 5, 9.999]], [0.91236, 0.5])
    tracked.tracker_id = np.array([7, -1])
    found = replace(detected(0), detections=tracked, weak=people([[2, 2, 4, 4]], [0.3]))
    return [found, replace(detected(1), detected=False), replace(detected(2), detected=False, failure="away")]


def test_results_are_read_back_as_lines_of_json_say_them(tmp_path: Path) -> None:
    for ending in (".jsonl", ".parquet"):
        with open_results(str(tmp_path / f"r{ending}"), weakest_score=0.1) as sink:
            for source in ("clip.mp4", "ünï.mp4"):
                sink.begin(replace(MADE, source=source))
                for result in frames():
                    sink.write(replace(result, frame=replace(result.frame, source=source)))
    lines = list(map(json.loads, (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()))
    records = list(read_records(tmp_path / "r.parquet"))
    for line in lines:
        line.setdefault("people", None)
        if line["people"] is not None:
            line.setdefault("detected", True)
        for person in line["people"] or ():
            person.setdefault("weak", False)
    for record in records:
        record.setdefault("people", None)
        record.pop("first_row", None)
    assert json.loads(json.dumps(records)) == lines


def test_people_are_columns_under_the_names_of_the_csv(tmp_path: Path) -> None:
    for ending in (".csv", ".parquet"):
        with open_results(str(tmp_path / f"r{ending}"), weakest_score=0.1) as sink:
            for result in frames():
                sink.write(result)
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
    table = pq.read_table(tmp_path / "r.parquet").to_pylist()
    flat = [{**frame, **person} for frame in table for person in frame["people"]]
    assert [[str(row["track_id"] or ""), str(row["x1"]), str(row["weak"]).lower()] for row in flat] == [
        [row["track_id"], row["x1"], row["weak"]] for row in rows
    ]
    assert set(rows[0]) <= set(flat[0])


def test_events_and_counts_have_the_columns_of_the_csv_with_their_types(tmp_path: Path) -> None:
    count: CountRow = {
        "source": "clip.mp4", "start_seconds": 0.0, "start_wall": None, "seconds_covered": 2.5, "kind": "line",
        "name": "gate", "in": 3, "out": 0, "inside_mean": None, "inside_max": None, "visits": None,
        "person_seconds": None, "dwell_median_seconds": None,
    }  # fmt: skip
    for ending in (".csv", ".parquet"):
        events = open_events(str(tmp_path / f"e{ending}"))
        events.write(replace(detected(), events=(EVENT, replace(EVENT, box=None, point=None, track_id=None))))
        events.close()
        with open_counts(tmp_path / f"c{ending}", CountRow.__annotations__) as counts:
            counts.add(count)
    for stem in ("e", "c"):
        table = pq.read_table(tmp_path / f"{stem}.parquet")
        with (tmp_path / f"{stem}.csv").open() as file:
            assert list(csv.DictReader(file)) == [
                {name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_pylist()
            ]
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "e.parquet")}
    assert [types[name] for name in ("frame", "track_id", "x1", "dwell_seconds", "line", "direction")] == [
        "int64", "int64", "double", "double", "string", "string",
    ]  # fmt: skip


def test_memory_is_bounded_by_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_BOXES", 10)
    with open_results(str(tmp_path / "r.parquet")) as sink:
        for index in range(21):
            sink.write(detected(index, [[1, 2, 3, 4]] * 2))
    assert pq.ParquetFile(tmp_path / "r.parquet").num_row_groups == 6
    assert [record["frame"] for record in read_records(tmp_path / "r.parquet")] == list(range(21))


def test_interrupted_results_are_partial_and_readable(tmp_path: Path) -> None:
    sink = open_results(str(tmp_path / "r.parquet"))
    sink.write(detected(0, [[1, 2, 3, 4]]))
    partial = tmp_path / "r.partial.parquet"
    assert sink.close(complete=False) == sink.close() == partial
    assert names(tmp_path) == [partial.name]
    assert len(list(read_records(partial))) == 1


def test_a_run_without_frames_gives_an_empty_table_when_complete_and_nothing_when_not(tmp_path: Path) -> None:
    assert open_results(str(tmp_path / "r.parquet")).close(complete=False) is None
    assert names(tmp_path) == []
    open_results(str(tmp_path / "r.parquet")).close()
    assert list(read_records(tmp_path / "r.parquet")) == []


def test_a_source_without_frames_is_not_told_of(tmp_path: Path) -> None:
    with ParquetResults(tmp_path / "r.parquet") as sink:
        sink.begin(MADE)
        sink.begin(replace(MADE, source="b.mp4"))
        sink.write(detected(source="b.mp4"))
    assert [record["source"] for record in read_records(tmp_path / "r.parquet")] == ["b.mp4", "b.mp4"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BOXES", 10)
    with pytest.raises(SinkError, match="the file grew beyond the size limit"):
        write_beyond(tmp_path / "out.parquet", room=2000)
    assert names(tmp_path) == []


def test_a_disk_that_is_full_at_the_end_fails_the_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = ParquetResults(tmp_path / "r.parquet")
    sink.write(detected())
    monkeypatch.setattr(sink, "metadata", lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(SinkError, match="the disk is full"):
        sink.close()
    assert names(tmp_path) == []


def test_files_that_are_no_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        list(read_records(tmp_path / "none.parquet"))
    (tmp_path / "text.parquet").write_text("no table, though long enough to be one")
    with pytest.raises(UsageError, match="is no Parquet file"):
        list(read_records(tmp_path / "text.parquet"))
    open_counts(tmp_path / "counts.parquet", {"source": str}).close()
    with pytest.raises(UsageError, match="no results of frames: there is no column 'frame'"):
        list(read_records(tmp_path / "counts.parquet"))


@pytest.mark.parametrize("said", ["{", "[1]", '[{"source": "a"}]'])
def test_metadata_and_people_of_another_kind_are_refused(said: str, tmp_path: Path) -> None:
    empty = FRAMES.empty_table()
    pq.write_table(empty.replace_schema_metadata({MADE_KEY: said}), tmp_path / "made.parquet")
    with pytest.raises(UsageError, match="does not say how its results were made"):
        list(read_records(tmp_path / "made.parquet"))
    numbers = empty.set_column(empty.num_columns - 1, "people", pa.array([], pa.int64()))
    rows = pa.concat_tables([numbers, pa.table({name: [None] for name in FRAMES.names}, schema=numbers.schema)])
    pq.write_table(rows, tmp_path / "people.parquet")
    with pytest.raises(UsageError, match="column 'people' is not as detect writes it"):
        list(read_records(tmp_path / "people.parquet"))


def test_without_its_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("humandetect.media.parquet_columns", "humandetect.media.sinks.parquet"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"^Parquet needs more: pip install 'humandetect\[parquet\]'$"):
        open_results("r.parquet")
