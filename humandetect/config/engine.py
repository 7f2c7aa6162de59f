"""Which engine runs which model, and the servers of the engine `tf-serving`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  pydantic reads the annotations where the environment makes a config
from typing import Literal, get_args

from humandetect.addresses import looks_like_address, shown_address
from humandetect.config.checks import require

EngineName = Literal["auto", "openvino", "tensorflow", "tf-serving"]
Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "f32", "bf16"]

DEFAULT_MODEL = "human_detection"


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
        require(not isinstance(self.targets, str), "targets is a tuple of addresses, even if there is one")
        for target in self.targets:
            _check_target(target)
        require(self.version is None or self.label is None, "a version or a label chooses the model, not both")
        require(self.version is None or self.version >= 0, f"the version must be at least 0, got {self.version}")
        for name, seconds in (("timeout", self.timeout_seconds), ("patience", self.patience_seconds)):
            require(0 < seconds <= 3600, f"serving {name} must be over 0 and up to 3600 s, got {seconds}")
        require(1 <= self.parallel <= 1024, f"serving parallel must be 1 to 1024, got {self.parallel}")
        require(
            (self.cert is None) == (self.key is None), "a client certificate needs its key, and a key its certificate"
        )
        token = self.token
        require(
            token is None or bool(re.fullmatch(r"[!-~]+", token)),
            "the serving token may hold only printable ASCII characters, and at least one",
        )

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or any((self.ca, self.cert, self.key, self.server_name))


def _check_target(target: str) -> None:
    """Raise UsageError unless gRPC can connect to such an address; secrets in it are not repeated."""
    expected = "expected HOST:PORT of the gRPC port (usually 8500), dns:///NAME:PORT or unix:PATH"
    require("@" not in target, f"a server's address has no user or password in it; {expected}, and --serving-token")
    path = re.fullmatch(r"unix:(?://)?(.*)", target)
    if path:
        require(bool(path[1]) and "\0" not in target, f"{target!r} names no socket; {expected}")
        return
    found = re.fullmatch(r"(?:dns:///)?(\[[0-9a-fA-F:.%\w]+\]|[\w.-]+):([0-9]{1,5})", target)
    port = int(found[2]) if found else 0
    shown = shown_address(target) if looks_like_address(target) else target
    require(1 <= port <= 65535, f"{shown!r} is no server's address; {expected}")


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

    def __post_init__(self) -> None:
        for name, value, known in (
            ("device", self.device, get_args(Device)),
            ("precision", self.precision, get_args(Precision)),
        ):
            require(value in known, f"no {name} is called {value!r}; there are {', '.join(known)}")
