"""How `serve` and `model-server` listen, and what they accept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from humandetect.config import LogFormat
from humandetect.options.base import ACCEPTED, DETECTION, SERVING, TALK, option

ModelsConfigOpt = Annotated[
    Path | None,
    option(
        SERVING,
        "--models-config",
        metavar="FILE",
        help="TensorFlow Serving's list of models. (default: ./models.config, else the packaged one)",
        env="MODELS_CONFIG",
    ),
]
ServerPortOpt = Annotated[
    int, option(SERVING, "--port", min=0, max=65535, help="Port of gRPC; 0 takes a free one.", env="GRPC_PORT")
]
RestPortOpt = Annotated[
    int | None,
    option(
        SERVING,
        "--rest-port",
        min=0,
        max=65535,
        help="Port of REST and Prometheus; 0 takes a free one. (default: none)",
        env="REST_PORT",
    ),
]
EnableBatchingOpt = Annotated[
    bool,
    option(SERVING, "--enable-batching", help="Run requests of several clients together.", env="ENABLE_BATCHING"),
]
BatchingParametersOpt = Annotated[
    Path | None,
    option(
        SERVING,
        "--batching-parameters",
        metavar="FILE",
        help="TensorFlow Serving's BatchingParameters in text form.",
        env="BATCHING_PARAMETERS",
    ),
]
TensorContentOpt = Annotated[
    bool,
    option(
        SERVING,
        "--enable-serialization-as-tensor-content",
        help="Answer with raw bytes, which clients read faster, instead of typed fields.",
        env="TENSOR_CONTENT",
    ),
]
ThreadsOpt = Annotated[
    int,
    option(SERVING, "--grpc-max-threads", min=1, max=4096, help="Requests worked on at once.", env="GRPC_MAX_THREADS"),
]
PollSecondsOpt = Annotated[
    float,
    option(
        SERVING,
        "--poll-seconds",
        min=0.01,
        max=3600,
        help="Time between looks at the folders of versions.",
        env="POLL_SECONDS",
    ),
]
ExitWithStdinOpt = Annotated[
    bool,
    option(SERVING, "--exit-with-stdin", help="End when stdin does; for programs that start this one.", hidden=True),
]
HostOpt = Annotated[
    str, option(SERVING, "--host", help="Address to listen at; 0.0.0.0 lets the network in.", env="HOST")
]
PortOpt = Annotated[
    int, option(SERVING, "--port", min=0, max=65535, help="Port to listen at; 0 takes a free one.", env="PORT")
]
WorkersOpt = Annotated[
    int,
    option(
        SERVING,
        "--workers",
        min=1,
        max=256,
        help="Processes. Each loads the model itself and says what that costs in memory; tf-serving's share a server.",
        env="WORKERS",
    ),
]
TlsCertOpt = Annotated[
    Path | None, option(SERVING, "--tls-cert", metavar="FILE", help="Serve HTTPS: certificate, PEM.", env="TLS_CERT")
]
TlsKeyOpt = Annotated[
    Path | None, option(SERVING, "--tls-key", metavar="FILE", help="Its key, PEM, not encrypted.", env="TLS_KEY")
]
MaxWaitOpt = Annotated[
    float,
    option(
        DETECTION,
        "--max-wait-ms",
        min=0,
        max=10_000,
        help="A batch waits this long for company while the engine is busy.",
        env="MAX_WAIT_MS",
    ),
]
QueueOpt = Annotated[
    int,
    option(
        DETECTION,
        "--queue",
        min=1,
        help="Images under way at once in a process; requests beyond are answered 503.",
        env="QUEUE",
    ),
]
TimeoutOpt = Annotated[
    float,
    option(
        DETECTION,
        "--timeout",
        metavar="SECONDS",
        help="Give up an image that is not answered by then.",
        env="TIMEOUT",
    ),
]
MaxImageOpt = Annotated[
    float, option(ACCEPTED, "--max-image-mb", help="Images must be under this many million bytes.", env="MAX_IMAGE_MB")
]
MaxImagesOpt = Annotated[
    int, option(ACCEPTED, "--max-images", min=1, max=1024, help="Images a request.", env="MAX_IMAGES")
]
MaxMegapixelsOpt = Annotated[
    float, option(ACCEPTED, "--max-megapixels", min=0.01, help="Refuse larger pictures.", env="MAX_MEGAPIXELS")
]
ApiKeyOpt = Annotated[
    str | None,
    option(
        ACCEPTED, "--api-key", metavar="KEY", help="Ask every request but the page's and health for it.", env="API_KEY"
    ),
]
CorsOriginOpt = Annotated[
    list[str] | None,
    option(
        ACCEPTED,
        "--cors-origin",
        metavar="URL",
        help="Let this site's pages use the endpoint. Repeatable.",
        env="CORS_ORIGIN",
    ),
]
LogFormatOpt = Annotated[
    LogFormat, option(TALK, "--log-format", help="How requests are logged on stderr.", env="LOG_FORMAT")
]
