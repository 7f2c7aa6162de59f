"""How fast models are on this machine: measured as a run works, and kept in the user's cache folder."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import platformdirs

from humandetect.bench.machine import machine, versions
from humandetect.config import EngineConfig, SourceConfig
from humandetect.engines import ENGINES, is_installed
from humandetect.engines.compiled_cache import CompiledCache
from humandetect.errors import HumanDetectError
from humandetect.models.find import bundled
from humandetect.models.metadata import checksum, takes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.config import EngineName, Precision
    from humandetect.media.frames import Frame
    from humandetect.models.metadata import ModelFolder

SAMPLE_FRAMES = 16
FIRST_LOAD_SECONDS = 6.0
"""What an engine's first start is expected to take; others are expected to take as long as the one before."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 5.0
"""Of a measurement: below, a figure is not worth showing; above, it gets no better."""


class Setup(NamedTuple):
    """An engine and its precision."""

    engine: EngineName
    precision: Precision = "auto"

    def __str__(self) -> str:
        return self.engine if self.precision == "auto" else f"{self.engine} {self.precision}"


USUAL = Setup("openvino")
"""Which `models list` shows."""
SETUPS = (USUAL, Setup("openvino", "f32"), Setup("tensorflow"))


@dataclass(frozen=True, slots=True)
class Trial:
    """A model in an engine at a size."""

    model: ModelFolder
    setup: Setup
    size: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.model.name, self.model.version, f"at {self.size} in {self.setup}")))


@dataclass(frozen=True, slots=True)
class Speed:
    """What came of a trial."""

    images_per_second: float
    engine: str
    """Who ran it, for people: `openvino 2026.4.1, CPU, bf16`."""
    measured_seconds: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a trial gave no figure."""

    reason: str


class SpeedCache:
    """Speeds measured earlier; those of another file, version or machine are not found."""

    def __init__(self) -> None:
        folder = platformdirs.user_cache_path("humandetect", appauthor=False) / "speeds"
        self._files = CompiledCache(folder)
        self._around = (machine()["cpu"], machine()["cpus"], sorted(versions().items()))

    def load(self, trial: Trial) -> Speed | None:
        content = self._files.load(self._key(trial))
        return None if content is None else Speed(**json.loads(content))

    def save(self, trial: Trial, speed: Speed) -> None:
        self._files.save(self._key(trial), json.dumps(asdict(speed)).encode())

    def _key(self, trial: Trial) -> str:
        return repr((checksum(trial.model.path), str(trial.setup), trial.size, self._around))


def sample_frames() -> list[Frame]:
    """Decode some of the bundled clip, so that decoding takes no part in a speed."""
    from humandetect.media.sources import open_source

    with open_source(str(bundled("examples/plaza.mp4")), SourceConfig(limit=SAMPLE_FRAMES)) as source:
        return list(source)


def trials_of(models: Sequence[ModelFolder]) -> list[Trial]:
    """Return what there is to measure with the engines that are installed; what most people want comes first."""
    setups = [setup for setup in SETUPS if is_installed(ENGINES[setup.engine].package)]
    trials = [
        Trial(model, setup, size)
        for setup, model in itertools.product(setups, models)
        if takes(setup.engine, model)
        for size in model.metadata.presets
    ]
    return sorted(trials, key=lambda trial: (trial.setup != USUAL, trial.size != "default"))


def measure(
    trials: Sequence[Trial], frames: Sequence[Frame], *, seconds: float
) -> Iterator[tuple[Trial, Speed | LeftOut]]:
    """Measure one trial after the other within `seconds`, and keep the speeds for `SpeedCache`.

    Trials for which no time is left are left out; a start that takes longer than was expected is not broken off.
    """
    cache = SpeedCache()
    ends = time.monotonic() + seconds
    load_seconds: dict[str, float] = {}
    for number, trial in enumerate(trials):
        load = load_seconds.get(trial.setup.engine, FIRST_LOAD_SECONDS)
        began = time.monotonic()
        left = ends - began
        if load + SHORTEST_SECONDS > left:
            yield trial, LeftOut("no time left: give more --seconds")
            continue
        share = left / (len(trials) - number) - load
        try:
            speed = _speed(trial, frames, seconds=min(max(share, SHORTEST_SECONDS), LONGEST_SECONDS))
        except HumanDetectError as error:
            yield trial, LeftOut(str(error))
            continue
        load_seconds[trial.setup.engine] = time.monotonic() - began - speed.measured_seconds
        cache.save(trial, speed)
        yield trial, speed


def _speed(trial: Trial, frames: Sequence[Frame], *, seconds: float) -> Speed:
    """Run as `detect` does, without decoding and writing: shrink, infer in batches, pick the people out."""
    from humandetect.detection.detector import Detector
    from humandetect.detection.finders import EngineFinder, detect_in_order, open_batcher
    from humandetect.engines import load_engine

    engine, precision = trial.setup
    config = EngineConfig(engine=engine, precision=precision, model=str(trial.model.path), size=trial.size)
    with Detector(load_engine(config)) as detector, open_batcher(detector.info, detector.infer) as batcher:
        finder = EngineFinder(detector, batcher)
        list(detect_in_order(frames, finder, every=1))  # compiles what the frames' shape needs
        began = time.perf_counter()
        going_on = itertools.takewhile(lambda _: time.perf_counter() < began + seconds, itertools.cycle(frames))
        images = sum(1 for _ in detect_in_order(going_on, finder, every=1))
        took = time.perf_counter() - began
    # Rounded once: tables and JSON tell, and the cache keeps, the same number.
    return Speed(round(images / took, 2), detector.info.engine, took)
