"""A run that breaks off keeps what happened until then, ends the visits that are open, and its sums are right."""

from __future__ import annotations

import csv
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.config import AnalyzeConfig, CountingConfig, DetectConfig
from humandetect.detection.detector import Detector
from humandetect.errors import EngineError, SinkError, SourceError
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.sinks.pictures import write_image
from humandetect.media.sources import Source
from humandetect.pipeline.analyze import analyze
from humandetect.pipeline.run import NoProgress, run
from humandetect.pipeline.summary import RunInterrupted
from tests.builders import make_clip, picture
from tests.pipeline.test_stages import FRAMES, Street

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from humandetect.engines.base import RawDetections
    from humandetect.media.frames import DetectedFrame
    from humandetect.pipeline.summary import RunSummary

LINE = "gate=30%,0%,30%,100%"
ZONE = "door=70%,40%,100%,40%,100%,80%,70%,80%"
LAST = 17


class Failing(Street):
    """An engine that breaks in mid-way."""

    def infer(self, images: np.ndarray) -> RawDetections:
        if self._frame == LAST:
            raise EngineError("the engine broke")
        return super().infer(images)


class Damaged(Source):
    """A file of which the rest cannot be read."""

    def __init__(self) -> None:
        super().__init__("clip", VideoInfo(64, 48))

    def _frames(self) -> Iterator[Frame]:
        for index in range(LAST):
            yield Frame(picture(), index, index / 10, self.name)
        raise SourceError("the disk broke")

    def _release(self) -> None:
        pass


class Leaving(NoProgress):
    """Somebody who ends the run after some frames: in time for the stop of a service, or with Ctrl-C."""

    def __init__(self, after: int, stop: threading.Event | None = None) -> None:
        self._left = after
        self._stop = stop

    def advance(self, _result: DetectedFrame) -> None:
        self._left -= 1
        if self._left:
            return
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop.set()


def go(folder: Path, *, street: Street | None = None, **options: Any) -> tuple[list[dict[str, Any]], RunSummary]:
    """Run, hold what is kept against itself, and return the events and the summary."""
    folder.mkdir(exist_ok=True)
    clip = make_clip(folder / "clip.mp4", frames=FRAMES, fps=10)
    counting = CountingConfig(
        line=(LINE,), zone=(ZONE,), events=f"{folder}/e.jsonl", counts=folder / "c.csv", event_crops=folder / "crops"
    )
    config = DetectConfig((str(clip),), counting=counting, results=(f"{folder}/r.jsonl",), results_score=0.1)
    try:
        summary = run(config, detector=Detector(street or Street()), **options)
    except RunInterrupted as interrupted:
        summary = interrupted.summary
    told = [event for path in folder.glob("e.*") for event in lines_of(path)]  # incomplete and empty, it is not kept
    (counts,), (results,) = folder.glob("c.*"), folder.glob("r.*")
    with counts.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["in"] or 0) for row in rows) == sum(event["event"] == "crossing" for event in told)
    assert sum(int(row["visits"] or 0) for row in rows) == sum(event["event"] == "enter" for event in told)
    analyze(AnalyzeConfig((results,), counting=CountingConfig(line=(LINE,), zone=(ZONE,), events=f"{folder}/a.jsonl")))
    assert lines_of(folder / "a.jsonl") == [{**event, "crop": None} for event in told]
    return told, summary


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def brief(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_an_engine_that_breaks_costs_nothing_that_happened_before(tmp_path: Path) -> None:
    events, summary = go(tmp_path, street=Failing())
    assert brief(events) == ["enter", "crossing", "exit"]
    assert events[-1]["time_seconds"] == (LAST - 1) / 10
    assert [str(failure) for failure in summary.failures] == ["the engine broke"]


def test_a_damaged_file_costs_nothing_that_happened_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.pipeline.run.open_source", lambda *_, **__: Damaged())
    events, summary = go(tmp_path)
    assert brief(events) == ["enter", "crossing", "exit"]
    assert events[-1]["time_seconds"] == (LAST - 1) / 10
    assert [str(failure) for failure in summary.failures] == ["the disk broke"]


@pytest.mark.parametrize("after", range(10, 14))
def test_whenever_somebody_ends_it_events_counts_and_results_tell_the_same(tmp_path: Path, after: int) -> None:
    stop = threading.Event()
    asked, _ = go(tmp_path / "asked", progress=Leaving(after, stop), stop=stop)
    pressed, _ = go(tmp_path / "pressed", progress=Leaving(after))
    assert brief(asked) == brief(pressed)


@pytest.mark.parametrize("saved", range(3))
def test_a_full_disk_costs_pictures_of_events_and_no_event(
    saved: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is full after 0, 1 or 2 pictures: the last is that of who is inside at the end."""
    left = iter(range(saved))

    def write(path: Path, image: np.ndarray) -> None:
        if next(left, None) is None:
            raise SinkError(f"cannot write {str(path)!r}: the disk is full")
        write_image(path, image)

    monkeypatch.setattr("humandetect.media.sinks.crops.write_image", write)
    events, summary = go(tmp_path)
    kept = list((tmp_path / "crops").iterdir())
    assert [event["crop"] for event in events[:saved]] == [f"{tmp_path}/crops/{e['id']}.jpg" for e in events[:saved]]
    assert [event["crop"] for event in events[saved:]] == [None] * (len(events) - saved)
    assert len(kept) == saved
    assert [failure.args[0].endswith("the disk is full") for failure in summary.failures] == [True]
