from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest

from humandetect.watch.layout import Layout
from tests.builders import make_clip

if TYPE_CHECKING:
    from pathlib import Path


def test_sound_that_no_kind_of_file_can_hold_is_left_out(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.nut", audio="g722")
    with av.open(str(clip)) as container:
        layout = Layout({stream.index: stream for stream in container.streams})  # type: ignore[misc]
    assert layout.left_out == ["g722"]
    assert layout.ending == ".mp4"


def test_what_no_kind_of_file_can_hold_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.nut", audio="g722")
    with av.open(str(clip)) as container, pytest.raises(ValueError, match="no kind of file can hold g722"):
        Layout({1: container.streams.audio[0]})
