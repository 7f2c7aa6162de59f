"""Memory that is no longer used is given back to the system, and what others send takes only so much."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_M_ARENA_MAX = -8
"""Of malloc.h."""


def give_back() -> None:
    """Have glibc give back what is free.

    By itself it keeps that, in small pieces between those in use, apart for each few threads.
    """
    _trim()(0)


def bound_arenas(count: int) -> None:
    """Have glibc share the places that threads allocate from: so many, not eight times as many as cores.

    What is free in one is of no use to the threads of another, so with threads that come and go memory would creep up.
    """
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):  # other C libraries than glibc have none
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, count)


def bound_allocations(max_megapixels: float) -> None:
    """Have libav refuse, in this process, any allocation that is larger than a picture of that size in colours.

    Else whoever sends a stream says how large they are: of a description over RTSP, say, or a picture in MPEG-TS.
    """
    import av

    refuse_over = ctypes.CDLL(av._core.__file__).av_max_alloc  # PyAV does not hand it on
    refuse_over.argtypes, refuse_over.restype = [ctypes.c_size_t], None
    refuse_over(int(max_megapixels * 3.3e6) + 16_000_000)  # decoders round the size up


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform != "linux":
        return bool
    return getattr(ctypes.CDLL(None), "malloc_trim", bool)  # other C libraries than glibc have none
