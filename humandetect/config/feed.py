"""What `feed` sends to which server."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from humandetect.config.detect import SAMPLE, RunConfig
from humandetect.config.option import Opt, require

Endpoint = Literal["auto", "request", "v1"]


@dataclass(frozen=True, slots=True)
class FeedConfig(RunConfig):
    """One run of `feed`."""

    # --batch, --workers and --timeout mean other things in `serve`, whose variables must not count here.

    sources: Annotated[
        tuple[str, ...],
        Opt("Whatever `detect` takes.", "Input", metavar="VIDEO", argument=True, unset="the bundled clip"),
    ] = field(default=(SAMPLE,), repr=False)
    url: Annotated[str, Opt("Where the server is.", "Server", metavar="URL")] = field(
        default="http://127.0.0.1:8000", repr=False
    )
    spawn: Annotated[
        bool, Opt("Start a server for this run, and end it; --url is ignored.", "Server", variable=None)
    ] = False
    api_key: Annotated[str | None, Opt("Key that the server asks for.", "Server", metavar="KEY", secret=True)] = field(
        default=None, repr=False
    )
    endpoint: Annotated[
        Endpoint,
        Opt(
            "request: the server draws, POST /request; v1: drawn here, POST /v1/detect; auto: v1 for results only.",
            "Load",
            variable=None,
        ),
    ] = "auto"
    concurrent: Annotated[
        bool,
        Opt(
            "Send batches, several at once; else one frame after the other.",
            "Load",
            names=("--async",),
            variable=None,
        ),
    ] = False
    batch: Annotated[
        int, Opt("Images a request, with --async.", "Load", variable=None, needs=("concurrent",)), Ge(1), Le(1024)
    ] = 16
    workers: Annotated[
        int, Opt("Requests at once, with --async.", "Load", variable=None, needs=("concurrent",)), Ge(1), Le(256)
    ] = 4
    jpeg_quality: Annotated[
        int, Opt("Of the frames that are sent; under 95 people are lost.", "Load", variable=None), Ge(1), Le(100)
    ] = 97
    """Moves 3 scores in 1000 by more than 0.1; 95 moves 8, and 90 loses people."""
    timeout_seconds: Annotated[
        float, Opt("Send a request again that is not answered by then.", "Limits", variable=None), Gt(0), Le(3600)
    ] = 30.0
    patience_seconds: Annotated[
        float, Opt("A server may be away, overloaded or too slow for so long.", "Limits", variable=None), Ge(0)
    ] = 60.0

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)  # not by super(): a dataclass with slots is not the class that was defined here
        require(self.api_key != "", "the API key is empty: leave it out to send none")
