from __future__ import annotations

import os
from typing import TYPE_CHECKING

from humandetect import ending

if TYPE_CHECKING:
    import pytest


def test_a_process_ends_at_once_only_where_its_command_left_something_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    ending.leave_behind()
    ending.end_if_left(3)
    ending.forget_what_was_left()
    ending.end_if_left(4)
    assert ended == [3]
