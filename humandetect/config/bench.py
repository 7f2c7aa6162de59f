"""What `bench` measures."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from humandetect.config.detect import SAMPLE
from humandetect.config.engine import EngineConfig, EngineName, ScoreField
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt, require

BenchTarget = Literal["server", "engine"]


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """One run of `bench`."""

    # What is measured, and how hard, is said for each run: most of it has no variable.

    urls: Annotated[
        tuple[str, ...],
        Opt(
            "Measure the server there. Repeatable.",
            "Server",
            names=("--url",),
            metavar="URL",
            unset="servers of its own",
            variable=None,
        ),
    ] = field(default=(), repr=False)
    engines: Annotated[
        tuple[EngineName, ...],
        Opt(
            "Start a server with this engine. Repeatable.",
            "Server",
            names=("--engine",),
            metavar="NAME",
            unset="all installed",
            variable=None,
        ),
    ] = ()
    target: Annotated[BenchTarget, Opt("engine: leave HTTP out.", "Server", variable=None)] = "server"
    api_key: Annotated[str | None, Opt("Key that the server asks for.", "Server", metavar="KEY", secret=True)] = field(
        default=None, repr=False
    )
    images: Annotated[
        str,
        Opt(
            "Pictures to send, up to 64; `sample`: the bundled clip's.",
            "Input",
            metavar="DIR|VIDEO",
            variable=None,
        ),
    ] = SAMPLE
    concurrency: Annotated[int, Opt("Requests at once.", "Load", variable=None), Ge(1), Le(1000)] = 20
    batch: Annotated[
        int, Opt("Images a request in batch mode; with 1 only stream mode.", "Load", variable=None), Ge(1), Le(1024)
    ] = 16
    rate: Annotated[
        float | None,
        Opt(
            "Send R requests a second, answered or not; latencies count from when each was due.",
            "Load",
            metavar="R",
            unset="as fast as answers come",
            variable=None,
        ),
        Gt(0),
        Le(100_000),
    ] = None
    sweep: Annotated[
        bool,
        Opt("Concurrency 1, 5, 10, 20 in batch mode and 1, 20, 40, 160 in stream mode.", "Load", variable=None),
    ] = False
    window_seconds: Annotated[
        float,
        Opt("Length of a window; three at least are taken.", "Load", names=("--duration",), variable=None),
        Ge(0.1),
        Le(3600),
    ] = 5.0
    requests: Annotated[
        int | None, Opt("Requests a window, instead of a time.", "Load", metavar="N", variable=None), Ge(1)
    ] = None
    windows: Annotated[
        int, Opt("Most windows, while the last three do not agree.", "Load", variable=None), Ge(1), Le(1000)
    ] = 5
    timeout_seconds: Annotated[
        float, Opt("Count a request not answered by then as an error.", "Limits", variable=None), Gt(0), Le(3600)
    ] = 60.0
    score: ScoreField = None
    engine: Annotated[EngineConfig, Group(without=("engine",))] = field(default_factory=EngineConfig)
    """Model, device and precision of all `engines`; its own `engine` is not read."""

    def __post_init__(self) -> None:
        check(self)
        require(not (self.urls and self.engines), "--url measures the server there; --engine starts one: choose")
        require(not (self.urls and self.target == "engine"), "the engine alone has no --url")
        require(not (self.sweep and self.rate), "a sweep goes through concurrencies, --rate does not depend on them")
        require(self.api_key != "", "the API key is empty: leave it out to send none")
