"""The command line: options become a config, a config goes into one library call, the result is printed."""

from __future__ import annotations

import json
import logging
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from humandetect import __version__
from humandetect.config import (
    SAMPLE,
    DetectConfig,
    EngineConfig,
    FeedConfig,
    ModelServerConfig,
    Preset,
    ServeConfig,
    ServingConfig,
    SourceConfig,
)
from humandetect.ending import SIGNALS, command, exit_code, print_error
from humandetect.errors import UsageError
from humandetect.options import (
    ENVIRONMENT,
    FEED_ENVIRONMENT,
    READ,
    SERVE_ENVIRONMENT,
    WRITE,
    AnswerTimeoutOpt,
    ApiKeyOpt,
    AsyncOpt,
    BatchingParametersOpt,
    BatchOpt,
    CorsOriginOpt,
    DebugOpt,
    DeviceOpt,
    EnableBatchingOpt,
    EndpointOpt,
    EngineOpt,
    EveryOpt,
    ExitWithStdinOpt,
    HostOpt,
    JsonOpt,
    LimitOpt,
    LogFormatOpt,
    MaxImageOpt,
    MaxImagesOpt,
    MaxMegapixelsOpt,
    MaxWaitOpt,
    ModelOpt,
    ModelsConfigOpt,
    ModelsDirOpt,
    OutputOpt,
    PollSecondsOpt,
    PortOpt,
    PrecisionOpt,
    QueueOpt,
    QuietOpt,
    RestPortOpt,
    ResultsOpt,
    ScoreOpt,
    SendersOpt,
    SentBatchOpt,
    SentKeyOpt,
    ServerPortOpt,
    ServingCaOpt,
    ServingCertOpt,
    ServingKeyOpt,
    ServingLabelOpt,
    ServingModelOpt,
    ServingOpt,
    ServingParallelOpt,
    ServingPatienceOpt,
    ServingServerNameOpt,
    ServingSignatureOpt,
    ServingTimeoutOpt,
    ServingTlsOpt,
    ServingTokenOpt,
    ServingVersionOpt,
    ShowOpt,
    SpawnOpt,
    TensorContentOpt,
    ThreadsOpt,
    TimeoutOpt,
    TlsCertOpt,
    TlsKeyOpt,
    UrlOpt,
    VerboseOpt,
    WorkersOpt,
    option,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.service.launch import Ready
    from humandetect.service.model_server.launch import Ready as ModelServerReady
    from humandetect.summary import RunSummary
    from humandetect.terminal import ProgressBar

app = typer.Typer(
    name="humandetect",
    help="Find people in images, videos and live cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="List and check models.", no_args_is_help=True)
app.add_typer(models_app, name="models")

# The defaults shown and used are those of config.py.
ENGINE, SOURCE, DETECT, SERVE = EngineConfig(), SourceConfig(), DetectConfig(sources=()), ServeConfig()
FEED = FeedConfig()
SERVING = ServingConfig()
MODEL_SERVER = ModelServerConfig()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"humandetect {__version__}")
        raise typer.Exit


@app.callback()
def top(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Find people in images, videos and live cameras."""


@app.command(epilog=ENVIRONMENT)
@command
def detect(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Image, video, folder, glob, camera number, RTSP or HTTP URL, - for stdin, "
            "or `sample` for the bundled clip.",
        ),
    ],
    output: OutputOpt = DETECT.output,
    results: ResultsOpt = None,
    crops: Annotated[
        Path | None, option(WRITE, "--crops", metavar="DIR", help="Save each person as a picture.")
    ] = DETECT.crops,
    show: ShowOpt = DETECT.show,
    engine: EngineOpt = ENGINE.engine,
    device: DeviceOpt = ENGINE.device,
    precision: PrecisionOpt = ENGINE.precision,
    model: ModelOpt = ENGINE.model,
    models_dir: ModelsDirOpt = ENGINE.models_dir,
    serving: ServingOpt = None,
    serving_model: ServingModelOpt = SERVING.model,
    serving_version: ServingVersionOpt = SERVING.version,
    serving_label: ServingLabelOpt = SERVING.label,
    serving_signature: ServingSignatureOpt = SERVING.signature,
    serving_timeout: ServingTimeoutOpt = SERVING.timeout_seconds,
    serving_patience: ServingPatienceOpt = SERVING.patience_seconds,
    serving_parallel: ServingParallelOpt = SERVING.parallel,
    serving_tls: ServingTlsOpt = SERVING.tls,
    serving_ca: ServingCaOpt = SERVING.ca,
    serving_cert: ServingCertOpt = SERVING.cert,
    serving_key: ServingKeyOpt = SERVING.key,
    serving_server_name: ServingServerNameOpt = SERVING.server_name,
    serving_token: ServingTokenOpt = SERVING.token,
    score: ScoreOpt = DETECT.score,
    batch: BatchOpt = DETECT.batch,
    every: EveryOpt = DETECT.every,
    start: Annotated[
        float, option(READ, "--start", parser=seconds, metavar="TIME", help="Begin here: seconds or H:MM:SS.")
    ] = SOURCE.start_seconds,
    duration: Annotated[
        float | None, option(READ, "--duration", parser=seconds, metavar="TIME", help="Read this much.")
    ] = SOURCE.duration_seconds,
    limit: LimitOpt = SOURCE.limit,
    max_megapixels: Annotated[
        float, option(READ, "--max-megapixels", min=0.01, help="Refuse larger pictures.", env="MAX_MEGAPIXELS")
    ] = SOURCE.max_megapixels,
    preset: Annotated[
        Preset, option(WRITE, "--preset", help="x264's trade of speed against size.", env="PRESET")
    ] = DETECT.preset,
    json_summary: JsonOpt = False,
    quiet: QuietOpt = False,
    verbose: VerboseOpt = False,
    debug: DebugOpt = False,
) -> None:
    """Find people in SOURCE and write an annotated video, pictures or results.

    Without -o and --results it writes NAME_people.mp4 (or .jpg) into the current folder.
    """
    servers = ServingConfig(
        targets=tuple(serving or ()),
        model=serving_model,
        version=serving_version,
        label=serving_label,
        signature=serving_signature,
        timeout_seconds=serving_timeout,
        patience_seconds=serving_patience,
        parallel=serving_parallel,
        tls=serving_tls,
        ca=serving_ca,
        cert=serving_cert,
        key=serving_key,
        server_name=serving_server_name,
        token=serving_token,
    )
    config = DetectConfig(
        sources=tuple(map(_sample_or, sources)),
        output=output,
        results=tuple(results or ()),
        crops=crops,
        show=show,
        score=score,
        every=every,
        batch=batch,
        preset=preset,
        engine=EngineConfig(engine, device, precision, model, models_dir, servers),
        source=SourceConfig(start, duration, limit, max_megapixels),
    )
    from humandetect.pipeline import run

    _go(
        lambda progress: run(config, progress=progress, stop=SIGNALS.stop),
        results=config.results,
        json_summary=json_summary,
        quiet=quiet,
        debug=debug,
    )


@app.command(epilog=FEED_ENVIRONMENT)
@command
def feed(
    video: Annotated[
        str, typer.Argument(metavar="VIDEO", help="Whatever `detect` takes; without it the bundled clip.")
    ] = SAMPLE,
    url: UrlOpt = FEED.url,
    spawn: SpawnOpt = FEED.spawn,
    concurrent: AsyncOpt = FEED.concurrent,
    batch: SentBatchOpt = FEED.batch,
    workers: SendersOpt = FEED.workers,
    endpoint: EndpointOpt = FEED.endpoint,
    api_key: SentKeyOpt = FEED.api_key,
    timeout: AnswerTimeoutOpt = FEED.timeout_seconds,
    output: OutputOpt = FEED.output,
    results: ResultsOpt = None,
    show: ShowOpt = FEED.show,
    every: EveryOpt = FEED.every,
    limit: LimitOpt = SOURCE.limit,
    json_summary: JsonOpt = False,
    quiet: QuietOpt = False,
    verbose: VerboseOpt = False,
    debug: DebugOpt = False,
) -> None:
    """Send VIDEO to a server, frame by frame or in batches, and bring back the annotated video or results.

    Without -o and --results it writes NAME_people.mp4 into the current folder. A frame that the server fails at stays
    as it is, and is counted; a server that goes away is waited for.
    """
    config = FeedConfig(
        sources=(_sample_or(video),),
        output=output,
        results=tuple(results or ()),
        show=show,
        every=every,
        source=SourceConfig(limit=limit),
        url=url,
        endpoint=endpoint,
        concurrent=concurrent,
        batch=batch,
        workers=workers,
        api_key=api_key,
        timeout_seconds=timeout,
        spawn=spawn,
    )
    from humandetect.feed import run

    _go(
        lambda progress: run(config, progress=progress, stop=SIGNALS.stop),
        results=config.results,
        json_summary=json_summary,
        quiet=quiet,
        debug=debug,
    )


def _go(
    run: Callable[[ProgressBar], RunSummary],
    *,
    results: tuple[str, ...],
    json_summary: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Do a run, say what came of it, and exit."""
    if json_summary and "-" in results:
        raise UsageError("--json and --results - both want stdout: write one of them to a file")
    from humandetect.summary import RunInterrupted
    from humandetect.terminal import ProgressBar, print_summary

    interrupted: RunInterrupted | None = None
    try:
        summary = run(ProgressBar(quiet=quiet))
    except RunInterrupted as error:
        interrupted, summary = error, error.summary
    if json_summary:
        typer.echo(json.dumps(summary.as_dict()))
    if not quiet:
        print_summary(summary)
    for failure in summary.failures:
        if debug:
            traceback.print_exception(failure)
        print_error(failure)
    raise typer.Exit(exit_code(interrupted or next(iter(summary.failures), None)))


def _sample_or(source: str) -> str:
    """Turn `sample` into the bundled clip, unless a file has that name."""
    if source != SAMPLE or Path(SAMPLE).exists():
        return source
    from humandetect.models import bundled

    return str(bundled("examples/plaza.mp4"))


@app.command("model-server")
@command
def model_server(
    models_config: ModelsConfigOpt = MODEL_SERVER.models_config,
    models_dir: ModelsDirOpt = MODEL_SERVER.models_dir,
    host: HostOpt = MODEL_SERVER.host,
    port: ServerPortOpt = MODEL_SERVER.port,
    rest_port: RestPortOpt = MODEL_SERVER.rest_port,
    enable_batching: EnableBatchingOpt = MODEL_SERVER.enable_batching,
    batching_parameters: BatchingParametersOpt = MODEL_SERVER.batching_parameters,
    tensor_content: TensorContentOpt = MODEL_SERVER.tensor_content,
    threads: ThreadsOpt = MODEL_SERVER.threads,
    poll_seconds: PollSecondsOpt = MODEL_SERVER.poll_seconds,
    exit_with_stdin: ExitWithStdinOpt = MODEL_SERVER.exit_with_stdin,
    verbose: VerboseOpt = False,
    debug: DebugOpt = False,
) -> None:
    """Serve models over TensorFlow Serving's own gRPC and REST protocols, for tests, laptops and ARM.

    Version folders are loaded and unloaded while requests go on. Classify, Regress and MultiInference are not offered.
    In production use TensorFlow Serving itself.
    """
    config = ModelServerConfig(
        models_config=models_config,
        models_dir=models_dir,
        host=host,
        port=port,
        rest_port=rest_port,
        enable_batching=enable_batching,
        batching_parameters=batching_parameters,
        tensor_content=tensor_content,
        threads=threads,
        poll_seconds=poll_seconds,
        exit_with_stdin=exit_with_stdin,
    )
    from humandetect.service.model_server import launch

    try:
        launch.serve(config, on_ready=_announce_model_server, stop=SIGNALS.stop)
    except KeyboardInterrupt:  # while models were loading; a server that is told to end has not failed
        raise typer.Exit from None


def _announce_model_server(ready: ModelServerReady) -> None:
    models = ", ".join(f"{name} {'/'.join(map(str, versions))}" for name, versions in ready.models.items())
    rest = f", REST at {ready.rest_address}" if ready.rest_address else ""
    typer.echo(f"humandetect model-server serves {models}: gRPC at {ready.address}{rest}. Ctrl-C ends it.", err=True)
    if ready.is_open:
        typer.echo("warning: whoever reaches this machine can use it, and make it load any model folder.", err=True)


@app.command(epilog=SERVE_ENVIRONMENT)
@command
def serve(
    host: HostOpt = SERVE.host,
    port: PortOpt = SERVE.port,
    workers: WorkersOpt = SERVE.workers,
    tls_cert: TlsCertOpt = SERVE.tls_cert,
    tls_key: TlsKeyOpt = SERVE.tls_key,
    engine: EngineOpt = ENGINE.engine,
    device: DeviceOpt = ENGINE.device,
    precision: PrecisionOpt = ENGINE.precision,
    model: ModelOpt = ENGINE.model,
    models_dir: ModelsDirOpt = ENGINE.models_dir,
    serving: ServingOpt = None,
    serving_model: ServingModelOpt = SERVING.model,
    serving_version: ServingVersionOpt = SERVING.version,
    serving_label: ServingLabelOpt = SERVING.label,
    serving_signature: ServingSignatureOpt = SERVING.signature,
    serving_timeout: ServingTimeoutOpt = SERVING.timeout_seconds,
    serving_patience: ServingPatienceOpt = SERVE.engine.serving.patience_seconds,
    serving_parallel: ServingParallelOpt = SERVING.parallel,
    serving_tls: ServingTlsOpt = SERVING.tls,
    serving_ca: ServingCaOpt = SERVING.ca,
    serving_cert: ServingCertOpt = SERVING.cert,
    serving_key: ServingKeyOpt = SERVING.key,
    serving_server_name: ServingServerNameOpt = SERVING.server_name,
    serving_token: ServingTokenOpt = SERVING.token,
    score: ScoreOpt = SERVE.score,
    batch: BatchOpt = SERVE.batch,
    max_wait_ms: MaxWaitOpt = SERVE.max_wait_ms,
    queue: QueueOpt = SERVE.queue,
    timeout: TimeoutOpt = SERVE.timeout_seconds,
    max_image_mb: MaxImageOpt = SERVE.max_image_mb,
    max_images: MaxImagesOpt = SERVE.max_images,
    max_megapixels: MaxMegapixelsOpt = SERVE.max_megapixels,
    api_key: ApiKeyOpt = SERVE.api_key,
    cors_origins: CorsOriginOpt = None,
    log_format: LogFormatOpt = SERVE.log_format,
    quiet: QuietOpt = False,
    verbose: VerboseOpt = False,
    debug: DebugOpt = False,
) -> None:
    """Find people in images sent over HTTP: POST /request and /v1/detect, a page to try it at /, docs at /docs.

    Ctrl-C or SIGTERM closes the port, answers what is under way and ends within 30 seconds.
    """
    servers = ServingConfig(
        targets=tuple(serving or ()),
        model=serving_model,
        version=serving_version,
        label=serving_label,
        signature=serving_signature,
        timeout_seconds=serving_timeout,
        patience_seconds=serving_patience,
        parallel=serving_parallel,
        tls=serving_tls,
        ca=serving_ca,
        cert=serving_cert,
        key=serving_key,
        server_name=serving_server_name,
        token=serving_token,
    )
    config = ServeConfig(
        host=host,
        port=port,
        score=score,
        batch=batch,
        max_wait_ms=max_wait_ms,
        queue=queue,
        workers=workers,
        max_image_mb=max_image_mb,
        max_images=max_images,
        max_megapixels=max_megapixels,
        timeout_seconds=timeout,
        api_key=api_key,
        cors_origins=tuple(cors_origins or ()),
        tls_cert=tls_cert,
        tls_key=tls_key,
        log_format=log_format,
        engine=EngineConfig(engine, device, precision, model, models_dir, servers),
    )
    from humandetect.service import launch

    try:
        launch.serve(config, on_ready=None if quiet else _announce, stop=SIGNALS.stop, quiet=quiet)
    except KeyboardInterrupt:  # before it could serve; a server that is told to end has not failed
        raise typer.Exit from None


def _announce(ready: Ready) -> None:
    """Say what serves where, as the log is written."""
    model, sizes = ready.model, [f"{size / 1e6:.0f} MB" for size in ready.workers_bytes]
    lines = [
        f"humandetect serves {model.name} {model.version} ({model.engine}) at {ready.url}",
        f"Try it at {ready.url}/, read on at {ready.url}/docs. Ctrl-C ends it.",
    ]
    if sizes:
        total = sum(ready.workers_bytes) / 1e6
        lines.append(f"{len(sizes)} workers with a model each hold {' + '.join(sizes)} = {total:.0f} MB of memory.")
    if ready.is_open:
        lines.append("warning: whoever reaches this machine can use it. --api-key asks for a key; --tls-cert encrypts.")
    for line in lines:
        if ready.log_format == "json":
            logging.getLogger("humandetect.service").info(line)
        else:
            with suppress(OSError):  # a full disk behind stderr is no reason not to serve
                typer.echo(line, err=True)


@models_app.command("list")
@command
def models_list(models_dir: ModelsDirOpt = ENGINE.models_dir, debug: DebugOpt = False) -> None:
    """List the models there are."""
    from humandetect.models import list_models
    from humandetect.terminal import print_models

    print_models(list_models(models_dir))


@models_app.command("check")
@command
def models_check(
    model: Annotated[str, typer.Argument(help="Name or path of a model.")] = ENGINE.model,
    models_dir: ModelsDirOpt = ENGINE.models_dir,
    device: DeviceOpt = ENGINE.device,
    debug: DebugOpt = False,
) -> None:
    """Verify a model's checksum and run it on the sample with every installed engine."""
    from humandetect.doctor import check_model
    from humandetect.terminal import print_checks

    if not print_checks(check_model(model, models_dir=models_dir, device=device)):
        raise typer.Exit(1)


@app.command()
@command
def doctor(device: DeviceOpt = ENGINE.device, debug: DebugOpt = False) -> None:
    """Try decode, every installed engine and encode on the sample; say what works and how to fix the rest."""
    from humandetect.doctor import check_everything
    from humandetect.terminal import print_checks

    if not print_checks(check_everything(device=device)):
        raise typer.Exit(1)
