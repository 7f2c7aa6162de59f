"""What is free goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import psutil
import pytest

from humandetect.memory import give_back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries give back by themselves")
def test_what_lay_between_pieces_in_use_is_given_back() -> None:
    resident = psutil.Process().memory_info
    pieces = [b"\1" * 50_000 for _ in range(2000)]
    kept = pieces[::100]
    del pieces
    before = resident().rss
    give_back()
    assert before - resident().rss > 50_000_000
    assert len(kept) == 20


def test_libav_takes_no_larger_piece_than_a_picture_may_need() -> None:
    """In a process of its own, as it is for all of one."""
    script = """
import av
from humandetect.memory import bound_allocations
bound_allocations(1)
av.VideoFrame(1000, 1000, "bgr24")
try:
    av.VideoFrame(10_000, 10_000, "gray")
except MemoryError:
    print("refused")
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "refused\n"
