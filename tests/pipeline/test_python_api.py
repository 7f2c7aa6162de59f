"""What a program that calls `detect_video` and `detect_frames` relies on."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.config import DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import SourceError, UsageError
from humandetect.pipeline.python_api import DetectOptions, detect_frames, detect_video
from tests.builders import make_clip
from tests.fakes import FakeEngine

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
