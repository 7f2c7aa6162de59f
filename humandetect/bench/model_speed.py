"""How fast this machine is with each model, engine and size: measured in a minute, kept for `models list`."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import platformdirs

from humandetect.bench.machine import machine
from humandetect.config import ServingConfig, SourceConfig
from humandetect.detection.detector import open_detector
from humandetect.detection.finders import open_batcher
from humandetect.engines import ENGINES, usable_engines
from humandetect.errors import HumanDetectError
from humandetect.media.sources import open_source
from humandetect.models.find import bundled
from humandetect.models.metadata import ModelFolder, checksum, takes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from humandetect.config import EngineName
    from humandetect.detection.detector import Detector

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 0.5
"""A measurement that would be shorter is left out."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one model reached in one engine at one size."""

    model: str
    engine: str
    size: str
    images_per_second: float | None
    """None: the time was over before its turn."""
    ran: str = ""
    """Engine, versions and precision, for people."""
    checksum: str = ""
    cpu: str = ""


@dataclass(frozen=True, slots=True)
class _Turn:
    model: ModelFolder
    engine: EngineName
    size: str


def measure(models: Sequence[ModelFolder], *, seconds: float) -> Iterator[Speed]:
    """Measure each model in each engine at each of its sizes, at most `seconds` in all and not much more.

    The engines get prepared pictures through the batcher that `detect` and `serve` use: reading, shrinking and writing
    are not in the figure. A model that an engine cannot run is left out with a warning.
    """
    turns = [
        _Turn(model, engine, size)
        for engine in usable_engines(ServingConfig())
        for model in models
        if not ENGINES[engine].remote and takes(engine, model)
        for size in ("default", *model.metadata.sizes)
    ]
    end = time.monotonic() + seconds
    for index, turn in enumerate(turns):
        share = (end - time.monotonic()) / (len(turns) - index)
        try:
            yield _measured(turn, min(share, end - time.monotonic()))
        except HumanDetectError as error:
            logger.warning("%s in %s at size %s is left out: %s", turn.model.name, turn.engine, turn.size, error)


def _measured(turn: _Turn, seconds: float) -> Speed:
    speed = Speed(turn.model.name, turn.engine, turn.size, None)
    if seconds < SHORTEST_SECONDS:
        return speed
    end = time.monotonic() + seconds
    with open_detector(turn.model.path, engine=turn.engine, size=turn.size) as detector:
        rate = _images_per_second(detector, end=max(end, time.monotonic() + SHORTEST_SECONDS))
        ran = detector.info.engine
    return Speed(turn.model.name, turn.engine, turn.size, rate, ran, checksum(turn.model.path), str(machine()["cpu"]))


def _images_per_second(detector: Detector, *, end: float) -> float:
    with open_source(str(bundled("examples/plaza.mp4")), SourceConfig(limit=1)) as source:
        (picture,) = [detector.prepare(frame.image) for frame in source]
    with open_batcher(detector.info, detector.infer) as batcher:
        batcher.submit(picture).result()
        began, done = time.monotonic(), 0
        while time.monotonic() < end or not done:
            futures = [batcher.submit(picture, timeout_seconds=None) for _ in range(batcher.capacity)]
            done += sum(future.result() is not None for future in futures)
        return done / (time.monotonic() - began)


def keep(speeds: Sequence[Speed]) -> None:
    """Keep what was measured in the user's cache folder, in place of what was known of the same; never fails."""
    key = ("model", "engine", "size")
    new = {tuple(asdict(speed)[name] for name in key): asdict(speed) for speed in speeds if speed.images_per_second}
    try:
        known = {tuple(row[name] for name in key): row for row in _kept()}
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(list({**known, **new}.values()), indent=1), encoding="utf-8")
    except (OSError, KeyError) as error:
        logger.info("speeds are not kept: %s", error)


def known_speed(model: ModelFolder, *, size: str = "default") -> Speed | None:
    """Return the fastest that was measured of this very model on this machine, or None."""
    speeds = []
    for row in _kept():
        try:
            speeds.append(Speed(**row))
        except TypeError:  # another version wrote it
            continue
    if not any(speed.model == model.name and speed.size == size for speed in speeds):
        return None
    content, cpu = checksum(model.path), str(machine()["cpu"])
    same = [one for one in speeds if (one.model, one.size, one.checksum, one.cpu) == (model.name, size, content, cpu)]
    return max(same, key=lambda speed: speed.images_per_second or 0, default=None)


def _path() -> Path:
    return platformdirs.user_cache_path("humandetect", appauthor=False) / "speeds.json"


def _kept() -> list[dict[str, Any]]:
    try:
        rows = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
