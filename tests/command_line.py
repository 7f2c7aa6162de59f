"""humandetect as a person meets it: a real process, its exit code, and errors of one line."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import av
from typer.testing import CliRunner

from humandetect.cli import app
from humandetect.models.find import bundled
from humandetect.service.logs import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = str(bundled("examples/plaza.mp4"))
COMMAND = [sys.executable, "-m", "humandetect"]


def humandetect(
    *arguments: str | Path, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=100,
        check=False,
    )
    return subprocess.CompletedProcess(
        run.args, run.returncode, run.stdout.decode(), run.stderr.decode(errors="replace")
    )


def error_line(run: subprocess.CompletedProcess[str]) -> str:
    """Return the error, which must be one line and the last one."""
    lines = run.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], run.stderr
    assert "Traceback" not in run.stderr
    return lines[-1]


def duration(path: Path) -> float:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0)) / float(video.streams.video[0].average_rate or 1)


def frame_lines(results: str | Path) -> list[dict[str, Any]]:
    """Return what JSON lines say of frames: of a file, or of text."""
    text = results.read_text(encoding="utf-8") if isinstance(results, Path) else results
    return [line for line in map(json.loads, text.splitlines()) if "people" in line]


@contextmanager
def own_process() -> Iterator[None]:
    """Undo what a command run in this process sets: how logs are written, and that it hears no signal any more."""
    loggers = [logging.getLogger(name) for name in ("humandetect", *LEVELS)]
    logs = [(one, one.level, one.handlers[:], one.propagate) for one in loggers]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for logger, level, written_by, propagate in logs:
            logger.setLevel(level)
            logger.handlers, logger.propagate = written_by, propagate
        for number, handler in handlers.items():
            signal.signal(number, handler)


def invoke(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, where being one of its own is not what a test is about: that takes a second."""
    with own_process(), patch.dict(os.environ, environment):  # a command tells its children of --config
        run = CliRunner().invoke(app, [*map(str, arguments)], prog_name="humandetect")
    if run.exception and not isinstance(run.exception, SystemExit):
        raise run.exception
    return subprocess.CompletedProcess(arguments, run.exit_code, run.stdout, run.stderr)
