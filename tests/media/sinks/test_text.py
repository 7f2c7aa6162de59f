"""Result files are complete or marked as partial; crops show the people."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import SinkError, UsageError
from humandetect.media.sinks.text import ResultsSink, open_results
from tests.builders import detected
from tests.media.sinks.full_disk import room_for

if TYPE_CHECKING:
    from pathlib import Path

BOX = [10, 10, 30, 40]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: Path) -> list[object]:
    if path.name.endswith(".coco.json"):
        return list(json.loads(path.read_bytes()))
    if path.suffix == ".csv":
        return list(csv.DictReader(path.read_text().splitlines()))
    lines = path.read_text().splitlines()
    return [json.loads(line) if line.startswith("{") else line for line in lines]


ENDINGS = (".jsonl", ".ndjson", ".csv", ".coco.json", ".mot.txt", ".JSONL", ".Coco.json")


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_ending_chooses_the_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.v1{ending}"
    with open_results(str(path)) as sink:
        for index in range(3):
            sink.write(detected(index, [BOX]))
    assert sink.close() == path
    assert names(tmp_path) == [path.name]
    if ending.islower():
        assert len(read(path)) == 3


@pytest.mark.parametrize("name", ["out.json", "out.txt", "out", "jsonl", "--", ""])
def test_other_endings_are_refused_with_the_list(name: str) -> None:
    with pytest.raises(
        UsageError,
        match=r"must end in \.jsonl, \.ndjson, .*\.coco-dataset\.json, \.mot\.txt, \.parquet, or be -",
    ):
        open_results(name)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".coco.json", ".mot.txt"])
def test_interrupted_results_are_kept_as_partial_and_readable(tmp_path: Path, ending: str) -> None:
    sink = open_results(str(tmp_path / f"out{ending}"))
    sink.write(detected(0, [BOX]))
    partial = tmp_path / f"out.partial{ending}"
    assert sink.close(complete=False) == partial
    assert sink.close() == partial
    assert names(tmp_path) == [partial.name]
    assert len(read(partial)) == 1


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".coco.json", ".mot.txt"])
def test_a_run_without_frames_gives_an_empty_result_when_complete_and_none_when_not(
    tmp_path: Path, ending: str
) -> None:
    assert open_results(str(tmp_path / f"out{ending}")).close(complete=False) is None
    assert names(tmp_path) == []
    open_results(str(tmp_path / f"out{ending}")).close()
    assert read(tmp_path / f"out{ending}") == []


def test_the_old_result_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    sink = open_results(str(path))
    sink.write(detected())
    assert path.read_text() == "old"
    sink.close()
    assert len(read(path)) == 1


@pytest.mark.parametrize("ending", [".jsonl", ".coco.json", ".parquet"])
def test_a_run_says_where_the_remains_of_a_killed_one_lie(tmp_path: Path, ending: str) -> None:
    remains, of_another, growing = (
        tmp_path / f".{name}.part{ending}" for name in ("p[1].0123abcd", "other.0123abcd", "p[1].89abcdef")
    )
    for path in (remains, of_another, growing):
        path.write_bytes(b"what was written")
    for path in (remains, of_another):
        os.utime(path, (time.time() - 60,) * 2)
    with open_results(str(tmp_path / f"p[1]{ending}")) as sink:
        sink.write(detected(0))
    (warning,) = sink.warnings
    assert str(remains) in warning


def test_a_missing_folder_fails_before_the_first_frame(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="create it first"):
        open_results(str(tmp_path / "nowhere" / "out.csv"))


def test_every_line_is_on_the_disk_at_once(tmp_path: Path) -> None:
    sink = open_results(str(tmp_path / "out.jsonl"))
    for count in (1, 2, 3):
        sink.write(detected(count))
        (hidden,) = tmp_path.iterdir()
        assert len(hidden.read_text().splitlines()) == count
    sink.close()


def write_beyond(path: Path, *, room: int) -> None:
    """Write more results than there is room for."""
    with room_for(room), open_results(str(path)) as sink:
        for index in range(1000):
            sink.write(detected(index, [[1, 2, 3, 4]]))


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_a_full_disk_is_one_clear_error_and_keeps_what_there_is(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SinkError, match="the file grew beyond the size limit"):
        write_beyond(tmp_path / f"out{ending}", room=2000)
    partial = tmp_path / f"out.partial{ending}"
    assert names(tmp_path) == [partial.name]
    assert len(read(partial)) > 10  # every line whole


def test_a_disk_that_is_full_at_the_end_fails_the_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_results(str(tmp_path / "out.coco.json"))
    sink.write(detected(0, [BOX]))

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    assert isinstance(sink, ResultsSink)
    sink._file.close()
    monkeypatch.setattr(sink, "_file", Full())
    with pytest.raises(SinkError, match="the disk is full"):
        sink.close()
    assert "out.coco.json" not in names(tmp_path)


def test_dash_is_json_lines_on_stdout(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    sink = open_results("-")
    sink.write(detected(0, [BOX], source="ünï.mp4"))
    first = capsysbinary.readouterr().out  # at once, not at the end
    assert json.loads(first)["source"] == "ünï.mp4"
    assert first.endswith(b"\n")
    assert sink.close() is None


def test_a_reader_that_goes_away_is_told_by_a_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=pipe))
        with pytest.raises(BrokenPipeError), open_results("-") as sink:
            sink.write(detected())


def test_a_full_disk_behind_stdout_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=Full()))
    with pytest.raises(SinkError, match=r"^cannot write to stdout: the disk is full: free some space"):
        open_results("-").write(detected())
