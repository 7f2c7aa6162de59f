"""What a program that calls `detect_video` and `detect_frames` relies on."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.analytics.scene import read_scene
from humandetect.config import CountingConfig, DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import EngineError, SourceError, UsageError
from humandetect.pipeline.python_api import DetectOptions, analyze, detect_frames, detect_video
from tests.builders import make_clip
from tests.fakes import FakeEngine
from tests.pipeline.test_stages import FRAMES as STREET_FRAMES
from tests.pipeline.test_stages import Street

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=20, fps=10)


@pytest.fixture
def detector() -> Detector:
    return Detector(FakeEngine())


def test_detect_frames_yields_frames_with_people(clip: Path, detector: Detector) -> None:
    results = list(detect_frames(clip, detector, every=5))
    assert [result.frame.index for result in results] == list(range(20))
    assert [result.detected for result in results] == [index % 5 == 0 for index in range(20)]


def test_detect_video_raises_the_first_failure(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.mp4"):
        detect_video(tmp_path / "missing.mp4")


def test_detect_video_writes_what_is_asked_for_with_the_detector_it_is_given(
    clip: Path, detector: Detector, tmp_path: Path
) -> None:
    results = tmp_path / "people.jsonl"
    summary = detect_video(clip, detector=detector, results=results, part=SourceConfig(limit=5), every=5)
    assert (summary.frames, summary.detected_frames, summary.outputs) == (5, 1, (results,))
    assert not detector.engine.closed  # type: ignore[attr-defined]


@pytest.mark.parametrize("several", [False, True])
def test_results_may_be_one_path_or_several(clip: Path, detector: Detector, tmp_path: Path, *, several: bool) -> None:
    paths: Any = [tmp_path / "a.csv", str(tmp_path / "b.jsonl")] if several else str(tmp_path / "a.csv")
    summary = detect_video(str(clip), detector=detector, results=paths)
    assert [path.name for path in summary.outputs] == (["b.jsonl", "a.csv"] if several else ["a.csv"])


def test_editors_and_help_know_every_option_of_detect_video() -> None:
    named = {field.name for field in fields(DetectConfig)} - {"sources", "output", "results", "source"}
    assert set(DetectOptions.__annotations__) == named, "DetectOptions repeats the fields of DetectConfig"
    assert all(f"`{name}`" in str(detect_video.__doc__) for name in named)


def test_every_0_is_refused_when_it_is_asked_for(clip: Path, detector: Detector) -> None:
    with pytest.raises(UsageError, match="every must be a whole number, at least 1, got 0"):
        detect_frames(clip, detector, every=0)


def test_a_summary_shows_what_matters(clip: Path, detector: Detector, tmp_path: Path) -> None:
    shown = repr(detect_video(clip, detector=detector, results=tmp_path / "a.csv"))
    assert shown.startswith("RunSummary(20 frames in ")
    assert "a.csv" in shown
    assert "\n" not in shown


def test_results_become_a_table(clip: Path, detector: Detector, tmp_path: Path) -> None:
    """The columns of the CSV file, as `pandas.DataFrame` takes them."""
    detect_video(clip, detector=detector, results=tmp_path / "a.csv")
    table = [row for result in detect_frames(clip, detector) for row in result.rows()]
    head, *lines = (tmp_path / "a.csv").read_text().splitlines()
    assert ["" if value is None else str(value) for value in table[3].values()] == lines[3].split(",")
    assert list(table[3]) == head.split(",")
    assert len(table) == len(lines) == 20
    assert json.dumps(table), "plain values"


def test_a_detected_frame_shows_where_it_is_from_and_who_is_in_it(clip: Path, detector: Detector) -> None:
    results = list(detect_frames(clip, detector))
    assert repr(results[3]) == f"DetectedFrame({str(clip)!r}, frame 3 at 0.30 s, 1 person)"
    assert repr(results[3].frame) == f"Frame({str(clip)!r}, frame 3 at 0.30 s, 64 x 48)"


def test_detect_frames_with_a_scene_hand_out_the_events_that_a_run_writes(tmp_path: Path) -> None:
    clip, detector = make_clip(tmp_path / "clip.mp4", frames=STREET_FRAMES, fps=10), Detector(Street())
    shapes = {"line": ["gate=30%,0%,30%,100%"], "zone": ["door=70%,40%,100%,40%,100%,80%,70%,80%"]}
    counting = CountingConfig(line=tuple(shapes["line"]), zone=tuple(shapes["zone"]), events=f"{tmp_path}/events.jsonl")
    detect_video(clip, detector=detector, counting=counting)
    scene = read_scene(lines=shapes["line"], zones=shapes["zone"])
    results = list(detect_frames(clip, detector, scene=scene))
    assert [result.frame.index for result in results] == list(range(STREET_FRAMES))
    told = [json.loads(json.dumps(asdict(event))) for result in results for event in result.events]
    assert told == [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event.event for event in results[-1].events] == ["exit"], "of who is inside when the source ends"
    assert [results[0].occupancy, results[-1].occupancy] == [{"door": 0}, {"door": 1}]


def test_a_visit_ends_with_the_frames_also_where_those_end_in_a_failure(clip: Path) -> None:
    results = detect_frames(
        clip, Detector(FakeEngine(fail_after=12)), scene=read_scene(zones=["left=0,0,32,0,32,48,0,48"])
    )
    events: list[str] = []
    with pytest.raises(EngineError):
        events.extend(event.event for result in results for event in result.events)
    assert events == ["enter", "exit"]


def test_analyze_repeats_the_events_of_the_run_that_saved_the_results(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=STREET_FRAMES, fps=10)
    first, again = (
        CountingConfig(line=("gate=30%,0%,30%,100%",), events=f"{tmp_path}/{name}.csv") for name in ("first", "again")
    )
    saved = tmp_path / "people.jsonl"
    detect_video(clip, detector=Detector(Street()), results=saved, results_score=0.1, counting=first)
    summary = analyze(saved, results=tmp_path / "tracks.csv", counting=again)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    assert {path.name for path in summary.outputs} == {"tracks.csv", "again.csv"}


def test_names_of_files_may_be_text(clip: Path, detector: Detector, tmp_path: Path) -> None:
    scene = tmp_path / "scene.toml"
    scene.write_text('[[line]]\nname = "gate"\nfrom = [10, 0]\nto = [10, 48]\n', encoding="utf-8")
    assert read_scene(str(scene)).names("clip.mp4") == (["gate"], [])
    counting = CountingConfig(scene=str(scene), counts=f"{tmp_path}/counts.csv")  # type: ignore[arg-type]
    summary = detect_video(clip, detector=detector, crops=f"{tmp_path}/crops", counting=counting)  # type: ignore[arg-type]
    assert {path.name for path in summary.outputs} == {"crops", "counts.csv"}


def test_analyze_raises_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.jsonl"):
        analyze(tmp_path / "missing.jsonl", results=tmp_path / "tracks.csv")
    with pytest.raises(UsageError, match="nothing was asked"):
        analyze(tmp_path / "missing.jsonl")
