"""The window shows frames until someone has seen enough, and is refused where there is no display."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from humandetect.errors import UsageError
from humandetect.media.frames import DetectedFrame, Frame
from humandetect.media.sinks.window import WindowSink
from tests.builders import detected, people
from tests.media.clips import PAL_WIDE


class Screen:
    """Stands in for cv2's windows, which need a display."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[tuple[int, ...]] = []
        self.key = -1
        self.visible = 1.0
        self.destroyed = 0
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(cv2, "imshow", lambda _, image: self.shown.append(image.shape))
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
        monkeypatch.setattr("humandetect.media.sinks.window._opens_windows", lambda: True)
        monkeypatch.setattr(cv2, "waitKey", lambda _: self.key)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: self.visible)
        monkeypatch.setattr(cv2, "destroyAllWindows", self._destroy)

    def _destroy(self) -> None:
        self.destroyed += 1


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_without_a_display_the_request_is_refused_and_the_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match=r"there is no display .* Write a video with -o instead"):
        WindowSink("people")


def test_frames_are_shown_as_they_are(screen: Screen) -> None:
    with WindowSink("people") as sink:
        sink.write(detected())
        sink.write(detected(1))
    assert screen.shown == [(48, 64, 3)] * 2
    assert not sink.stopped


def test_large_frames_are_shown_smaller_and_the_frame_itself_stays(screen: Screen) -> None:
    image = np.zeros((2160, 3840, 3), np.uint8)
    with WindowSink("people") as sink:
        sink.write(DetectedFrame(Frame(image, 0, 0.0, "x"), people([])))
    assert screen.shown == [(720, 1280, 3)]
    assert image.shape == (2160, 3840, 3)


def test_pixels_that_are_not_square_are_shown_as_wide_as_players_show_them(screen: Screen) -> None:
    with WindowSink("people") as sink:
        sink.write(DetectedFrame(Frame(np.zeros((576, 720, 3), np.uint8), 0, 0.0, "x", None, PAL_WIDE), people([])))
    assert screen.shown == [(576, 1024, 3)]


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27, 0x100000 | ord("q")])
def test_q_and_escape_stop(screen: Screen, key: int) -> None:
    sink = WindowSink("people")
    screen.key = key
    sink.write(detected())
    assert sink.stopped
    sink.write(detected(1))
    assert len(screen.shown) == 1


def test_other_keys_do_not_stop(screen: Screen) -> None:
    sink = WindowSink("people")
    screen.key = ord("x")
    sink.write(detected())
    assert not sink.stopped


def test_closing_the_window_stops(screen: Screen) -> None:
    sink = WindowSink("people")
    screen.visible = 0.0
    sink.write(detected())
    assert sink.stopped


def test_the_window_is_closed_once_and_only_if_it_was_opened(screen: Screen) -> None:
    WindowSink("people").close()
    assert screen.destroyed == 0
    sink = WindowSink("people")
    sink.write(detected())
    assert sink.close() is None
    sink.close(complete=False)
    assert screen.destroyed == 1


def test_a_display_that_does_not_answer_is_said_before_qt_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match="does not answer"):
        WindowSink("title")
