"""The command `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from humandetect.commands.running import SIGNALS, command, exit_code, print_error
from humandetect.config import BenchConfig, BenchTarget, EngineConfig, ServingConfig
from humandetect.errors import HumanDetectError
from humandetect.options.asking import SentKeyOpt
from humandetect.options.base import ASKING, READ, WRITE, option
from humandetect.options.detection import (
    DebugOpt,
    DeviceOpt,
    ModelOpt,
    ModelsDirOpt,
    PrecisionOpt,
    QuietOpt,
    ScoreOpt,
    VerboseOpt,
)
from humandetect.options.serving import ServingModelOpt, ServingOpt

if TYPE_CHECKING:
    from humandetect.config import EngineName

LOAD, PROOF = "How hard is asked", "What must be kept"

BENCH, ENGINE = BenchConfig(), EngineConfig()


@command
def bench(
    urls: Annotated[
        list[str] | None,
        option(
            ASKING, "--url", metavar="URL", help="Measure the server there. Repeatable. (default: servers of its own)"
        ),
    ] = None,
    engines: Annotated[
        list[str] | None,
        option(
            ASKING,
            "--engine",
            metavar="NAME",
            help="Start a server with this engine. Repeatable. (default: all installed)",
        ),
    ] = None,
    target: Annotated[BenchTarget, option(ASKING, "--target", help="engine: leave HTTP out.")] = BENCH.target,
    api_key: SentKeyOpt = BENCH.api_key,
    timeout: Annotated[
        float, option(ASKING, "--timeout", metavar="SECONDS", help="Count a request not answered by then as an error.")
    ] = BENCH.timeout_seconds,
    images: Annotated[
        str,
        option(READ, "--images", metavar="DIR|VIDEO", help="Pictures to send, up to 64; `sample`: the bundled clip's."),
    ] = BENCH.images,
    concurrency: Annotated[
        int, option(LOAD, "--concurrency", min=1, max=1000, help="Requests at once.")
    ] = BENCH.concurrency,
    batch: Annotated[
        int, option(LOAD, "--batch", min=1, max=1024, help="Images a request in batch mode; with 1 only stream mode.")
    ] = BENCH.batch,
    rate: Annotated[
        float | None,
        option(
            LOAD,
            "--rate",
            metavar="R",
            help="Send R requests a second, answered or not; latencies count from when each was due.",
        ),
    ] = BENCH.rate,
    sweep: Annotated[
        bool, option(LOAD, "--sweep", help="Concurrency 1, 5, 10, 20 in batch mode and 1, 20, 40, 160 in stream mode.")
    ] = BENCH.sweep,
    duration: Annotated[
        float, option(LOAD, "--duration", metavar="SECONDS", help="Length of a window; three at least are taken.")
    ] = BENCH.window_seconds,
    requests: Annotated[
        int | None, option(LOAD, "--requests", min=1, help="Requests a window, instead of a time.")
    ] = BENCH.requests,
    windows: Annotated[
        int, option(LOAD, "--windows", min=1, max=1000, help="Most windows, while the last three do not agree.")
    ] = BENCH.windows,
    device: DeviceOpt = ENGINE.device,
    precision: PrecisionOpt = ENGINE.precision,
    model: ModelOpt = ENGINE.model,
    models_dir: ModelsDirOpt = ENGINE.models_dir,
    serving: ServingOpt = None,
    serving_model: ServingModelOpt = None,
    score: ScoreOpt = BENCH.score,
    json_file: Annotated[Path | None, option(WRITE, "--json", metavar="FILE", help="Report as JSON.")] = None,
    csv_file: Annotated[Path | None, option(WRITE, "--csv", metavar="FILE", help="Figures as CSV.")] = None,
    markdown_file: Annotated[
        Path | None, option(WRITE, "--markdown", metavar="FILE", help="Tables as Markdown.")
    ] = None,
    plot_file: Annotated[Path | None, option(WRITE, "--plot", metavar="FILE", help="Picture, .png or .svg.")] = None,
    compare: Annotated[
        Path | None, option(PROOF, "--compare", metavar="OLD.json", help="Show the change since an earlier --json.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        option(PROOF, "--fail-if", metavar="LIMIT", help="Exit with 1 if so: p95>120ms, images/s<50. Repeatable."),
    ] = None,
    quiet: QuietOpt = False,
    verbose: VerboseOpt = False,
    debug: DebugOpt = False,
) -> None:
    """Measure servers or engines side by side: throughput, latency, memory, and whether the answers are right.

    Without --url it starts a server for each installed engine and ends them again.
    """
    config = BenchConfig(
        urls=tuple(urls or ()),
        engines=cast("tuple[EngineName, ...]", tuple(engines or ())),  # checked there
        target=target,
        images=images,
        concurrency=concurrency,
        batch=batch,
        rate=rate,
        sweep=sweep,
        requests=requests,
        window_seconds=duration,
        windows=windows,
        score=score,
        engine=EngineConfig(
            device=device,
            precision=precision,
            model=model,
            models_dir=models_dir,
            serving=ServingConfig(targets=tuple(serving or ()), model=serving_model),
        ),
        api_key=api_key,
        timeout_seconds=timeout,
    )
    from humandetect.bench.benchmark import run
    from humandetect.bench.figures import BenchInterrupted, read_report
    from humandetect.bench.gates import Gate
    from humandetect.bench.progress import BenchProgress
    from humandetect.bench.report_files import Files
    from humandetect.bench.tables import print_report

    files = Files(json_file, csv_file, markdown_file, plot_file)
    files.check()
    gates = [Gate.parse(text) for text in fail_if or ()]
    old = read_report(compare) if compare is not None else None
    interrupted: BenchInterrupted | None = None
    try:
        report = run(config, progress=BenchProgress(quiet=quiet), stop=SIGNALS.stop, old=old)
    except BenchInterrupted as error:
        interrupted, report = error, error.report
    if not quiet:
        print_report(report, compared_with=old)
    written = files.write(report, compared_with=old) if report.figures else []
    if not quiet:
        for path in written:
            typer.echo(f"written {path}", err=True)
    failures = [HumanDetectError(line) for gate in gates for line in gate.failures(report)] + report.failures
    for failure in failures if interrupted is None else ():
        print_error(failure)
    raise typer.Exit(exit_code(interrupted or next(iter(failures), None)))
