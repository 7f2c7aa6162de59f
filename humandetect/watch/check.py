"""`watch --check`: what each camera sends, what that costs here, and whether this machine carries them all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from humandetect.cpus import usable_cpus
from humandetect.ending import leave_behind
from humandetect.errors import SourceError
from humandetect.watch.connection import Connection, Lost, ReaderSettings
from humandetect.watch.openings import OPENINGS_AT_ONCE
from humandetect.watch.sized_detectors import SizedDetectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from humandetect.config.watch import CameraConfig
    from humandetect.detection.detector import Detector
    from humandetect.watch.connection import CameraPicture

LOOK_SECONDS = 4.0
"""For a camera to show its rate and two key frames."""
CARRIED_SHARE = 0.8
"""Of all cores: above it all cameras begin to drop pictures, and all at once."""
_TRIES = 5


class Checked(NamedTuple):
    """One camera, after a short look."""

    camera: CameraConfig
    problem: str | None
    """Why there is nothing to say."""
    size: tuple[int, int] | None = None
    codec: str = ""
    rate: float | None = None
    """Pictures a second that it sends."""
    key_seconds: float | None = None
    """From one key frame to the next; None: fewer than two were seen."""
    decode_ms: float | None = None
    """CPU time for one picture."""
    convert_ms: float = 0.0
    """CPU time to make what the model is given of a decoded picture: of a large one it is most of a look."""
    detect_ms: float = 0.0
    """CPU time for one look, from a decoded picture to its people."""

    @property
    def cores(self) -> float:
        """The share of a core that it will take."""
        return ((self.decode_ms or 0) * self.decoded_rate + self.detect_ms * self.camera.rate) / 1000

    @property
    def decoded_rate(self) -> float:
        """Pictures a second that will be decoded: all, or key frames only."""
        keys = 1 / (self.key_seconds or LOOK_SECONDS)
        only_keys = self.camera.decode == "key" or (self.camera.decode == "auto" and keys >= self.camera.rate)
        return min(keys, self.rate or 0) if only_keys else self.rate or 0


def check_cameras(cameras: Sequence[CameraConfig], settings: ReaderSettings) -> Iterator[Checked]:
    """Look at each camera for some seconds, a few at a time, and yield them in their order."""
    threads, is_done = ThreadPoolExecutor(OPENINGS_AT_ONCE), False
    try:
        yield from threads.map(lambda camera: _look(camera, settings), cameras)
        is_done = True
    finally:
        threads.shutdown(wait=is_done, cancel_futures=True)
        if not is_done:  # whoever ends it does not wait for cameras that do not answer
            leave_behind()


def measure_detection(detector: Detector, checked: Iterable[Checked]) -> list[Checked]:
    """Return them with what a look costs here. Raises UsageError where the model takes no such size."""
    detectors = SizedDetectors(detector)
    costs: dict[tuple[str | None, tuple[int, int]], float] = {}
    measured = []
    for one in checked:
        alike = one.camera.size, one.size or (1280, 720)
        if alike not in costs:
            costs[alike] = _detect_ms(detectors.of(one.camera), alike[1])
        measured.append(one._replace(detect_ms=costs[alike] + one.convert_ms))
    return measured


def _detect_ms(detector: Detector, size: tuple[int, int]) -> float:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    detector.detect(image)  # compiles what the shape needs
    began = time.process_time()
    for _ in range(_TRIES):
        detector.detect(image)
    return (time.process_time() - began) / _TRIES * 1000


def usable_cores() -> float:
    return usable_cpus() * CARRIED_SHARE


def _look(camera: CameraConfig, settings: ReaderSettings) -> Checked:
    arrivals: list[float] = []
    keys: list[float] = []
    newest: CameraPicture | None = None
    settings = replace(settings, rate=camera.rate, transport=camera.transport)
    try:
        with Connection(camera.url, settings) as connection:
            codec, spent = connection.codec_name, time.thread_time()
            for newest in _pictures(connection):
                arrivals.append(newest.arrived_seconds)
                if newest.decoded.key_frame:
                    keys.append(newest.arrived_seconds)
            decode_ms = (time.thread_time() - spent) / max(1, len(arrivals)) * 1000
        convert_ms = _convert_ms(newest) if newest else 0.0
    except (Lost, SourceError) as problem:
        return Checked(camera, str(problem))
    spread = arrivals[-1] - arrivals[0] if arrivals else 0.0
    return Checked(
        camera, None if newest else "no picture came", newest.size if newest else None, codec,
        rate=(len(arrivals) - 1) / spread if spread else None,
        key_seconds=median(later - before for before, later in pairwise(keys)) if len(keys) > 1 else None,
        decode_ms=decode_ms, convert_ms=convert_ms,
    )  # fmt: skip


def _pictures(connection: Connection) -> Iterator[CameraPicture]:
    """Yield what comes within the time of a look, or until the camera is lost after some. Raises Lost before."""
    ends, is_seen = time.monotonic() + LOOK_SECONDS, False
    try:
        for picture in connection.pictures():
            if picture:
                is_seen = True
                yield picture
            if time.monotonic() > ends:
                return
    except Lost:
        if not is_seen:
            raise


def _convert_ms(picture: CameraPicture) -> float:
    began = time.thread_time()
    for _ in range(_TRIES):
        picture.image()
    return (time.thread_time() - began) / _TRIES * 1000
