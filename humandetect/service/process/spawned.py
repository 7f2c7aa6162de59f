"""A server of one's own, in a process that ends with the one that started it, however that ends.

The parent writes the ServeConfig as a line of JSON to the child's stdin and keeps it open: its end, which the system
brings about even after `kill -9`, tells the child to go. The child answers on stdout with one line, its URL or why it
cannot serve.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, cast

from pydantic import TypeAdapter

from humandetect.config import ServeConfig
from humandetect.errors import HumanDetectError, ServerError
from humandetect.service import END_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = END_SECONDS + 7
"""For a server to end; then it is killed."""
URL_MARK = "at "


@dataclass(frozen=True, slots=True)
class Spawned:
    """A server in a child process."""

    url: str
    pid: int


@contextmanager
def spawned(config: ServeConfig) -> Iterator[Spawned]:
    """Run a server on a free port of this machine until the block ends. Raises ServerError where it cannot start."""
    command = [sys.executable, "-m", "humandetect.service.process.spawned"]
    # In a session of its own: a terminal's Ctrl-C is the parent's to handle, who ends the child when it is done.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Spawned(_started(process, replace(config, host="127.0.0.1", port=0)), process.pid)
        finally:
            _end(process)


def _started(process: subprocess.Popen[str], config: ServeConfig) -> str:
    stdin, stdout = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
    with suppress(BrokenPipeError):  # it is gone already, and the missing answer says so
        stdin.write(TypeAdapter(ServeConfig).dump_json(config).decode() + "\n")
        stdin.flush()
    line = stdout.readline().strip()
    if not line.startswith(URL_MARK):
        raise ServerError(line or f"the server ended with exit code {process.wait()} before it could serve")
    return line.removeprefix(URL_MARK)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        cast("IO[str]", process.stdin).close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_SECONDS)
    if process.poll() is None:
        process.kill()


def _serve() -> None:
    """Be the child."""
    from humandetect.service.process import launch

    stop = threading.Event()
    config = TypeAdapter(ServeConfig).validate_json(sys.stdin.readline())
    threading.Thread(target=_wait_for_the_parents_end, args=(stop,), daemon=True).start()
    try:
        launch.serve(config, on_ready=lambda ready: _say(f"{URL_MARK}{ready.url}"), stop=stop, quiet=True)
    except HumanDetectError as error:
        _say(" ".join(str(error).split()))
        raise SystemExit(3) from None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _wait_for_the_parents_end(stop: threading.Event) -> None:
    # Not by sys.stdin: its lock, held while it waits, would stop the interpreter from ending.
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    _serve()
