"""Keeps C libraries from writing to the terminal past every logger."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

# File descriptor 2 belongs to the whole process. The same thread may come again: blocks can stand inside one another.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Send what anything in this process writes to file descriptor 2 meanwhile to the debug log.

    Only for libraries that offer no other way, and for short: other threads' words go the same way.
    """
    with _ONE_AT_A_TIME:
        try:
            stderr = os.dup(2)
        except OSError:  # closed: nobody is bothered
            yield
            return
        with _scratch() as chatter:
            os.dup2(chatter.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
                chatter.seek(0)
                if words := chatter.read().decode(errors="replace").strip():
                    logger.debug("%s: %s", library, words)


def _scratch() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # nowhere to write
        return Path(os.devnull).open("w+b")
