"""Anonymized runs: no picture of whatever kind shows the people who were in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest

from humandetect.analytics.anonymize import Anonymizer
from humandetect.analytics.report import SourceReport
from humandetect.config import CountingConfig, DetectConfig
from humandetect.detection.detector import Detector
from humandetect.errors import UsageError
from humandetect.media.annotate.hiding import FILLING
from humandetect.pipeline import outputs, stages
from humandetect.pipeline.run import run
from tests.builders import detected, make_clip, people
from tests.pipeline.test_run import write_picture
from tests.pipeline.test_stages import FRAMES, MISSED_FROM, Street

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.media.frames import DetectedFrame
    from humandetect.pipeline.summary import RunSummary

WIDTH, HEIGHT = 320, 240
WALKER_AT, SHADOW_AT = 0.125, (0.45, 0.92)
"""Across, of the first frame, and (across, down) of the box that is too weak for a person."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=FRAMES, fps=10, width=WIDTH, height=HEIGHT)


def go(*sources: Path, **options: Any) -> RunSummary:
    config = DetectConfig(tuple(map(str, sources)), anonymize="fill", no_labels=True, no_count=True, **options)
    return run(config, detector=Detector(Street()))


def is_hidden(image: np.ndarray, x: float, y: float) -> bool:
    """Whether the place, a share of width and height, is filled; a video's colours are a little off."""
    height, width = image.shape[:2]
    return bool((np.abs(image[int(y * height), int(x * width)].astype(int) - FILLING) < 12).all())


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]


def test_a_video_hides_people_and_what_may_be_one(clip: Path, tmp_path: Path) -> None:
    assert not is_hidden(frames_of(clip)[0], WALKER_AT, 0.3)
    go(clip, output=tmp_path / "out.mp4")
    frames = frames_of(tmp_path / "out.mp4")
    assert len(frames) == FRAMES
    assert is_hidden(frames[0], WALKER_AT, 0.3)
    assert is_hidden(frames[0], *SHADOW_AT), "no person by its score"
    assert not is_hidden(frames[0], 0.6, 0.5)


def test_who_is_missed_for_a_moment_stays_hidden_and_gets_no_id_unasked(clip: Path, tmp_path: Path) -> None:
    go(clip, output=tmp_path / "out.mp4", results=(str(tmp_path / "out.mot.txt"),))
    missed = frames_of(tmp_path / "out.mp4")[MISSED_FROM]
    assert is_hidden(missed, WALKER_AT + 0.02 * MISSED_FROM, 0.3)
    assert {row.split(",")[1] for row in (tmp_path / "out.mot.txt").read_text().splitlines()} == {"-1"}


def test_crops_and_pictures_are_hidden_too(clip: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "photo.png")
    go(clip, picture, output=tmp_path / "out", crops=tmp_path / "crops")
    crops = [cv2.imread(str(path)) for path in (tmp_path / "crops").iterdir()]
    assert len(crops) >= FRAMES
    assert all(is_hidden(crop, 0.5, 0.5) for crop in crops if crop is not None)
    drawn = cv2.imread(str(tmp_path / "out" / "photo.png"))
    assert drawn is not None
    assert (np.abs(drawn.astype(int) - FILLING) < 12).all(axis=2).mean() > 0.03


def test_the_window_and_reports_get_hidden_frames(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a stage or sink may make of a frame, it is given none that shows somebody."""
    seen: list[np.ndarray] = []
    report = CountingConfig(report=tmp_path / "report.html")

    class Spy(SourceReport):
        def update(self, result: DetectedFrame) -> DetectedFrame:
            seen.append(result.frame.image.copy())
            return super().update(result)

    monkeypatch.setattr(stages, "SourceReport", Spy)
    write = outputs.SourceOutputs.write

    def spy(self: Any, result: DetectedFrame) -> None:
        seen.append(result.frame.image.copy())
        write(self, result)

    monkeypatch.setattr(outputs.SourceOutputs, "write", spy)
    go(clip, counting=report)
    assert len(seen) == 2 * FRAMES
    assert all(is_hidden(image, *SHADOW_AT) for image in seen)


@pytest.mark.parametrize("change", [{"failure": "the server is away"}, {"detected": False}])
def test_a_frame_that_nobody_looked_at_is_hidden_whole(change: dict[str, Any]) -> None:
    boxes: list[np.ndarray] = []
    stage = Anonymizer(lambda _, xyxy: boxes.append(xyxy), tracker=None, gives_ids=False)
    frame = replace(detected(0, [(1, 2, 3, 4)]), **change)
    stage.update(frame)
    height, width = frame.frame.image.shape[:2]
    assert [xyxy.tolist() for xyxy in boxes] == [[[0, 0, width, height]]]


def test_weak_boxes_are_hidden_and_frames_without_pixels_left_alone() -> None:
    boxes: list[np.ndarray] = []
    stage = Anonymizer(lambda _, xyxy: boxes.append(xyxy), tracker=None, gives_ids=False)
    frame = replace(detected(0, [(1, 2, 3, 4)]), weak=people([(5, 6, 7, 8)]))
    stage.update(frame)
    stage.update(replace(frame, frame=frame.frame.without_pixels()))
    assert [xyxy.tolist() for xyxy in boxes] == [[[1, 2, 3, 4], [5, 6, 7, 8]]]


def test_weak_boxes_around_people_and_over_the_street_hide_nothing_else() -> None:
    boxes: list[np.ndarray] = []
    stage = Anonymizer(lambda _, xyxy: boxes.append(xyxy), tracker=None, gives_ids=False)
    person, hardly, group, street, lying = (
        [10, 10, 20, 40], [50, 10, 58, 30], [5, 5, 45, 60], [0, 40, 300, 90], [100, 30, 120, 40],
    )  # fmt: skip
    weak = people([hardly, group, street, lying], [0.2, 0.3, 0.3, 0.15])
    stage.update(replace(detected(0, [person]), weak=weak))
    stage.update(replace(detected(0, []), weak=people([street], [0.3])))
    assert [xyxy.tolist() for xyxy in boxes] == [[person, hardly, lying], [street]], "unless there is nobody else"


def test_kept_boxes_are_refused() -> None:
    with pytest.raises(UsageError, match="every frame detected"):
        DetectConfig(("a.mp4",), anonymize="fill", every=2)
