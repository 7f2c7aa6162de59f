"""The options of the commands, each described once: same name, meaning and environment variable everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from humandetect.config import Device, Endpoint, EngineName, LogFormat, Precision


def seconds(text: str | float) -> float:
    """Read `90`, `1:30` or `1:02:03.5`; a default is a number already."""
    text = str(text)
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise typer.BadParameter(f"{text!r} is not a time: use seconds or H:MM:SS")
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


READ, DETECTION, WRITE, TALK = "What is read", "How people are found", "What is written", "What is said"
REMOTE = "Which TensorFlow Serving finds them"
SERVING, ACCEPTED = "How it is served", "What is accepted"
ASKING = "How the server is asked"
ENVIRONMENT = (
    "These can be set in the environment, as HUMANDETECT_ENGINE and so on: engine, device, precision, model, "
    "models-dir, serving and all that begin with it, score, batch, every, limit, max-megapixels, preset, show, quiet, "
    "verbose, debug."
)
SERVE_ENVIRONMENT = (
    "Every option can be set in the environment, as HUMANDETECT_PORT and so on; the API key is safest there, because "
    "all users of a machine can read its command lines."
)
BENCH_ENVIRONMENT = (
    "These can be set in the environment, as HUMANDETECT_DEVICE and so on: device, precision, model, models-dir, "
    "serving, serving-model, score, api-key, quiet, verbose, debug. Which servers and engines are measured is said on "
    "the command line only."
)
FEED_ENVIRONMENT = (
    "These can be set in the environment, as HUMANDETECT_URL and so on: url, api-key, every, limit, show, quiet, "
    "verbose, debug. --batch, --workers and --timeout mean other things in `serve`, whose variables do not count here."
)


def option(panel: str, *names: str, help: str, env: str | None = None, **extra: Any) -> Any:  # noqa: A002
    """Describe an option; `env` is the part of its environment variable after HUMANDETECT_."""
    envvar = f"HUMANDETECT_{env}" if env else None
    return typer.Option(*names, help=help, envvar=envvar, show_envvar=False, rich_help_panel=panel, **extra)


EngineOpt = Annotated[EngineName, option(DETECTION, "--engine", help="What runs the model.", env="ENGINE")]
DeviceOpt = Annotated[Device, option(DETECTION, "--device", help="Where it runs.", env="DEVICE")]
PrecisionOpt = Annotated[
    Precision,
    option(
        DETECTION,
        "--precision",
        help="auto: the hardware's best; f32: the same scores on every machine.",
        env="PRECISION",
    ),
]
ModelOpt = Annotated[
    str,
    option(
        DETECTION, "--model", help="Name in the models folder, or path of a SavedModel or frozen graph.", env="MODEL"
    ),
]
ModelsDirOpt = Annotated[
    Path | None,
    option(
        DETECTION,
        "--models-dir",
        help="Where names are looked up. (default: ./models, else the packaged one)",
        env="MODELS_DIR",
    ),
]
ServingOpt = Annotated[
    list[str] | None,
    option(
        REMOTE,
        "--serving",
        metavar="HOST:PORT",
        help="gRPC address of a server for --engine tf-serving; also dns:///NAME:PORT and unix:PATH. Repeatable.",
        env="SERVING",
    ),
]
ServingModelOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-model", help="The model's name on the servers. (default: --model)", env="SERVING_MODEL"),
]
ServingVersionOpt = Annotated[
    int | None,
    option(
        REMOTE,
        "--serving-version",
        min=0,
        help="Version to ask for. (default: the newest that is served)",
        env="SERVING_VERSION",
    ),
]
ServingLabelOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-label", help="Version label to ask for, such as stable.", env="SERVING_LABEL"),
]
ServingSignatureOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-signature", help="Signature to use. (default: serving_default)", env="SERVING_SIGNATURE"),
]
ServingTimeoutOpt = Annotated[
    float,
    option(
        REMOTE,
        "--serving-timeout",
        parser=seconds,
        metavar="TIME",
        help="Longest time for a call, and for a server to be ready at the start.",
        env="SERVING_TIMEOUT",
    ),
]
ServingPatienceOpt = Annotated[
    float,
    option(
        REMOTE,
        "--serving-patience",
        parser=seconds,
        metavar="TIME",
        help="Longest wait for servers that went away or are overloaded.",
        env="SERVING_PATIENCE",
    ),
]
ServingParallelOpt = Annotated[
    int,
    option(
        REMOTE,
        "--serving-parallel",
        min=1,
        max=1024,
        help="Requests under way at once, for each --serving.",
        env="SERVING_PARALLEL",
    ),
]
ServingTlsOpt = Annotated[
    bool, option(REMOTE, "--serving-tls", help="Encrypt; implied by the next four.", env="SERVING_TLS")
]
ServingCaOpt = Annotated[
    Path | None,
    option(REMOTE, "--serving-ca", metavar="FILE", help="PEM certificates to trust.", env="SERVING_CA"),
]
ServingCertOpt = Annotated[
    Path | None,
    option(REMOTE, "--serving-cert", metavar="FILE", help="This client's own certificate.", env="SERVING_CERT"),
]
ServingKeyOpt = Annotated[
    Path | None, option(REMOTE, "--serving-key", metavar="FILE", help="Its private key.", env="SERVING_KEY")
]
ServingServerNameOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-server-name", help="Name to expect in the certificate.", env="SERVING_SERVER_NAME"),
]
ServingTokenOpt = Annotated[
    str | None,
    option(
        REMOTE,
        "--serving-token",
        help="Bearer token for a proxy before the servers; better by HUMANDETECT_SERVING_TOKEN.",
        env="SERVING_TOKEN",
        show_default=False,
    ),
]
ScoreOpt = Annotated[
    float | None,
    option(
        DETECTION,
        "--score",
        min=0.0,
        max=1.0,
        help="Report people from this score on. (default: the model's)",
        env="SCORE",
    ),
]
BatchOpt = Annotated[
    int | None,
    option(
        DETECTION, "--batch", min=1, max=1024, help="Images per engine call. (default: the engine's best)", env="BATCH"
    ),
]
EveryOpt = Annotated[
    int, option(DETECTION, "--every", min=1, help="Detect each Nth frame, keep the boxes between.", env="EVERY")
]
LimitOpt = Annotated[
    int | None, option(READ, "--limit", min=1, help="Stop after N frames of each source.", env="LIMIT")
]
OutputOpt = Annotated[
    Path | None,
    option(
        WRITE,
        "-o",
        "--output",
        help="Annotated video or picture; a folder for several sources. (default: NAME_people.mp4)",
    ),
]
ResultsOpt = Annotated[
    list[str] | None,
    option(
        WRITE,
        "--results",
        metavar="FILE",
        help="Results as .jsonl, .csv, .coco.json or .mot.txt, by ending; - is JSON lines on stdout. Repeatable.",
    ),
]
ShowOpt = Annotated[bool, option(WRITE, "--show", help="Show the annotated pictures in a window; q ends.", env="SHOW")]
QuietOpt = Annotated[bool, option(TALK, "-q", "--quiet", help="Print errors only.", env="QUIET")]
VerboseOpt = Annotated[bool, option(TALK, "-v", "--verbose", help="Say what happens while it happens.", env="VERBOSE")]
DebugOpt = Annotated[bool, option(TALK, "--debug", help="Log everything; show tracebacks.", env="DEBUG")]
JsonOpt = Annotated[bool, option(TALK, "--json", help="Print the summary as JSON on stdout.")]
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
        help="Processes. Each loads the model itself: N workers cost N times the memory, which is said at the start.",
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

UrlOpt = Annotated[str, option(ASKING, "--url", metavar="URL", help="Where the server is.", env="URL")]
AsyncOpt = Annotated[
    bool, option(ASKING, "--async", help="Send batches, several at once; else one frame after the other.")
]
SentBatchOpt = Annotated[int, option(ASKING, "--batch", min=1, max=1024, help="Images a request, with --async.")]
SendersOpt = Annotated[int, option(ASKING, "--workers", min=1, max=256, help="Requests at once, with --async.")]
EndpointOpt = Annotated[
    Endpoint,
    option(ASKING, "--endpoint", help="request: the server draws, POST /request; v1: drawn here, POST /v1/detect."),
]
SentKeyOpt = Annotated[
    str | None, option(ASKING, "--api-key", metavar="KEY", help="Key that the server asks for.", env="API_KEY")
]
AnswerTimeoutOpt = Annotated[
    float, option(ASKING, "--timeout", metavar="SECONDS", help="Send a request again that is not answered by then.")
]
SpawnOpt = Annotated[bool, option(ASKING, "--spawn", help="Start a server for this run, and end it.")]
