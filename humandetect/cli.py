"""The command line: options become a config, a config goes into one library call, the result is printed.

The only place that prints errors and ends the process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from humandetect import __version__
from humandetect.config import (
    SAMPLE,
    DetectConfig,
    Device,
    EngineConfig,
    EngineName,
    Precision,
    Preset,
    SourceConfig,
)
from humandetect.errors import HumanDetectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

P = ParamSpec("P")

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
ENGINE, SOURCE, DETECT = EngineConfig(), SourceConfig(), DetectConfig(sources=())


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
ENVIRONMENT = (
    "These can be set in the environment, as HUMANDETECT_ENGINE and so on: engine, device, precision, model, "
    "models-dir, score, batch, every, limit, max-megapixels, preset, show, quiet, verbose, debug."
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


class Signals:
    """Ctrl-C, SIGTERM and SIGHUP: the first asks for an orderly end, more of them do not disturb it.

    The first raises KeyboardInterrupt where the program stands. Libraries may swallow that, or turn it into an error
    of their own, so it also sets `stop`, and whatever ends the command after that counts as the signal's doing.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.exit_code = 0
        """128 + the signal's number, as shells count; 0 until one arrives."""

    def listen(self) -> None:
        # SIGINT too: shells start background jobs with it ignored, and Python would leave it so.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and not (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):  # nohup
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self.exit_code:
            self.exit_code = 128 + number
            self.stop.set()
            raise KeyboardInterrupt


SIGNALS = Signals()


def exit_code(error: BaseException | None) -> int:
    """0 done, 1 an input, engine or output failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM."""
    if SIGNALS.exit_code:
        return SIGNALS.exit_code
    match error:
        case None:
            return 0
        case UsageError():
            return 2
        case KeyboardInterrupt():
            return 130
        case _:
            return 1


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command: set up logging and signals, turn errors into one line and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        debug = bool(kwargs.get("debug"))
        set_up_logging(debug=debug, verbose=bool(kwargs.get("verbose")))
        SIGNALS.listen()
        try:
            function(*args, **kwargs)
        except typer.Exit:
            raise
        except BrokenPipeError:  # whoever read stdout has seen enough
            _forget_stdout()
        except BaseException as error:
            if debug:
                traceback.print_exception(error)
            if isinstance(error, KeyboardInterrupt) or SIGNALS.exit_code:
                raise typer.Exit(exit_code(error)) from None
            print_error(_explained(error))
            raise typer.Exit(exit_code(error)) from None

    return wrapped


def _forget_stdout() -> None:
    """Send the rest of stdout nowhere, or Python would complain about the closed pipe while it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explained(error: BaseException) -> HumanDetectError:
    """Return what a person can act on; a fault of the program itself stays one, with its traceback."""
    if isinstance(error, HumanDetectError):
        return error
    if isinstance(error, ImportError) and ".so" in str(error):
        return _missing_library(error)
    if isinstance(error, OSError):
        return HumanDetectError(f"{error.strerror or error}{f': {error.filename!r}' if error.filename else ''}")
    raise error


def print_error(error: HumanDetectError) -> None:
    # A name in the message may hold a newline; the message stays one line. If nobody hears it, the exit code remains.
    with contextlib.suppress(BrokenPipeError):
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)


def _missing_library(error: ImportError) -> HumanDetectError:
    return HumanDetectError(
        f"a system library is missing ({error}). OpenCV's wheel needs some. On Debian and Ubuntu: "
        "apt-get install libgl1 libglib2.0-0 libx11-6 libsm6 libice6. On Fedora: "
        "dnf install mesa-libGL glib2 libX11 libSM libICE"
    )


def set_up_logging(*, debug: bool, verbose: bool) -> None:
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("humandetect").setLevel(level)
    if debug:
        import av

        av.logging.set_level(av.logging.WARNING)  # libav's own complaints; silent otherwise


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
        engine=EngineConfig(engine, device, precision, model, models_dir),
        source=SourceConfig(start, duration, limit, max_megapixels),
    )
    if json_summary and "-" in config.results:
        raise UsageError("--json and --results - both want stdout: write one of them to a file")

    from humandetect.pipeline import run
    from humandetect.summary import RunInterrupted
    from humandetect.terminal import ProgressBar, print_summary

    interrupted: RunInterrupted | None = None
    try:
        summary = run(config, progress=ProgressBar(quiet=quiet), stop=SIGNALS.stop)
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


def main() -> None:
    """Run the command line."""
    app()
