"""How `serve` listens, and what it accepts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from humandetect.config.detect import Anonymize, MegapixelsField
from humandetect.config.engine import BatchField, EngineConfig, ScoreField, ServingConfig
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt, require

LogFormat = Literal["text", "json"]

SERVE_PATIENCE_SECONDS = 5.0
"""Whoever asks an endpoint can ask again; a video cannot."""
HostField = Annotated[str, Opt("Address to listen at; 0.0.0.0 lets the network in.", "Server")]
TlsCertField = Annotated[
    Path | None, Opt("Serve HTTPS: certificate, PEM.", "Server", metavar="FILE", needs=("listen",))
]
TlsKeyField = Annotated[Path | None, Opt("Its key, PEM, not encrypted.", "Server", metavar="FILE", needs=("listen",))]


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """One endpoint of `serve`."""

    host: HostField = "127.0.0.1"
    port: Annotated[int, Opt("Port to listen at; 0 takes a free one.", "Server", metavar="PORT"), Ge(0), Le(65535)] = (
        8000
    )
    workers: Annotated[
        int,
        Opt(
            "Processes. Each loads the model itself and says what that costs in memory; tf-serving's share a server.",
            "Server",
        ),
        Ge(1),
        Le(256),
    ] = 1
    tls_cert: TlsCertField = None
    tls_key: TlsKeyField = None
    api_key: Annotated[
        str | None,
        Opt(
            "Ask every request but the page's and health for it; safest in the environment.",
            "Server",
            metavar="KEY",
            secret=True,
        ),
    ] = field(default=None, repr=False)
    cors_origins: Annotated[
        tuple[str, ...],
        Opt("Let this site's pages use the endpoint. Repeatable.", "Server", names=("--cors-origin",), metavar="URL"),
    ] = ()
    anonymize: Annotated[
        Anonymize | None, Opt("Hide people in every picture that is answered, whatever the request says.", "Server")
    ] = None
    score: ScoreField = None
    batch: BatchField = None
    max_wait_ms: Annotated[
        float,
        Opt("A batch waits this long for company while the engine is busy.", "Load"),
        Ge(0),
        Le(10_000),
    ] = 5.0
    queue: Annotated[
        int,
        Opt("Images under way at once in a process; requests beyond are answered 503.", "Load", metavar="N"),
        Ge(1),
    ] = 512
    timeout_seconds: Annotated[
        float, Opt("Give up an image that is not answered by then.", "Limits"), Gt(0), Le(3600)
    ] = 30.0
    max_image_mb: Annotated[float, Opt("Images must be under this many million bytes.", "Limits"), Gt(0), Le(1000)] = (
        5.0
    )
    max_images: Annotated[int, Opt("Images a request.", "Limits"), Ge(1), Le(1024)] = 16
    max_megapixels: MegapixelsField = 50.0
    log_format: Annotated[LogFormat, Opt("How requests are logged on stderr.", "Messages")] = "text"
    engine: Annotated[EngineConfig, Group()] = field(
        default_factory=lambda: EngineConfig(serving=ServingConfig(patience_seconds=SERVE_PATIENCE_SECONDS))
    )

    def __post_init__(self) -> None:
        check(self)
        require(
            self.queue >= self.max_images,
            f"--queue must hold one request of {self.max_images} images, got {self.queue}",
        )
        require(
            self.api_key is None or bool(self.api_key.strip()), "the API key is empty: leave it out to ask for none"
        )
        require_tls_pair(self.tls_cert, self.tls_key)


def require_tls_pair(cert: Path | None, key: Path | None) -> None:
    """Raise UsageError for one without the other."""
    require((cert is None) == (key is None), "TLS needs both: a certificate (--tls-cert) and its key (--tls-key)")
