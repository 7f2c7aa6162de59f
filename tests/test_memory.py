"""What is free goes back to the system."""

from __future__ import annotations

import platform

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
