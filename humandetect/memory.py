"""Memory that is no longer used is given back to the system."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def give_back() -> None:
    """Have glibc give back what is free.

    By itself it keeps that, in small pieces between those in use, apart for each few threads.
    """
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform != "linux":
        return bool
    return getattr(ctypes.CDLL(None), "malloc_trim", bool)  # other C libraries than glibc have none
