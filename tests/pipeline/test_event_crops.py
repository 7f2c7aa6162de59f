"""Pictures of whom events are about: of the moment when it happened, by the event's id, hidden where people are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from humandetect.config import AnalyzeConfig, CountingConfig, DetectConfig
from humandetect.detection.detector import Detector
from humandetect.errors import SinkError, UsageError
from humandetect.media.annotate.hiding import FILLING
from humandetect.pipeline.run import run
from tests.builders import make_clip
from tests.pipeline.test_stages import FRAMES, Street

if TYPE_CHECKING:
    from pathlib import Path

LINE = "gate=30%,0%,30%,100%"
ZONE = "door=70%,40%,100%,40%,100%,80%,70%,80%"


def go(folder: Path, **options: Any) -> list[dict[str, Any]]:
    clip = make_clip(folder / "clip.mp4", frames=FRAMES, fps=10, width=160, height=120)
    counting = CountingConfig(line=(LINE,), zone=(ZONE,), events=str(folder / "e.jsonl"), event_crops=folder / "crops")
    run(DetectConfig((str(clip),), counting=counting, **options), detector=Detector(Street()))
    return [json.loads(line) for line in (folder / "e.jsonl").read_text(encoding="utf-8").splitlines()]


def test_each_event_of_a_person_has_a_picture_of_its_moment(tmp_path: Path) -> None:
    events = go(tmp_path)
    assert {event["event"] for event in events} == {"crossing", "enter", "exit"}
    assert {event["crop"] for event in events} == {str(path) for path in (tmp_path / "crops").iterdir()}
    for event in events:
        assert event["crop"] == str(tmp_path / "crops" / f"{event['id']}.jpg")
        image = cv2.imread(event["crop"])
        assert image is not None
        x1, y1, x2, y2 = event["box"]
        assert image.shape[0] / image.shape[1] == pytest.approx((y2 - y1) / (x2 - x1), rel=0.1)
        shade = round(float(image[..., 2].mean()) / 8)
        assert abs(shade - event["frame"]) <= 3, "of a picture at most 0.25 s away"


def test_whom_a_run_hides_is_hidden_there_too(tmp_path: Path) -> None:
    for event in go(tmp_path, anonymize="fill"):
        image = cv2.imread(event["crop"])
        assert image is not None
        assert (np.abs(image.astype(int) - FILLING) < 12).all()


def test_they_need_where_things_happen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--event-crops needs where"):
        DetectConfig(sources=("clip.mp4",), counting=CountingConfig(event_crops=tmp_path))


def test_saved_results_have_no_pictures(tmp_path: Path) -> None:
    counting = CountingConfig(line=(LINE,), events="-", event_crops=tmp_path / "crops")
    with pytest.raises(UsageError, match="--event-crops needs pictures"):
        AnalyzeConfig((tmp_path / "r.jsonl",), counting=counting)


def test_where_there_can_be_no_folder_no_frame_is_read(tmp_path: Path) -> None:
    (tmp_path / "crops").write_text("a file")
    with pytest.raises(SinkError, match=r"cannot make the folder '.*crops'"):
        go(tmp_path)
