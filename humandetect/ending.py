"""The end of this process where something of it cannot be ended: C++ at work then aborts what Python tidies up."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

_left: list[threading.Thread] = []


def leave_behind(thread: threading.Thread) -> None:
    """Tell of a thread in foreign code, which may never return."""
    _left.append(thread)


def end_if_left(code: int) -> None:
    """End at once, with this exit code, where a thread was left and still runs; all else must be finished."""
    if not any(thread.is_alive() for thread in _left):
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
