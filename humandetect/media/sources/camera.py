"""Cameras of this machine, by number."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, cast

import cv2

from humandetect.errors import SourceError
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.image_headers import check_size
from humandetect.media.sources.base import Source
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config import SourceConfig


_PAUSE_SECONDS = 0.05


class CameraSource(Source):
    """A camera that OpenCV can open; times are those of arrival."""

    def __init__(self, name: str, number: int, config: SourceConfig) -> None:
        self._capture = _open(number)
        super().__init__(name, VideoInfo(0, 0))
        self.limit = config.limit
        self._config = config
        try:
            height, width = self._grab(config.open_timeout_seconds).shape[:2]
            check_size(width, height, max_megapixels=config.max_megapixels)
        except SourceError:
            self._capture.release()
            raise
        self.info = VideoInfo(width, height, kind="live", frame_count=config.limit)

    def _frames(self) -> Iterator[Frame]:
        config, since = self._config, time.monotonic()
        end = math.inf if config.duration_seconds is None else config.duration_seconds
        index = given = 0
        while given != self.limit:
            try:
                image = self._grab(config.read_timeout_seconds)
            except SourceError as error:
                raise SourceError(f"camera {self.name} ended after {counted(given, 'frame')}: {error}") from None
            seconds = time.monotonic() - since
            if self._closed or seconds >= config.start_seconds + self.unseen_seconds + end:
                return
            if seconds >= config.start_seconds:
                yield Frame(image, index=index, time_seconds=seconds, source=self.name)
                given += 1
            index += 1

    def _release(self) -> None:
        self._capture.release()

    def _grab(self, timeout_seconds: float) -> NDArray[np.uint8]:
        # A camera in trouble answers "no" after a while of its own choice: ask until time is up.
        until = time.monotonic() + timeout_seconds
        while True:
            done, image = self._capture.read()
            if done:
                return cast("NDArray[np.uint8]", image)
            if self._closed or time.monotonic() >= until:
                raise SourceError(f"no picture for {timeout_seconds:g} s")
            time.sleep(_PAUSE_SECONDS)


def _open(number: int) -> cv2.VideoCapture:
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would fill the terminal with its attempts
    try:
        capture = cv2.VideoCapture(number)
    except (cv2.error, OverflowError):
        raise SourceError("no camera has such a number") from None
    finally:
        cv2.utils.logging.setLogLevel(before)
    if not capture.isOpened():
        raise SourceError("no such camera, or it is in use or not permitted")
    return capture
