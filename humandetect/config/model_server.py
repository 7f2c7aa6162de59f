"""How `model-server` listens and runs models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le

from humandetect.config.engine import ModelsDirField
from humandetect.config.fields import check
from humandetect.config.option import Opt, require
from humandetect.config.serve import HostField

BatchingParametersField = Annotated[
    Path | None, Opt("TensorFlow Serving's BatchingParameters in text form.", "Load", metavar="FILE")
]


@dataclass(frozen=True, slots=True)
class ModelServerConfig:
    """One server of `model-server`."""

    models_config: Annotated[
        Path | None,
        Opt(
            "TensorFlow Serving's list of models.",
            "Detection",
            metavar="FILE",
            unset="./models.config, else the packaged one",
        ),
    ] = None
    models_dir: ModelsDirField = None
    host: HostField = "127.0.0.1"
    port: Annotated[
        int,
        Opt("Port of gRPC; 0 takes a free one.", "Server", metavar="PORT", variable="GRPC_PORT"),
        Ge(0),
        Le(65535),
    ] = 8500
    rest_port: Annotated[
        int | None,
        Opt("Port of REST and Prometheus; 0 takes a free one.", "Server", metavar="PORT", unset="none"),
        Ge(0),
        Le(65535),
    ] = None
    enable_batching: Annotated[bool, Opt("Run requests of several clients together.", "Load")] = False
    batching_parameters: BatchingParametersField = None
    tensor_content: Annotated[
        bool,
        Opt(
            "Answer with raw bytes, which clients read faster, instead of typed fields.",
            "Server",
            names=("--enable-serialization-as-tensor-content",),
            variable="TENSOR_CONTENT",
        ),
    ] = False
    threads: Annotated[
        int, Opt("Requests worked on at once.", "Load", names=("--grpc-max-threads",)), Ge(1), Le(4096)
    ] = 64
    poll_seconds: Annotated[
        float,
        Opt("Time between looks at the folders of versions.", "Server", names=("--poll-seconds",)),
        Gt(0),
        Le(3600),
    ] = 1.0
    exit_with_stdin: Annotated[
        bool,
        Opt("End when stdin does; for programs that start this one.", "Server", variable=None, hidden=True),
    ] = False
    """A parent that holds the other end takes the server along, however it ends."""

    def __post_init__(self) -> None:
        check(self)
        require(self.port == 0 or self.port != self.rest_port, f"port and rest_port must differ, both are {self.port}")
        require(self.enable_batching or self.batching_parameters is None, "batching parameters need --enable-batching")
