"""Counting in a run: what happens at lines and in zones is written, summed up and drawn, from detector to file."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from humandetect.config import AnalyzeConfig, CountingConfig, DetectConfig
from humandetect.detection.detector import Detector
from humandetect.detection.finders import EngineFinder, open_batcher
from humandetect.errors import UsageError
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.annotate.scene import ACCENT
from humandetect.media.frames import DetectedFrame, Frame, Shape
from humandetect.media.sources import open_source
from humandetect.pipeline.analyze import analyze
from humandetect.pipeline.run import provenance_of, run
from tests.builders import make_clip, people
from tests.command_line import SAMPLE, error_line, invoke
from tests.pipeline.test_stages import FRAMES, Street

if TYPE_CHECKING:
    from humandetect.pipeline.summary import RunSummary

GATE = "gate=30%,0%,30%,100%"
DOOR = "door=70%,40%,100%,40%,100%,80%,70%,80%"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=FRAMES, fps=10)


def count(clip: Path, *, output: Path | None = None, **counting: Any) -> RunSummary:
    config = DetectConfig(sources=(str(clip),), output=output, counting=CountingConfig(**counting))
    return run(config, detector=Detector(Street()))


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_a_walk_over_a_line_and_a_stay_in_a_zone_are_events_and_counts(clip: Path, tmp_path: Path) -> None:
    events, counts = tmp_path / "events.jsonl", tmp_path / "counts.csv"
    summary = count(clip, line=(GATE,), zone=(DOOR,), events=str(events), counts=counts, per_seconds=1.0)
    assert summary.sources[0].lines == {"gate": {"in": 1, "out": 0}}
    told = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    assert [(one["event"], one["line"] or one["zone"], one["track_id"]) for one in told] == [
        ("enter", "door", 2), ("crossing", "gate", 1), ("exit", "door", 2),
    ]  # fmt: skip
    enter, crossing, leave = told
    assert crossing["direction"] == "in"
    assert crossing["time_seconds"] == pytest.approx(0.875, abs=0.05), "the foot is at 30 % of the width then"
    assert (enter["time_seconds"], leave["time_seconds"]) == (
        pytest.approx(0.6, abs=0.11),
        pytest.approx(1.9, abs=0.01),
    )
    rows = table(counts)
    assert sum(int(row["in"]) for row in rows if row["name"] == "gate") == 1
    assert sum(int(row["visits"]) for row in rows if row["name"] == "door") == 1
    assert [row["start_seconds"] for row in rows if row["name"] == "door"] == ["0.0", "1.0"]
    assert {str(path) for path in summary.outputs} == {str(events), str(counts)}, "and no video that nobody asked for"


def test_events_as_a_table_have_a_box_in_four_cells(clip: Path, tmp_path: Path) -> None:
    count(clip, line=(GATE,), events=str(tmp_path / "events.csv"))
    (row,) = table(tmp_path / "events.csv")
    assert (row["event"], row["line"], row["direction"]) == ("crossing", "gate", "in")
    assert float(row["x1"]) < float(row["x"]) < float(row["x2"])
    assert float(row["y"]) == float(row["y2"])


def test_a_reversed_line_counts_the_other_way(clip: Path, tmp_path: Path) -> None:
    count(clip, line=("gate=30%,100%,30%,0%",), events=str(tmp_path / "e.jsonl"))
    assert json.loads((tmp_path / "e.jsonl").read_text(encoding="utf-8"))["direction"] == "out"


def test_a_scene_file_is_read_once_and_its_faults_cost_no_engine(clip: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene.toml"
    scene.write_text('[[line]]\nname = "gate"\nfrom = ["30%", "0%"]\nto = ["30%", "100%"]\n', encoding="utf-8")
    count(clip, scene=scene, events=str(tmp_path / "e.jsonl"))
    assert (tmp_path / "e.jsonl").read_text(encoding="utf-8").count("crossing") == 1
    scene.write_text('[[line]]\nname = "gate"\nform = [1, 2]\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"scene\.toml"):
        count(clip, scene=scene, events=str(tmp_path / "e.jsonl"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"events": "e.jsonl"}, "--events needs where things happen"),
        ({"counts": Path("c.csv")}, "--counts needs what to count at"),
        ({"line": (GATE,), "events": "e.txt"}, "events are written as .jsonl, .csv, .parquet or -"),
    ],
)
def test_counting_without_sense_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        DetectConfig(("clip.mp4",), counting=CountingConfig(**options))


def test_lines_and_zones_are_drawn_also_where_nobody_is() -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    shapes = (Shape(((100, 50), (100, 300)), "in 1  out 2"), Shape(((300, 100), (500, 100), (500, 300)), "door 0"))
    frame = Frame(image, index=0, time_seconds=0.0, source="")
    Annotator(count=False).draw(DetectedFrame(frame, people([]), shapes=shapes))
    assert (image[60, 100] == ACCENT).all()
    assert image[100, 400, 0] > 200, "its border, smoothed"
    assert image[150, 480].any(), "the zone is tinted"
    assert not image[300, 320].any(), "and nothing beside it"


def test_events_on_stdout_are_lines_of_json_and_nothing_else() -> None:
    done = invoke(
        "detect", SAMPLE, "--limit", "60", "--line", "gate=540,150,540,470", "--zone", "a=430,195,640,190,640,340",
        "--events", "-", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told
    assert {one["event"] for one in told} <= {"crossing", "enter", "exit"}


@pytest.mark.parametrize("other", [("--json",), ("--results", "-")])
def test_two_kinds_of_lines_on_stdout_are_refused(other: tuple[str, ...]) -> None:
    done = invoke("detect", SAMPLE, "--limit", "1", "--line", "gate=540,150,540,470", "--events", "-", *other)
    assert done.returncode == 2
    assert not done.stdout
    assert "--events - both want stdout" in error_line(done)


def test_a_line_outside_the_picture_names_the_option(tmp_path: Path) -> None:
    done = invoke("detect", SAMPLE, "--line", "gate=5400,150,5400,470", "--results", str(tmp_path / "r.csv"))
    assert done.returncode == 2
    assert "--line" in error_line(done)
    assert "outside the picture" in error_line(done)


@pytest.mark.parametrize("zone", ["", "+05:30", "Z"])
def test_files_have_the_wall_clock_that_is_said_and_saved_results_have_it_too(
    clip: Path, tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        wanted: dict[str, Any] = {"line": (GATE,), "started": f"2026-11-26T09:30:00{zone}"}
        config = DetectConfig(
            (str(clip), str(clip)),
            counting=CountingConfig(**wanted, events=str(tmp_path / "e.jsonl"), counts=tmp_path / "c.csv"),
            results=(str(tmp_path / "r.jsonl"),),
            results_score=0.1,
        )
        run(config, detector=Detector(Street()))
    finally:
        monkeypatch.undo()
        time.tzset()
    offset = "+00:00" if zone == "Z" else "+05:30"
    told = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines()]
    for event in told:
        assert event["wall_time"] == f"2026-11-26T09:30:00.{round(event['time_seconds'] * 1000)}{offset}"
    assert {row["start_wall"] for row in table(tmp_path / "c.csv")} == {f"2026-11-26T09:30:00.000{offset}"}
    again = CountingConfig(line=(GATE,), events=str(tmp_path / "again.jsonl"))
    analyze(AnalyzeConfig((tmp_path / "r.jsonl",), counting=again))
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "e.jsonl").read_bytes()


def test_without_it_a_file_has_no_wall_clock(clip: Path, tmp_path: Path) -> None:
    count(clip, line=(GATE,), events=str(tmp_path / "e.jsonl"))
    assert json.loads((tmp_path / "e.jsonl").read_text(encoding="utf-8"))["wall_time"] is None


@pytest.mark.parametrize("text", ["", "yesterday", "09:30", "0001-01-01T00:00:00", "9999-12-31", "2026-13-01", "1e9"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as 2026-11-26T09:30:00"):
        CountingConfig(started=text)


def test_a_live_source_has_the_clock_of_arrival_whatever_is_said_of_files(clip: Path) -> None:
    config = DetectConfig((str(clip),), counting=CountingConfig(started="2000-01-01"))
    before = datetime.now().astimezone()
    detector = Detector(Street())
    with open_source(str(clip)) as source, open_batcher(detector.info, detector.infer) as batcher:
        finder = EngineFinder(detector, batcher)
        assert str(provenance_of(source, finder, config).started).startswith("2000-01-01T00:00:00.000")
        source.info = replace(source.info, kind="live")
        started = datetime.fromisoformat(str(provenance_of(source, finder, config).started))
    assert before - timedelta(milliseconds=1) <= started <= datetime.now().astimezone()
