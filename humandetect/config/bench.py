"""What `bench` measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from humandetect.config.checks import require
from humandetect.config.engine import EngineConfig, EngineName
from humandetect.config.run import SAMPLE

BenchTarget = Literal["server", "engine"]


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """One run of `bench`."""

    urls: tuple[str, ...] = field(default=(), repr=False)
    """Servers that are there; none: one server of one's own for each of `engines`."""
    engines: tuple[EngineName, ...] = ()
    """None: every engine that is installed."""
    target: BenchTarget = "server"
    """`engine` leaves HTTP out."""
    images: str = SAMPLE
    """A folder, a video or whatever else `detect` takes."""
    concurrency: int = 20
    """Requests under way at once."""
    batch: int = 16
    """Images a request in batch mode; stream mode sends one."""
    rate: float | None = None
    """Requests a second, sent whether or not the earlier ones are answered; None: as fast as answers come."""
    sweep: bool = False
    """Go through several concurrencies instead of one."""
    requests: int | None = None
    """Requests a window; None: as many as `window_seconds` has time for."""
    window_seconds: float = 5.0
    windows: int = 5
    """A load has at most so many windows, and ends earlier when the last three agree."""
    score: float | None = None
    """People below it are not reported; None: the model's own default."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Model, device and precision of all `engines`; its own `engine` is not read."""
    api_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0
    """A request not answered within this time counts as an error."""

    def __post_init__(self) -> None:
        names = get_args(EngineName)
        for name in self.engines:
            require(name in names, f"no engine is called {name!r}; there are {', '.join(names)}")
        require(not (self.urls and self.engines), "--url measures the server there; --engine starts one: choose")
        require(not (self.urls and self.target == "engine"), "the engine alone has no --url")
        require(1 <= self.concurrency <= 1000, f"concurrency must be 1 to 1000, got {self.concurrency}")
        require(1 <= self.batch <= 1024, f"batch must be 1 to 1024, got {self.batch}")
        require(self.rate is None or 0 < self.rate <= 100_000, f"rate must be over 0 to 100000, got {self.rate}")
        require(not (self.sweep and self.rate), "a sweep goes through concurrencies, --rate does not depend on them")
        require(self.requests is None or self.requests >= 1, f"requests must be at least 1, got {self.requests}")
        require(0.1 <= self.window_seconds <= 3600, f"a window must last 0.1 to 3600 s, got {self.window_seconds}")
        require(1 <= self.windows <= 1000, f"windows must be 1 to 1000, got {self.windows}")
        require(self.score is None or 0 <= self.score <= 1, f"score must be within 0 and 1, got {self.score}")
        require(
            0 < self.timeout_seconds <= 3600, f"timeout must be over 0 and up to 3600 s, got {self.timeout_seconds}"
        )
        require(self.api_key != "", "the API key is empty: leave it out to send none")
