"""Work in a process of its own: what puts load on a server must share neither its interpreter nor this one's."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from humandetect.errors import HumanDetectError
from humandetect.processes import Child, Parent

if TYPE_CHECKING:
    from collections.abc import Callable

END_SECONDS = 15.0
"""An engine may have a server of its own to end."""


class LoadProcess(Child):
    """Runs a module that calls `obey`, and answers one order after the other."""

    def __init__(self, module: str) -> None:
        super().__init__(module, end_seconds=END_SECONDS)

    def ask(self, order: object) -> Any:
        """Return what it makes of an order. Raises what went wrong there."""
        self.send(order)
        try:
            return self.receive()
        except ChildProcessError as error:
            raise HumanDetectError(f"a process of the benchmark {error}") from None


class LoadWorker(Protocol):
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


def obey(open_worker: Callable[[Any], LoadWorker]) -> None:
    """Be the child: make a worker of the first value that comes, and let it answer the others."""
    with Parent() as parent, ExitStack() as stack:
        worker: LoadWorker | None = None
        while True:
            value = parent.receive()
            try:
                if worker is None:
                    worker = open_worker(value)
                    stack.callback(worker.close)
                    parent.send(worker.greeting)
                else:
                    parent.send(worker(value))
            except HumanDetectError as error:
                parent.send(error)
