"""Cameras of this machine, by number."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, cast

import cv2

from humandetect.errors import SourceError
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.images import check_size
from humandetect.media.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config import SourceConfig


def _open(number: int) -> cv2.VideoCapture:
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would fill the terminal with its attempts
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(before)
    if not capture.isOpened():
        raise SourceError("no such camera, or it is in use or not permitted")
    return capture


class CameraSource(Source):
    """A camera that OpenCV can open; times are those of arrival."""

    def __init__(self, name: str, number: int, config: SourceConfig) -> None:
        self._config = config
        self._busy = threading.Lock()
        self._closed = False
        self._capture = _open(number)
        image = self._grab()
        if image is None:
            self._capture.release()
            raise SourceError(f"the camera sends no picture within {config.open_timeout_seconds:g} s")
        height, width = image.shape[:2]
        super().__init__(name, VideoInfo(width, height, kind="live", frame_count=config.limit))
        check_size(width, height, max_megapixels=config.max_megapixels)

    def __iter__(self) -> Iterator[Frame]:
        since = time.monotonic()
        end = math.inf if self._config.duration_seconds is None else self._config.duration_seconds
        index = 0
        while not self._closed and index != self._config.limit:
            image = self._grab()
            if image is None and not self._closed:
                raise SourceError(f"camera {self.name} ended after {index} frames: it sends no more pictures")
            seconds = time.monotonic() - since
            if image is None or seconds >= end:
                break
            yield Frame(image, index=index, time_seconds=seconds, source=self.name)
            index += 1
        self.close()

    def close(self) -> None:
        self._closed = True
        if self._busy.acquire(blocking=False):
            self._capture.release()
            self._busy.release()

    def _grab(self) -> NDArray[np.uint8] | None:
        """Return the next picture, None once the camera has sent nothing for too long."""
        until = time.monotonic() + self._config.read_timeout_seconds
        with self._busy:
            while not self._closed:
                done, image = self._capture.read()
                if done:
                    return cast("NDArray[np.uint8]", image)
                if time.monotonic() > until:
                    return None
        return None
