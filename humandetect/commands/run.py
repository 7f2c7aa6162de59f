"""The commands that take videos and pictures and write results: `detect` and `feed`."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from humandetect.commands.running import SIGNALS, command, exit_code, print_error
from humandetect.config import SAMPLE, DetectConfig, EngineConfig, FeedConfig, Preset, ServingConfig, SourceConfig
from humandetect.errors import UsageError
from humandetect.options.asking import (
    AnswerTimeoutOpt,
    AsyncOpt,
    EndpointOpt,
    SendersOpt,
    SentBatchOpt,
    SentKeyOpt,
    SpawnOpt,
    UrlOpt,
)
from humandetect.options.base import READ, WRITE, option, seconds
from humandetect.options.detection import (
    BatchOpt,
    DebugOpt,
    DeviceOpt,
    EngineOpt,
    EveryOpt,
    JsonOpt,
    LimitOpt,
    ModelOpt,
    ModelsDirOpt,
    OutputOpt,
    PrecisionOpt,
    QuietOpt,
    ResultsOpt,
    ScoreOpt,
    ShowOpt,
    VerboseOpt,
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
    from collections.abc import Callable

    from humandetect.commands.terminal import ProgressBar
    from humandetect.pipeline.summary import RunSummary

# The defaults shown and used are those of humandetect.config.
ENGINE, SERVING, SOURCE = EngineConfig(), ServingConfig(), SourceConfig()
DETECT, FEED = DetectConfig(sources=()), FeedConfig()


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
    from humandetect.pipeline.run import run

    _go(
        lambda progress: run(config, progress=progress, stop=SIGNALS.stop),
        results=config.results,
        json_summary=json_summary,
        quiet=quiet,
        debug=debug,
    )


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
    as it is, is counted, and makes the exit code 1; a server that goes away is waited for.
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
    from humandetect.commands.terminal import ProgressBar, print_summary
    from humandetect.pipeline.summary import RunInterrupted

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
    from humandetect.models.find import bundled

    return str(bundled("examples/plaza.mp4"))
