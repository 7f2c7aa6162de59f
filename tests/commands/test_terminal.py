from __future__ import annotations

import pytest
import supervision as sv

from humandetect.commands.terminal import ProgressBar
from humandetect.media.frames import DetectedFrame
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
