"""A server of one's own, in a process that ends with the one that started it.

The parent sends a ServeConfig, the child answers with its URL or why it cannot serve.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from humandetect.errors import HumanDetectError, ServerError
from humandetect.processes import Child, Parent
from humandetect.service import END_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.config import ServeConfig

PATIENCE_SECONDS = END_SECONDS + 7
"""For a server to end; then it is killed."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """A server in a child process."""

    url: str
    pid: int


@contextmanager
def spawned(config: ServeConfig) -> Iterator[Spawned]:
    """Run a server on a free port of this machine until the block ends. Raises ServerError where it cannot start."""
    with Child(__name__, end_seconds=PATIENCE_SECONDS) as server:
        server.send(replace(config, host="127.0.0.1", port=0))
        try:
            url = server.receive()
        except ChildProcessError as error:
            raise ServerError(f"the server {error} before it could serve") from None
        yield Spawned(url, server.pid)


def _serve() -> None:
    """Be the child."""
    with Parent() as parent:
        config: ServeConfig = parent.receive()
        from humandetect.service.process import launch

        try:
            launch.serve(config, on_ready=lambda ready: parent.send(ready.url), quiet=True)
        except HumanDetectError as error:
            parent.send(ServerError(str(error)))
            raise SystemExit(3) from None


if __name__ == "__main__":
    _serve()
