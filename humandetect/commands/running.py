"""How a command ends: signals, exit codes, and errors as one line."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import typer

from humandetect.addresses import without_secrets
from humandetect.ending import end_if_left, forget_what_was_left
from humandetect.errors import HumanDetectError, ServerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from humandetect.commands.terminal import ProgressBar
    from humandetect.config import AnalyzeConfig, RunConfig, SummaryConfig
    from humandetect.pipeline.summary import RunSummary

P = ParamSpec("P")

AGAIN_SECONDS = 0.05
"""For the main thread to notice a signal, and to leave a place where no exception can be raised."""


class Signals:
    """Ctrl-C, SIGTERM and SIGHUP: the first asks for an orderly end, more of them do not disturb it.

    The first raises KeyboardInterrupt where the program stands. Libraries may swallow that, or turn it into an error
    of their own, so it also sets `stop`, and whatever ends the command after that counts as the signal's doing. Where
    Python itself swallows it, as in the callbacks of weak references of which imports are full, it is raised again. So
    it is where Python would not notice the signal before a wait is over, because it came just before that began.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.exit_code = 0
        """128 + the signal's number, as shells count; 0 until one arrives."""
        self._raised = False
        self._report_lost = sys.unraisablehook
        self._bell = -1
        """Where Python writes the number of each signal at once, wherever the main thread stands."""

    def listen(self) -> None:
        self._report_lost, sys.unraisablehook = sys.unraisablehook, self._on_lost
        heard, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        signal.set_wakeup_fd(self._bell)
        threading.Thread(target=self._insist, args=(heard,), name="signals", daemon=True).start()
        # SIGINT too: shells start background jobs with it ignored, and Python would leave it so.
        for number in self._numbers():
            if not (number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):  # nohup
                signal.signal(number, self._on_signal)

    def close(self) -> None:
        """Let nothing disturb the end: Python resets handlers before the process is gone, and the next one kills it."""
        for number in self._numbers():
            signal.signal(number, signal.SIG_IGN)
        sys.unraisablehook = self._report_lost
        signal.set_wakeup_fd(-1)
        os.close(self._bell)
        # A KeyboardInterrupt that left the exec of a string, of which dataclasses are made, ends `python -m` as if by
        # SIGINT, although it was caught; unless another exec ends well.
        exec("")  # noqa: S102

    @staticmethod
    def _numbers() -> list[signal.Signals]:
        return [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self._raised:
            self._raised = True
            self.exit_code = self.exit_code or 128 + number
            self.stop.set()
            raise KeyboardInterrupt

    def _on_lost(self, lost: sys.UnraisableHookArgs) -> None:
        if not (self.exit_code and isinstance(lost.exc_value, KeyboardInterrupt)):
            self._report_lost(lost)
            return
        self._raised = False
        os.write(self._bell, bytes([self.exit_code - 128]))

    def _insist(self, heard: int) -> None:
        """Interrupt the main thread until the handler has raised, as long as it is the one that listens."""
        with open(heard, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                time.sleep(AGAIN_SECONDS)
                if not self._raised and signal.getsignal(number[0]) == self._on_signal:
                    signal.pthread_kill(threading.main_thread().ident or 0, number[0])


SIGNALS = Signals()


def exit_code(error: BaseException | None) -> int:
    """0 done, 1 an input, engine or output failed, 2 wrong usage, 3 no server, 130 Ctrl-C, 143 SIGTERM."""
    if SIGNALS.exit_code:
        return SIGNALS.exit_code
    match error:
        case None:
            return 0
        case UsageError():
            return 2
        case ServerError():
            return 3
        case KeyboardInterrupt():
            return 130
        case _:
            return 1


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command: set up logging and signals, turn errors into one line and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        forget_what_was_left()
        try:
            run(*args, **kwargs)
        except typer.Exit as end:
            end_if_left(end.exit_code)
            raise
        end_if_left(0)

    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        SIGNALS.listen()
        try:
            function(*args, **kwargs)
        except typer.Exit:
            raise
        except BrokenPipeError:  # whoever read stdout has seen enough
            _forget_stdout()
        except BaseException as error:
            if logging.getLogger("humandetect").isEnabledFor(logging.DEBUG):
                traceback.print_exception(error)
            if isinstance(error, KeyboardInterrupt) or SIGNALS.exit_code:
                raise typer.Exit(exit_code(error)) from None
            print_error(_explained(error))
            raise typer.Exit(exit_code(error)) from None
        finally:
            SIGNALS.close()

    return wrapped


def finish_run(
    run: Callable[[ProgressBar], RunSummary], config: RunConfig | AnalyzeConfig, talk: SummaryConfig
) -> None:
    """Do a run, say what came of it, and exit."""
    asked = {"--json": talk.json, "--results -": "-" in config.results, "--events -": config.counting.events == "-"}
    wanting = [option for option, wants_stdout in asked.items() if wants_stdout]
    if len(wanting) > 1:
        raise UsageError(f"{wanting[0]} and {wanting[1]} both want stdout: write one of them to a file")
    from humandetect.commands.terminal import ProgressBar, print_summary
    from humandetect.pipeline.summary import RunInterrupted

    interrupted: RunInterrupted | None = None
    try:
        summary = run(ProgressBar(quiet=talk.quiet))
    except RunInterrupted as error:
        interrupted, summary = error, error.summary
    if talk.json:
        typer.echo(json.dumps(summary.as_dict()))
    if not talk.quiet:
        print_summary(summary)
    for failure in summary.failures:
        if talk.debug:
            traceback.print_exception(failure)
        print_error(failure)
    ended_well = summary.stopped and not (interrupted or summary.failures)
    raise typer.Exit(0 if ended_well else exit_code(interrupted or next(iter(summary.failures), None)))


def with_sample(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Put the bundled clip in the place of `sample`, unless a file has that name."""
    from humandetect.config import SAMPLE
    from humandetect.models.find import bundled

    if SAMPLE not in sources or Path(SAMPLE).exists():
        return sources

    return tuple(str(bundled("examples/plaza.mp4")) if source == SAMPLE else source for source in sources)


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
    with contextlib.suppress(OSError):
        typer.echo(f"error: {without_secrets(' '.join(str(error).split()))}", err=True)


def _missing_library(error: ImportError) -> HumanDetectError:
    return HumanDetectError(
        f"a system library is missing ({error}). OpenCV's wheel needs some. On Debian and Ubuntu: "
        "apt-get install libgl1 libglib2.0-0 libx11-6 libsm6 libice6. On Fedora: "
        "dnf install mesa-libGL glib2 libX11 libSM libICE"
    )


def _hide_secrets(record: logging.LogRecord) -> bool:
    """Libraries log the addresses they were given, libav among them."""
    record.msg, record.args = without_secrets(record.getMessage()), ()
    return True


def set_up_logging(*, debug: bool, verbose: bool) -> None:
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_hide_secrets)
    logging.getLogger("humandetect").setLevel(level)
    if debug:
        import av

        av.logging.set_level(av.logging.WARNING)  # libav's own complaints; silent otherwise
