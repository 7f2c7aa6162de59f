"""What is free goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from humandetect.memory import give_back

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
def test_many_threads_share_a_few_arenas(tmp_path: Path) -> None:
    script = """
import ctypes, sys, threading
from humandetect.memory import bound_arenas
bound_arenas(2)
held = threading.Barrier(33)
def hold():
    piece = bytearray(10_000)
    held.wait(60)
    held.wait(60)
for _ in range(32):
    threading.Thread(target=hold).start()
held.wait(60)
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
told = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, told)
libc.fclose(told)
held.wait(60)
"""
    told = tmp_path / "arenas.xml"
    subprocess.run([sys.executable, "-c", script, str(told)], check=True, timeout=60)
    assert 1 <= told.read_text().count("<heap nr=") <= 2


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
