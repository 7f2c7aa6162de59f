"""Processes that end with the one that started them, however that ends: the only place that starts one.

A child's stdin is one end of a line whose other end only its parent holds. The system hangs up for a parent that is
gone, even after `kill -9`; the child hears that and ends. Where both are ours, the line carries what they say too.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

logger = logging.getLogger(__name__)

LAST_LINES = 5
ORPHAN_SECONDS = 30
"""For a child to end once its parent is gone; whatever hangs then is cut off."""


class Child:
    """A module of Python that runs as a process of its own until it is closed, or this process ends."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        end_seconds: float,
        ready: re.Pattern[str] | None = None,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """It has `end_seconds` to end when it is told to.

        `ready` is what it says on stderr once it is; then its stderr goes to the debug log, else to this process's.
        """
        self._name = " ".join((module, *arguments[:1]))
        self._end_seconds = end_seconds
        self.line, theirs = Pipe()
        """What it says, for those who wait for several children; others `receive`."""
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if ready else None,
                text=True, errors="replace", env=environment, pass_fds=pass_fds,
                start_new_session=True,  # a Ctrl-C in the terminal is for the parent, who may still need answers then
            )  # fmt: skip
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._announcement: re.Match[str] | None = None
        self._announced = threading.Event()
        self._reader: threading.Thread | None = None
        if ready is not None:
            self._reader = threading.Thread(target=self._read, args=(ready,), name=self._name, daemon=True)
            self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self, within_seconds: float) -> re.Match[str]:
        """Return what `ready` found. Raises TimeoutError or ChildProcessError, with the last lines of its stderr."""
        in_time = self._announced.wait(within_seconds)
        if self._announcement is None:
            words = " ".join(line.removeprefix("error: ") for line in self._last_lines) or "it said nothing"
            raise ChildProcessError(words) if in_time else TimeoutError(words)
        return self._announcement

    def send(self, value: object) -> None:
        with suppress(OSError):  # it is gone, and the missing answer says so
            self.line.send(value)

    def receive(self, within_seconds: float | None = None) -> Any:
        """Return what it sends next; raise that if it is an error.

        Raises TimeoutError, and ChildProcessError once it has ended.
        """
        try:
            if not self.line.poll(within_seconds):
                raise TimeoutError
            value = self.line.recv()
        except (EOFError, ConnectionError):
            raise ChildProcessError(f"ended with exit code {self._wait()}") from None
        if isinstance(value, Exception):
            raise value
        return value

    def end(self) -> None:
        """End it, by force if it takes too long; what it has said can still be received."""
        self.process.terminate()
        self._wait()

    def close(self) -> None:
        """End it and forget what it has said; may be called twice."""
        self.end()
        self.line.close()
        if self._reader is not None:
            self._reader.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> int:
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(self._end_seconds)
        self.process.kill()
        return self.process.wait()

    def _read(self, ready: re.Pattern[str]) -> None:
        """Read its stderr until it ends, or the pipe would fill up."""
        with cast("IO[str]", self.process.stderr) as stderr:
            for line in stderr:
                logger.debug("%s: %s", self._name, line.rstrip())
                self._last_lines.append(line.strip())
                if self._announcement is None and (found := ready.search(line)):
                    self._announcement = found
                    self._announced.set()
        self._announced.set()


class Parent:
    """The process that started this one, which ends with it. All that a child does stands in its block."""

    def __init__(self) -> None:
        self._line: Connection[Any, Any] = Connection(0)
        self._said: SimpleQueue[Any] = SimpleQueue()
        self._is_leaving = False
        signal.signal(signal.SIGTERM, self._leave)
        main = threading.main_thread().ident or 0
        end_with_parent(lambda: signal.pthread_kill(main, signal.SIGTERM), hear=self._hear)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> bool:
        """What ends the block once all is to end is no error: C makes others of an exit within its imports."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already; Python complains of an exit within an exit
        return self._is_leaving

    def receive(self) -> Any:
        """Return what the parent sends next."""
        value = self._said.get()
        if self._is_leaving:
            sys.exit()
        return value

    def send(self, value: object) -> None:
        with suppress(OSError):  # it is gone, and so is this process soon
            self._line.send(value)

    def send_if_heard(self, value: object) -> None:
        """Send unless what was sent before is piling up: never wait for a parent that was stopped."""
        if select.select([], [self._line], [], 0)[1]:
            self.send(value)

    def _leave(self, *_: object) -> None:
        """End by an exception, so that what was opened is closed, which a second signal must not disturb.

        Python swallows one within a callback, as of a weak reference, and would complain: `receive` ends it then.
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.unraisablehook = lambda _: None
        self._is_leaving = True
        self._said.put(None)
        sys.exit()

    def _hear(self) -> bool:
        self._said.put(self._line.recv())
        return True


def end_with_parent(end: Callable[[], object], *, hear: Callable[[], object] = lambda: os.read(0, 4096)) -> None:
    """Call `end` once stdin ends, as it does with whoever holds its other end; cut off what hangs after that.

    `hear` takes what comes through stdin until then.
    """

    # Never by sys.stdin: its lock, held by a thread that waits, aborts the interpreter at its own end.
    def listen() -> None:
        with suppress(EOFError, OSError):
            while hear():
                pass
        end()
        time.sleep(ORPHAN_SECONDS)
        os._exit(1)

    threading.Thread(target=listen, name="parent", daemon=True).start()
