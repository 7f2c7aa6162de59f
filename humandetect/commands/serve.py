"""The commands that serve until they are told to end: `serve` and `model-server`."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from humandetect.commands.running import SIGNALS, command
from humandetect.config import EngineConfig, ModelServerConfig, ServeConfig, ServingConfig
from humandetect.options.detection import (
    BatchOpt,
    DebugOpt,
    DeviceOpt,
    EngineOpt,
    ModelOpt,
    ModelsDirOpt,
    PrecisionOpt,
    QuietOpt,
    ScoreOpt,
    VerboseOpt,
)
from humandetect.options.server import (
    ApiKeyOpt,
    BatchingParametersOpt,
    CorsOriginOpt,
    EnableBatchingOpt,
    ExitWithStdinOpt,
    HostOpt,
    LogFormatOpt,
    MaxImageOpt,
    MaxImagesOpt,
    MaxMegapixelsOpt,
    MaxWaitOpt,
    ModelsConfigOpt,
    PollSecondsOpt,
    PortOpt,
    QueueOpt,
    RestPortOpt,
    ServerPortOpt,
    TensorContentOpt,
    ThreadsOpt,
    TimeoutOpt,
    TlsCertOpt,
    TlsKeyOpt,
    WorkersOpt,
)
from humandetect.options.serving import (
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
)

if TYPE_CHECKING:
    from humandetect.model_server.lifecycle import ModelServerReady
    from humandetect.service.process.launch import Ready

# The defaults shown and used are those of humandetect.config.
ENGINE, SERVING, SERVE, MODEL_SERVER = EngineConfig(), ServingConfig(), ServeConfig(), ModelServerConfig()


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
    from humandetect.service.process import launch

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
    from humandetect.model_server import lifecycle as launch

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
