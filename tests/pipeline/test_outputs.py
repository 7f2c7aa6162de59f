"""Sinks get results in the right order, drawn once, and end whole or partial."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from humandetect.config import DetectConfig
from humandetect.detection.detector import Detector
from humandetect.media.sinks.base import Sink
from humandetect.pipeline.outputs import SourceOutputs
from humandetect.pipeline.run import run
from tests.builders import detected, make_clip
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.media.frames import DetectedFrame


class NotingSink(Sink):
    def __init__(self, picture: Literal["none", "clean", "drawn"], notes: list[str]) -> None:
        super().__init__()
        self.picture = picture
        self._notes = notes

    def write(self, result: DetectedFrame) -> None:
        self._notes.append(self.picture)

    def close(self, *, complete: bool = True) -> Path | None:
        return None


class ClosedWindow(Sink):
    """Stands in for a window that is closed while the third picture is shown."""

    picture = "drawn"
    shown = 0

    def __init__(self, title: str) -> None:
        super().__init__()

    @property
    def stopped(self) -> bool:
        return self.shown >= 3

    def write(self, result: DetectedFrame) -> None:
        self.shown += 1

    def close(self, *, complete: bool = True) -> Path | None:
        return None


def test_what_wants_clean_pictures_comes_before_drawing_which_is_done_once() -> None:
    notes: list[str] = []
    sinks = [NotingSink(picture, notes) for picture in ("drawn", "none", "drawn", "clean")]
    SourceOutputs(sinks, draw=lambda _: notes.append("draw")).write(detected())
    assert notes == ["none", "clean", "draw", "drawn", "drawn"]


def test_a_frame_without_an_answer_is_written_as_it_is() -> None:
    notes: list[str] = []
    outputs = SourceOutputs([NotingSink("drawn", notes)], draw=lambda _: notes.append("draw"))
    outputs.write(replace(detected(), failure="the server was away"))
    assert notes == ["drawn"]


def test_nothing_is_drawn_where_nobody_looks() -> None:
    outputs = SourceOutputs([NotingSink("none", [])], draw=lambda _: pytest.fail("drawn"))
    outputs.write(detected())
    assert not outputs.want_pixels


def test_closing_the_window_ends_the_run_quietly_and_what_is_written_is_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humandetect.media.sinks.window.WindowSink", ClosedWindow)
    clips = [str(make_clip(tmp_path / name, frames=10)) for name in ("a.mp4", "b.mp4")]
    config = DetectConfig(tuple(clips), show=True, results=(str(tmp_path / "out.jsonl"),), output=tmp_path / "out")
    summary = run(config, detector=Detector(FakeEngine()))
    assert (summary.frames, summary.interrupted, summary.failures) == (3, True, ())
    assert {path.name for path in summary.outputs} == {"out.partial.jsonl", "a.partial.mp4"}
