"""Adds events to a file of JSON lines, each when it is certain: made for `tail -f`."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.watch.base import CameraStatus

logger = logging.getLogger(__name__)


class EventsFile:
    """An audience that writes what happens; a full disk costs lines, and is told once in a row."""

    def __init__(self, path_or_dash: str) -> None:
        """Open it to be added to; `-` is stdout. Raises SinkError."""
        self._name = path_or_dash
        self._is_failing = False
        try:
            self._file = sys.stdout if path_or_dash == "-" else Path(path_or_dash).open("a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise SinkError(f"cannot write {path_or_dash!r}: {error.strerror}") from error

    def on_event(self, event: Event) -> None:
        try:
            self._file.write(json.dumps(asdict(event)) + "\n")
            self._file.flush()
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                logger.error("events are not written to %s: %s", self._name, error.strerror)  # noqa: TRY400
            self._is_failing = True

    def close(self) -> None:
        if self._file is not sys.stdout:
            with suppress(OSError):  # lines that a full disk never took
                self._file.close()

    def on_result(self, camera: str, result: DetectedFrame) -> None: ...

    def on_status(self, status: CameraStatus) -> None: ...

    def on_cameras(self, names: Sequence[str]) -> None: ...
