"""How `serve` and `model-server` listen, and what they accept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  pydantic reads the annotations where the environment makes a config
from typing import Literal

from humandetect.config.checks import MAX_MEGAPIXELS, require
from humandetect.config.engine import EngineConfig, ServingConfig

LogFormat = Literal["text", "json"]

SERVE_PATIENCE_SECONDS = 5.0
"""Whoever asks an endpoint can ask again; a video cannot."""


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """One endpoint of `serve`."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    score: float | None = None
    """People below it are not reported; None: the model's own default."""
    batch: int | None = None
    """Images per engine call; None: the engine's best."""
    max_wait_ms: float = 5.0
    """While every worker of the engine is busy, a batch waits this long for company."""
    queue: int = 512
    """Images that may be under way at once; requests beyond are answered 503."""
    workers: int = 1
    """Processes, each with an engine of its own."""
    max_image_mb: float = 5.0
    """Images must be under this many million bytes."""
    max_images: int = 16
    """Images a request."""
    max_megapixels: float = 50.0
    timeout_seconds: float = 30.0
    """An image not answered within this time, all waiting included, is given up."""
    api_key: str | None = field(default=None, repr=False)
    """Asked of every request but those of the page and of health; None: of none."""
    cors_origins: tuple[str, ...] = ()
    """Other sites whose pages may use this endpoint."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log_format: LogFormat = "text"
    engine: EngineConfig = field(
        default_factory=lambda: EngineConfig(serving=ServingConfig(patience_seconds=SERVE_PATIENCE_SECONDS))
    )

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65535, f"port must be 0 to 65535, got {self.port}")
        require(self.score is None or 0 <= self.score <= 1, f"score must be within 0 and 1, got {self.score}")
        require(self.batch is None or self.batch >= 1, f"batch must be at least 1, got {self.batch}")
        require(0 <= self.max_wait_ms <= 10_000, f"max_wait_ms must be 0 to 10000, got {self.max_wait_ms}")
        require(1 <= self.workers <= 256, f"workers must be 1 to 256, got {self.workers}")
        require(0 < self.max_image_mb <= 1000, f"max_image_mb must be over 0 and up to 1000, got {self.max_image_mb}")
        require(1 <= self.max_images <= 1024, f"max_images must be 1 to 1024, got {self.max_images}")
        require(
            self.queue >= self.max_images, f"queue must hold one request of {self.max_images} images, got {self.queue}"
        )
        megapixels = self.max_megapixels
        require(0 < megapixels <= MAX_MEGAPIXELS, f"max_megapixels must be 0 to {MAX_MEGAPIXELS}, got {megapixels}")
        require(
            0 < self.timeout_seconds <= 3600, f"timeout must be over 0 and up to 3600 s, got {self.timeout_seconds}"
        )
        require(
            self.api_key is None or bool(self.api_key.strip()), "the API key is empty: leave it out to ask for none"
        )
        require(
            (self.tls_cert is None) == (self.tls_key is None),
            "TLS needs both: a certificate (tls_cert) and its key (tls_key)",
        )


@dataclass(frozen=True, slots=True)
class ModelServerConfig:
    """One server of `model-server`."""

    models_config: Path | None = None
    """In TensorFlow Serving's own format; None: ./models.config, else the packaged one."""
    models_dir: Path | None = None
    """Where a model lies whose base_path does not exist; None: as for engines."""
    host: str = "127.0.0.1"
    port: int = 8500
    """Of gRPC; 0 takes a free one."""
    rest_port: int | None = None
    """0 takes a free one; None: no REST."""
    enable_batching: bool = False
    batching_parameters: Path | None = None
    """A BatchingParameters file; None: the defaults."""
    tensor_content: bool = False
    """Answer with raw bytes in `tensor_content` instead of the typed fields."""
    threads: int = 64
    """Requests that may be worked on at once."""
    poll_seconds: float = 1.0
    """Between looks at the folders of versions."""
    exit_with_stdin: bool = False
    """End when stdin does: a parent that holds the other end takes the server along, however it ends."""

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("rest_port", self.rest_port or 0)):
            require(0 <= port <= 65535, f"{name} must be 0 to 65535, got {port}")
        require(self.port == 0 or self.port != self.rest_port, f"port and rest_port must differ, both are {self.port}")
        require(self.enable_batching or self.batching_parameters is None, "batching parameters need --enable-batching")
        require(1 <= self.threads <= 4096, f"threads must be 1 to 4096, got {self.threads}")
        require(0 < self.poll_seconds <= 3600, f"poll_seconds must be over 0 and up to 3600, got {self.poll_seconds}")
