"""What `detect` and `feed` read, do and write."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  pydantic reads the annotations where the environment makes a config
from typing import Literal

from humandetect.config.checks import MAX_MEGAPIXELS, require
from humandetect.config.engine import EngineConfig

Endpoint = Literal["auto", "request", "v1"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]

SAMPLE = "sample"
MAX_SECONDS = 10_000_000
"""Four months: more than any source has, and few enough for every container's clock."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Which part of a source is read."""

    start_seconds: float = 0.0
    duration_seconds: float | None = None
    limit: int | None = None
    """Stop after this many frames of each source."""
    max_megapixels: float = 50.0
    """Refuse larger pictures from their header, before a byte of pixels is decoded."""
    open_timeout_seconds: float = 10.0
    """Live sources must open within this time."""
    read_timeout_seconds: float = 20.0
    """Live sources must send a frame within this time, or they have ended."""

    def __post_init__(self) -> None:
        for name, seconds in (("start", self.start_seconds), ("duration", self.duration_seconds)):
            require(
                seconds is None or 0 <= seconds <= MAX_SECONDS, f"{name} must be 0 to {MAX_SECONDS} s, got {seconds}"
            )
        require(self.duration_seconds != 0, "duration must be longer than 0 s")
        require(self.limit is None or self.limit > 0, f"limit must be at least 1 frame, got {self.limit}")
        megapixels = self.max_megapixels
        require(0 < megapixels <= MAX_MEGAPIXELS, f"max_megapixels must be 0 to {MAX_MEGAPIXELS}, got {megapixels}")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a run reads and where its results go: the part that `detect` and `feed` share."""

    sources: tuple[str, ...]
    output: Path | None = None
    """File for one source, folder for several; None writes no picture unless `results` is empty too."""
    results: tuple[str, ...] = ()
    """Paths of result files, format by ending; `-` is JSON lines on stdout."""
    crops: Path | None = None
    show: bool = False
    every: int = 1
    """Detect each Nth frame and keep the boxes between."""
    preset: Preset = "veryfast"
    """x264's trade of speed against size."""
    source: SourceConfig = field(default_factory=SourceConfig)

    def __post_init__(self) -> None:
        require(not isinstance(self.results, str), "results is a tuple of paths, even if there is one")
        require(self.every >= 1, f"every must be at least 1, got {self.every}")


@dataclass(frozen=True, slots=True)
class DetectConfig(RunConfig):
    """One run of `detect`."""

    score: float | None = None
    """People below it are not reported; None: the model's own default."""
    batch: int | None = None
    """Images per engine call; None: the engine's best."""
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)  # not by super(): a dataclass with slots is not the class that was defined here
        require(self.batch is None or self.batch >= 1, f"batch must be at least 1, got {self.batch}")
        require(self.score is None or 0 <= self.score <= 1, f"score must be within 0 and 1, got {self.score}")


@dataclass(frozen=True, slots=True)
class FeedConfig(RunConfig):
    """One run of `feed`."""

    sources: tuple[str, ...] = (SAMPLE,)
    url: str = "http://127.0.0.1:8000"
    endpoint: Endpoint = "auto"
    """`request`: the server's annotated pictures; `v1`: pictures drawn here.

    `auto`: `request` where pictures are wanted, else `v1` if the server has it, which spares it the drawing.
    """
    concurrent: bool = False
    """Many requests of many images at once; else one image after the other."""
    batch: int = 16
    """Images a request, where they are `concurrent`."""
    workers: int = 4
    """Requests at once, where they are `concurrent`."""
    api_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    """A request not answered within this time is sent again."""
    patience_seconds: float = 60.0
    """How long a server may be away, overloaded or too slow before the run ends."""
    jpeg_quality: int = 97
    """Of the frames that are sent: moves 3 scores in 1000 by more than 0.1; 95 moves 8, and 90 loses people."""
    spawn: bool = False
    """Start a server of one's own for the length of the run; `url` is ignored."""

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        require(1 <= self.batch <= 1024, f"batch must be 1 to 1024, got {self.batch}")
        require(1 <= self.workers <= 256, f"workers must be 1 to 256, got {self.workers}")
        require(
            0 < self.timeout_seconds <= 3600, f"timeout must be over 0 and up to 3600 s, got {self.timeout_seconds}"
        )
        require(self.patience_seconds >= 0, f"patience must be at least 0 s, got {self.patience_seconds}")
        require(1 <= self.jpeg_quality <= 100, f"the JPEG quality must be 1 to 100, got {self.jpeg_quality}")
        require(self.api_key != "", "the API key is empty: leave it out to send none")
