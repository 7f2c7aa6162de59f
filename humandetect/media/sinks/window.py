"""The window of `--show`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import cv2

from humandetect.errors import UsageError
from humandetect.media.sinks.base import Sink
from humandetect.media.sinks.pictures import as_shown

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.media.frames import DetectedFrame

_LARGEST = (1280, 720)
"""Width and height that fit on common screens; larger frames are shown smaller."""
_STOP_KEYS = {ord("q"), ord("Q"), 27}  # 27: Esc


class WindowSink(Sink):
    """Shows annotated frames as they come, until `q`, Esc or closing the window sets `stopped`.

    All calls must come from one thread.
    """

    picture = "drawn"

    def __init__(self, title: str) -> None:
        super().__init__()
        _check_display()
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # Qt complains of fonts that no window here needs
        self.stopped = False
        """The user has seen enough."""
        self._title = title
        self._open = False

    def write(self, result: DetectedFrame) -> None:
        """Show a frame."""
        if self.stopped:
            return
        image = as_shown(result.frame.image, result.frame.pixel_aspect)
        height, width = image.shape[:2]
        scale = min(_LARGEST[0] / width, _LARGEST[1] / height)
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        if not self._open:
            cv2.namedWindow(self._title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)  # without Qt's toolbar
            self._open = True
        cv2.imshow(self._title, image)
        key = cv2.waitKey(1) & 0xFF
        self.stopped = key in _STOP_KEYS or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1

    def close(self, *, complete: bool = True) -> Path | None:  # noqa: ARG002  a window has nothing to complete
        """Close the window."""
        if self._open:
            self._open = False
            cv2.destroyAllWindows()
        return None


def _check_display() -> None:
    """Raise UsageError where there is no display: Qt, inside cv2, would end the whole process."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError(
            "cannot show a window: there is no display (DISPLAY and WAYLAND_DISPLAY are not set). "
            "Write a video with -o instead, or log in with a display, e.g. by ssh -X."
        )
    if not _opens_windows():
        raise UsageError("cannot show a window: the display does not answer. Write a video with -o instead.")


def _opens_windows() -> bool:
    """Try in a process of its own, which Qt may end."""
    probe = "import cv2; cv2.namedWindow('probe'); cv2.destroyAllWindows()"
    try:
        return (
            subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=20, check=False).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False
