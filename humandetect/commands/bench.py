"""The command `bench`."""

from __future__ import annotations

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import SIGNALS, command, exit_code, print_error
from humandetect.config import BenchConfig, ReportConfig
from humandetect.errors import HumanDetectError

EXAMPLES = (
    "bench",
    "bench --url http://gpu-box:8000 --concurrency 40 --json now.json",
    "bench --engine openvino --sweep --plot sweep.png",
    "bench --compare before.json --fail-if 'p95>120ms'",
)


@command
@options_of(BenchConfig)
def bench(config: BenchConfig, talk: ReportConfig) -> None:
    """Measure servers or engines side by side: throughput, latency, memory, and whether the answers are right.

    Without --url it starts a server for each installed engine and ends them again.
    """
    from humandetect.bench.benchmark import run
    from humandetect.bench.figures import BenchInterrupted, read_report
    from humandetect.bench.gates import Gate
    from humandetect.bench.progress import BenchProgress
    from humandetect.bench.report_files import ReportFiles
    from humandetect.bench.tables import print_report

    files = ReportFiles(talk.json, talk.csv, talk.markdown, talk.plot)
    files.check()
    gates = [Gate.parse(text) for text in talk.fail_if]
    old = read_report(talk.compare) if talk.compare is not None else None
    interrupted: BenchInterrupted | None = None
    try:
        report = run(config, progress=BenchProgress(quiet=talk.quiet), stop=SIGNALS.stop, old=old)
    except BenchInterrupted as error:
        interrupted, report = error, error.report
    if not talk.quiet:
        print_report(report, compared_with=old)
    written = files.write(report, compared_with=old) if report.figures else []
    if not talk.quiet:
        for path in written:
            typer.echo(f"written {path}", err=True)
    failures = [HumanDetectError(line) for gate in gates for line in gate.failures(report)] + report.failures
    for failure in failures if interrupted is None else ():
        print_error(failure)
    raise typer.Exit(exit_code(interrupted or next(iter(failures), None)))
