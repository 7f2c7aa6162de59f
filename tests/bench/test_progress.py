"""Whoever waits sees what is done and how long it will take."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from humandetect.bench.progress import BenchProgress

if TYPE_CHECKING:
    import pytest


class Terminal(StringIO):
    """Keeps what is shown."""

    def isatty(self) -> bool:
        return True


def shown(stderr: StringIO, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False) -> str:
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    progress = BenchProgress(quiet=quiet)
    progress.say("starting openvino")
    progress._bar.refresh()
    progress.begin_window("openvino: batch 20 x 16", number=2, windows=4, seconds_left=90.4)
    progress._bar.refresh()
    progress.end_window(61.23)
    progress.begin_window("openvino: stream 20 x 1", number=3, windows=4, seconds_left=-3.0)
    progress.stop()
    return stderr.getvalue()


def test_steps_windows_and_the_time_left_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch)
    for words in ("starting openvino", "batch 20 x 16, window 2 of 4", "about 1:30 left", "last 61.2 images/s"):
        assert words in text
    assert "stream 20 x 1, window 3 of 4" in text
    assert "almost done" in text


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(StringIO(), monkeypatch) == ""
    assert shown(Terminal(), monkeypatch, quiet=True) == ""
