"""Which engine runs which model, and the servers of the engine `tf-serving`."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from humandetect.addresses import looks_like_address, shown_address
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt, require

EngineName = Literal["auto", "openvino", "tensorflow", "tf-serving"]
Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "f32", "bf16"]

DEFAULT_MODEL = "human_detection"
SIZES = ("small", "default", "far")
"""Sizes by name; what they are in pixels the model says."""
MIN_SIDE, MAX_SIDE = 32, 4096

# Fields that several configs have.
DeviceField = Annotated[Device, Opt("Where it runs.", "Detection")]
ModelsDirField = Annotated[
    Path | None,
    Opt("Where models are looked up by name.", "Detection", metavar="DIR", unset="./models, else the packaged one"),
]
PersonClassField = Annotated[
    str | None,
    Opt("Class of the people, by name or number.", "Detection", metavar="CLASS", unset="what the model says"),
]
SizeField = Annotated[
    str,
    Opt(
        "How large the model sees a picture: small, default, far, or HxW in pixels. Larger finds smaller people.",
        "Detection",
        metavar="SIZE",
    ),
]
ScoreField = Annotated[
    float | None, Opt("Report people from this score on.", "Detection", unset="the model's"), Ge(0), Le(1)
]
BatchField = Annotated[
    int | None, Opt("Images per engine call.", "Detection", unset="the engine's best"), Ge(1), Le(1024)
]


@dataclass(frozen=True, slots=True)
class ServingConfig:
    """Which TensorFlow Serving runs the model, for the engine `tf-serving`."""

    targets: Annotated[
        tuple[str, ...],
        Opt(
            "gRPC address of a server; also dns:///NAME:PORT and unix:PATH. Repeatable; requests are spread over all.",
            "TensorFlow Serving",
            names=("--serving",),
            metavar="HOST:PORT",
        ),
    ] = ()
    model: Annotated[str | None, Opt("The model's name on the servers.", "TensorFlow Serving", unset="as --model")] = (
        None
    )
    version: Annotated[
        int | None, Opt("Version to ask for.", "TensorFlow Serving", unset="the newest that is served"), Ge(0)
    ] = None
    label: Annotated[str | None, Opt("Version label to ask for, such as stable.", "TensorFlow Serving")] = None
    signature: Annotated[
        str | None,
        Opt("Signature to use.", "TensorFlow Serving", unset="serving_default, or the only one there is"),
    ] = None
    timeout_seconds: Annotated[
        float,
        Opt("Longest time for a call, and for a server to be ready at the start.", "TensorFlow Serving"),
        Gt(0),
        Le(3600),
    ] = 30.0
    patience_seconds: Annotated[
        float,
        Opt("Longest wait for servers that went away or are overloaded.", "TensorFlow Serving"),
        Gt(0),
        Le(3600),
    ] = 60.0
    parallel: Annotated[
        int, Opt("Requests under way at once, for each server.", "TensorFlow Serving"), Ge(1), Le(1024)
    ] = 2
    tls: Annotated[bool, Opt("Encrypt; implied by the next four.", "TensorFlow Serving", needs=("targets",))] = False
    ca: Annotated[
        Path | None,
        Opt(
            "PEM certificates to trust.",
            "TensorFlow Serving",
            needs=("targets",),
            metavar="FILE",
            unset="those that gRPC trusts",
        ),
    ] = None
    cert: Annotated[
        Path | None, Opt("This client's own certificate.", "TensorFlow Serving", needs=("targets",), metavar="FILE")
    ] = None
    key: Annotated[Path | None, Opt("Its private key.", "TensorFlow Serving", needs=("targets",), metavar="FILE")] = (
        None
    )
    server_name: Annotated[
        str | None,
        Opt("Name to expect in the certificate.", "TensorFlow Serving", needs=("targets",), unset="the host's"),
    ] = None
    token: Annotated[
        str | None,
        Opt(
            "Bearer token for a proxy before the servers; safest in the environment.",
            "TensorFlow Serving",
            needs=("targets",),
            secret=True,
        ),
    ] = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check(self)
        for target in self.targets:
            _check_target(target)
        require(self.version is None or self.label is None, "a version or a label chooses the model, not both")
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

    engine: Annotated[
        EngineName, Opt("openvino, tensorflow, tf-serving, or auto: the best there is.", "Detection", metavar="NAME")
    ] = "auto"
    device: DeviceField = "auto"
    precision: Annotated[
        Precision, Opt("auto: the hardware's best; f32: the same scores on every machine.", "Detection")
    ] = "auto"
    model: Annotated[
        str,
        Opt(
            "Name in the models folder or in models.config, or path of a SavedModel, .pb, .onnx, .xml or .tflite. "
            "movenet_multipose's card rules surveillance out: see `models list`; the choice is yours.",
            "Detection",
        ),
    ] = DEFAULT_MODEL
    person_class: PersonClassField = None
    models_dir: ModelsDirField = None
    size: SizeField = "default"
    serving: Annotated[ServingConfig, Group(prefix="serving")] = field(default_factory=ServingConfig)

    def __post_init__(self) -> None:
        check(self)
        check_size(self.size)


def check_size(size: str) -> None:
    """Raise UsageError unless it is a preset's name or HxW."""
    pixels = size_in_pixels(size)
    require(
        size in SIZES or (pixels is not None and all(MIN_SIDE <= side <= MAX_SIDE for side in pixels)),
        f"the size is {', '.join(SIZES)}, or height x width as in 384x640, each side {MIN_SIDE} to {MAX_SIDE} "
        f"pixels; got {size!r}",
    )


def size_in_pixels(size: str) -> tuple[int, int] | None:
    """Read HxW as (height, width); None for the name of a preset."""
    found = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", size)
    return (int(found[1]), int(found[2])) if found else None
