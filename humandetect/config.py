"""Every option and every default, once. The command line translates into these; scripts build them directly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  pydantic reads the annotations where the environment makes a config
from typing import Literal, get_args

from humandetect.errors import UsageError

EngineName = Literal["auto", "openvino", "tensorflow", "tf-serving"]
Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "f32", "bf16"]
LogFormat = Literal["text", "json"]
Endpoint = Literal["request", "v1"]
BenchTarget = Literal["server", "engine"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]

DEFAULT_MODEL = "human_detection"
SAMPLE = "sample"
MAX_SECONDS = 10_000_000
"""Four months: more than any source has, and few enough for every container's clock."""
SERVE_PATIENCE_SECONDS = 5.0
"""Whoever asks an endpoint can ask again; a video cannot."""
MAX_MEGAPIXELS = 2000
"""What FFmpeg and the image libraries can count in 31 bits."""


@dataclass(frozen=True, slots=True)
class ServingConfig:
    """Which TensorFlow Serving runs the model, for the engine `tf-serving`."""

    targets: tuple[str, ...] = ()
    """HOST:PORT, `dns:///NAME:PORT` or `unix:PATH` of each server; requests are spread over them."""
    model: str | None = None
    """Its name on the servers; None: the engine's model."""
    version: int | None = None
    label: str | None = None
    """Version or label to ask for; neither: the newest that is served."""
    signature: str | None = None
    """None: `serving_default`, or the only one there is."""
    timeout_seconds: float = 30.0
    """Every call ends within this time, and a start waits no longer for a server."""
    patience_seconds: float = 60.0
    """A run waits this long for servers that went away or are overloaded."""
    parallel: int = 2
    """Requests that may be under way at once, for each target."""
    tls: bool = False
    """Encrypt; implied by any of the next four."""
    ca: Path | None = None
    """PEM certificates to trust; None: those that gRPC trusts."""
    cert: Path | None = None
    key: Path | None = None
    """This client's own certificate and its key, for servers that ask for one."""
    server_name: str | None = None
    """Expect this name in the server's certificate, not the host's."""
    token: str | None = field(default=None, repr=False)
    """Sent as `authorization: Bearer ...` for the proxy before the servers."""

    def __post_init__(self) -> None:
        _require(not isinstance(self.targets, str), "targets is a tuple of addresses, even if there is one")
        for target in self.targets:
            _check_target(target)
        _require(self.version is None or self.label is None, "a version or a label chooses the model, not both")
        _require(self.version is None or self.version >= 0, f"the version must be at least 0, got {self.version}")
        for name, seconds in (("timeout", self.timeout_seconds), ("patience", self.patience_seconds)):
            _require(0 < seconds <= 3600, f"serving {name} must be over 0 and up to 3600 s, got {seconds}")
        _require(1 <= self.parallel <= 1024, f"serving parallel must be 1 to 1024, got {self.parallel}")
        _require(
            (self.cert is None) == (self.key is None), "a client certificate needs its key, and a key its certificate"
        )
        token = self.token
        _require(
            token is None or bool(re.fullmatch(r"[!-~]+", token)),
            "the serving token may hold only printable ASCII characters, and at least one",
        )

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or any((self.ca, self.cert, self.key, self.server_name))


def _check_target(target: str) -> None:
    """Raise UsageError unless gRPC can connect to such an address; passwords in it are not repeated."""
    expected = "expected HOST:PORT of the gRPC port (usually 8500), dns:///NAME:PORT or unix:PATH"
    _require("@" not in target, f"a server's address has no user or password in it; {expected}, and --serving-token")
    path = re.fullmatch(r"unix:(?://)?(.*)", target)
    if path:
        _require(bool(path[1]) and "\0" not in target, f"{target!r} names no socket; {expected}")
        return
    found = re.fullmatch(r"(?:dns:///)?(\[[0-9a-fA-F:.%\w]+\]|[\w.-]+):([0-9]{1,5})", target)
    port = int(found[2]) if found else 0
    _require(1 <= port <= 65535, f"{target!r} is no server's address; {expected}")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Which engine runs which model on what."""

    engine: EngineName = "auto"
    device: Device = "auto"
    precision: Precision = "auto"
    """`auto` is the hardware's best; `f32` is the same in every engine."""
    model: str = DEFAULT_MODEL
    """A name in the models folder or in models.config, or a path to a SavedModel or a frozen graph."""
    models_dir: Path | None = None
    """Where names are looked up; None: HUMANDETECT_MODELS_DIR, ./models, the packaged copy."""
    serving: ServingConfig = field(default_factory=ServingConfig)
    """For the engine `tf-serving`, which `auto` chooses where this names a server."""


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
            _require(
                seconds is None or 0 <= seconds <= MAX_SECONDS, f"{name} must be 0 to {MAX_SECONDS} s, got {seconds}"
            )
        _require(self.duration_seconds != 0, "duration must be longer than 0 s")
        _require(self.limit is None or self.limit > 0, f"limit must be at least 1 frame, got {self.limit}")
        megapixels = self.max_megapixels
        _require(0 < megapixels <= MAX_MEGAPIXELS, f"max_megapixels must be 0 to {MAX_MEGAPIXELS}, got {megapixels}")


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
        _require(not isinstance(self.results, str), "results is a tuple of paths, even if there is one")
        _require(self.every >= 1, f"every must be at least 1, got {self.every}")


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
        _require(self.batch is None or self.batch >= 1, f"batch must be at least 1, got {self.batch}")
        _require(self.score is None or 0 <= self.score <= 1, f"score must be within 0 and 1, got {self.score}")


