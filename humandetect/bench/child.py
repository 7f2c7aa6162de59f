"""Work in a process of its own: what puts load on a server must share neither its interpreter nor this one's."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from humandetect.errors import HumanDetectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

END_SECONDS = 15.0
"""An engine may have a server of its own to end."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that answers one order after the other."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, value: object) -> None:
        stdin = cast("IO[bytes]", self.process.stdin)
        with suppress(BrokenPipeError):  # it is gone, and the missing answer says so
            pickle.dump(value, stdin)
            stdin.flush()

    def ask(self, order: object) -> Any:
        """Return what it makes of an order. Raises what went wrong there."""
        self.send(order)
        return self.answer()

    def answer(self) -> Any:
        try:
            answer = pickle.load(cast("IO[bytes]", self.process.stdout))  # noqa: S301  our own child's
        except EOFError:
            raise HumanDetectError(f"a process of the benchmark ended with exit code {self.process.wait()}") from None
        if isinstance(answer, HumanDetectError):
            raise answer
        return answer


@contextmanager
def child(module: str) -> Iterator[Child]:
    """Run `module`, which calls `obey`, until the block ends."""
    # In a session of its own: a terminal's Ctrl-C is the parent's to handle. It ends with its stdin, so also when the
    # parent is killed; what it is doing then is nobody's business any more.
    with subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield Child(process)
        finally:
            process.terminate()
            with suppress(BrokenPipeError):  # what was still to be sent
                cast("IO[bytes]", process.stdin).close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            process.kill()


class Worker(Protocol):
    """Takes orders in a child."""

    @property
    def greeting(self) -> object:
        """Return the answer to the value that the worker was made of."""
        ...

    def __call__(self, order: Any, /) -> object:
        """Answer an order."""
        ...

    def close(self) -> None:
        """Give up what is under way, and leave nothing behind."""
        ...


def obey(open_worker: Callable[[Any], Worker]) -> None:
    """Be the child: make a worker of the first value that comes, and let it answer the others."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as an exception, so that what was opened is closed
    with ExitStack() as stack, suppress(EOFError, BrokenPipeError):
        worker: Worker | None = None
        while True:
            value = pickle.load(sys.stdin.buffer)  # noqa: S301  our own parent's
            try:
                if worker is None:
                    worker = open_worker(value)
                    stack.callback(worker.close)
                    _answer(worker.greeting)
                else:
                    _answer(worker(value))
            except HumanDetectError as error:
                _answer(error)


def _answer(value: object) -> None:
    pickle.dump(value, sys.stdout.buffer)
    sys.stdout.buffer.flush()
