from __future__ import annotations

import pytest
import supervision as sv

from humandetect.commands.terminal import ProgressBar, print_summary
from humandetect.media.frames import DetectedFrame
from humandetect.pipeline.summary import RunSummary, SourceSummary
from tests.builders import frame


@pytest.mark.parametrize(("seconds", "is_told"), [(0.4, False), (8.6, True)])
def test_the_bar_says_how_late_a_camera_is(seconds: float, is_told: bool, capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar(quiet=False)
    bar._disable = False  # as on a terminal
    bar.start("rtsp://camera/…", None)
    bar.behind(seconds)
    bar.advance(DetectedFrame(frame(0), sv.Detections.empty(), detected=True))
    bar.stop()
    assert ("9 s behind" in capsys.readouterr().err) == is_told


@pytest.mark.parametrize("sources", [1, 2])
def test_a_summary_says_how_many_crossed_each_line(sources: int, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {"gate": {"in": 1200, "out": 3}, "back door": {"in": 0, "out": 0}}
    print_summary(RunSummary(frames=9, sources=(SourceSummary("a.mp4", 9, 2, 1.0, lines=lines),) * sources))
    told = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert told.count("gate: 1,200 in, 3 out") == told.count("back door: 0 in, 0 out") == sources
