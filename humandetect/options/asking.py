"""How `feed` asks a server."""

from __future__ import annotations

from typing import Annotated

from humandetect.config import Endpoint
from humandetect.options.base import ASKING, option

UrlOpt = Annotated[str, option(ASKING, "--url", metavar="URL", help="Where the server is.", env="URL")]
AsyncOpt = Annotated[
    bool, option(ASKING, "--async", help="Send batches, several at once; else one frame after the other.")
]
SentBatchOpt = Annotated[int, option(ASKING, "--batch", min=1, max=1024, help="Images a request, with --async.")]
SendersOpt = Annotated[int, option(ASKING, "--workers", min=1, max=256, help="Requests at once, with --async.")]
EndpointOpt = Annotated[
    Endpoint,
    option(
        ASKING,
        "--endpoint",
        help="request: the server draws, POST /request; v1: drawn here, POST /v1/detect; auto: v1 for results only.",
    ),
]
SentKeyOpt = Annotated[
    str | None, option(ASKING, "--api-key", metavar="KEY", help="Key that the server asks for.", env="API_KEY")
]
AnswerTimeoutOpt = Annotated[
    float, option(ASKING, "--timeout", metavar="SECONDS", help="Send a request again that is not answered by then.")
]
SpawnOpt = Annotated[bool, option(ASKING, "--spawn", help="Start a server for this run, and end it.")]