@dataclass(frozen=True, slots=True)
class FeedConfig(RunConfig):
    """One run of `feed`."""

    sources: tuple[str, ...] = (SAMPLE,)
    url: str = "http://127.0.0.1:8000"
    endpoint: Endpoint = "request"
    """`request`: the server's annotated pictures; `v1`: pictures drawn here."""
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
        _require(1 <= self.batch <= 1024, f"batch must be 1 to 1024, got {self.batch}")
        _require(1 <= self.workers <= 256, f"workers must be 1 to 256, got {self.workers}")
        _require(
            0 < self.timeout_seconds <= 3600, f"timeout must be over 0 and up to 3600 s, got {self.timeout_seconds}"
        )
        _require(self.patience_seconds >= 0, f"patience must be at least 0 s, got {self.patience_seconds}")
        _require(1 <= self.jpeg_quality <= 100, f"the JPEG quality must be 1 to 100, got {self.jpeg_quality}")
        _require(self.api_key != "", "the API key is empty: leave it out to send none")


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
        _require(0 <= self.port <= 65535, f"port must be 0 to 65535, got {self.port}")
        _require(self.score is None or 0 <= self.score <= 1, f"score must be within 0 and 1, got {self.score}")
        _require(self.batch is None or self.batch >= 1, f"batch must be at least 1, got {self.batch}")
        _require(0 <= self.max_wait_ms <= 10_000, f"max_wait_ms must be 0 to 10000, got {self.max_wait_ms}")
        _require(1 <= self.workers <= 256, f"workers must be 1 to 256, got {self.workers}")
        _require(0 < self.max_image_mb <= 1000, f"max_image_mb must be over 0 and up to 1000, got {self.max_image_mb}")
        _require(1 <= self.max_images <= 1024, f"max_images must be 1 to 1024, got {self.max_images}")
        _require(
            self.queue >= self.max_images, f"queue must hold one request of {self.max_images} images, got {self.queue}"
        )
        megapixels = self.max_megapixels
        _require(0 < megapixels <= MAX_MEGAPIXELS, f"max_megapixels must be 0 to {MAX_MEGAPIXELS}, got {megapixels}")
        _require(
            0 < self.timeout_seconds <= 3600, f"timeout must be over 0 and up to 3600 s, got {self.timeout_seconds}"
        )
        _require(
            self.api_key is None or bool(self.api_key.strip()), "the API key is empty: leave it out to ask for none"
        )
        _require(
            (self.tls_cert is None) == (self.tls_key is None),
            "TLS needs both: a certificate (tls_cert) and its key (tls_key)",
        )


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """One run of `bench`."""

    urls: tuple[str, ...] = ()
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
            _require(name in names, f"no engine is called {name!r}; there are {', '.join(names)}")
        _require(not (self.urls and self.engines), "--url measures the server there; --engine starts one: choose")
        _require(not (self.urls and self.target == "engine"), "the engine alone has no --url")
        _require(1 <= self.concurrency <= 1000, f"concurrency must be 1 to 1000, got {self.concurrency}")
        _require(1 <= self.batch <= 1024, f"batch must be 1 to 1024, got {self.batch}")
        _require(self.rate is None or 0 < self.rate <= 100_000, f"rate must be over 0 to 100000, got {self.rate}")
        _require(not (self.sweep and self.rate), "a sweep goes through concurrencies, --rate does not depend on them")
        _require(self.requests is None or self.requests >= 1, f"requests must be at least 1, got {self.requests}")
        _require(0.1 <= self.window_seconds <= 3600, f"a window must last 0.1 to 3600 s, got {self.window_seconds}")
        _require(1 <= self.windows <= 1000, f"windows must be 1 to 1000, got {self.windows}")
        _require(self.score is None or 0 <= self.score <= 1, f"score must be within 0 and 1, got {self.score}")
        _require(
            0 < self.timeout_seconds <= 3600, f"timeout must be over 0 and up to 3600 s, got {self.timeout_seconds}"
        )
        _require(self.api_key != "", "the API key is empty: leave it out to send none")


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
            _require(0 <= port <= 65535, f"{name} must be 0 to 65535, got {port}")
        _require(self.port == 0 or self.port != self.rest_port, f"port and rest_port must differ, both are {self.port}")
        _require(self.enable_batching or self.batching_parameters is None, "batching parameters need --enable-batching")
        _require(1 <= self.threads <= 4096, f"threads must be 1 to 4096, got {self.threads}")
        _require(0 < self.poll_seconds <= 3600, f"poll_seconds must be over 0 and up to 3600, got {self.poll_seconds}")


def _require(met: bool, message: str) -> None:
    if not met:
        raise UsageError(message)
