"""Work in a process of its own: what puts load on a server must share neither its interpreter nor this one's."""

from __future__ import annotations

import pickle
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from humandetect.errors import HumanDetectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
            process.kill()
            with suppress(BrokenPipeError):  # what was still to be sent
                cast("IO[bytes]", process.stdin).close()


class Worker(Protocol):
    """Takes orders in a child."""

    @property
    def greeting(self) -> object:
        """Return the answer to the value that the worker was made of."""
        ...

    def __call__(self, order: Any, /) -> object:
        """Answer an order."""
        ...


def obey(open_worker: Callable[[Any], Worker]) -> None:
    """Be the child: make a worker of the first value that comes, and let it answer the others."""
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    worker: Worker | None = None
    while True:
        try:
            value = pickle.load(stdin)  # noqa: S301  our own parent's
        except EOFError:
            return
        answer: object = None
        try:
            if worker is None:
                worker = open_worker(value)
                answer = worker.greeting
            else:
                answer = worker(value)
        except HumanDetectError as error:
            answer = error
        pickle.dump(answer, stdout)
        stdout.flush()
