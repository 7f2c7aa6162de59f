"""The end of this process where something of it cannot be ended: C++ at work then aborts what Python tidies up."""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress

_left = threading.Event()


def leave_behind() -> None:
    """Tell that foreign code was left at work, which may never return."""
    _left.set()


def forget_what_was_left() -> None:
    """Begin a command, in a process that may have done others."""
    _left.clear()


def end_if_left(code: int) -> None:
    """End at once, with this exit code, where something was left; all else must be finished.

    Also where it has returned since: what it waited for may hold up the tidying, too.
    """
    if not _left.is_set():
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
