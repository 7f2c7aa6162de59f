"""Parts of a video joined: nothing is encoded again, and each frame is shown when it was."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import pytest

from humandetect.errors import SinkError
from humandetect.media.frames import VideoInfo
from humandetect.media.sinks.h264 import VideoFile
from humandetect.media.sinks.joining import JoinedVideo
from tests.builders import frame
from tests.media.sinks.test_video import atoms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INFO = VideoInfo(width=64, height=48, fps=Fraction(10), time_base=Fraction(1, 90_000))
DAY = 864_000
"""Frames of a day: its ticks need more than 32 bits."""


def write_part(path: Path, frames: Iterable[int], info: VideoInfo = INFO) -> Path:
    part = VideoFile(
        path, "mp4", hw=(info.height, info.width), info=info, origin_seconds=0.0, preset="veryfast", audio=()
    )
    for index in frames:
        part.encode(frame(index))
    part.finish(complete=True)
    return path


def join(path: Path, *parts: Path) -> Path:
    with JoinedVideo(path, audio=(), read_sound=lambda _: None, tags={"title": "a day"}) as joined:
        for part in parts:
            with part.open("rb") as file:
                joined.add(file)
    return path


def packets(path: Path) -> list[tuple[Any, ...]]:
    with av.open(str(path)) as video:
        return [(one.pts, one.duration, one.is_keyframe, bytes(one)) for one in video.demux(video=0) if one.size]


@pytest.mark.parametrize("first", [0, 3, DAY])
def test_each_picture_is_shown_when_its_part_shows_it(first: int, tmp_path: Path) -> None:
    parts = [write_part(tmp_path / f"{at}.mp4", range(at, at + 5)) for at in (first, first + 5)]
    joined = packets(join(tmp_path / "joined.mp4", *parts))
    assert joined == [packet for part in parts for packet in packets(part)]
    assert [packet[0] for packet in joined] == [9_000 * index for index in range(first, first + 10)]


def test_where_pictures_are_missing_the_one_before_stays(tmp_path: Path) -> None:
    parts = [write_part(tmp_path / f"{at}.mp4", range(at, at + 2)) for at in (0, 10)]
    (tmp_path / "empty.mp4").touch()
    joined = packets(join(tmp_path / "joined.mp4", parts[0], tmp_path / "empty.mp4", parts[1]))
    assert [packet[:2] for packet in joined] == [(0, 9_000), (9_000, 81_000), (90_000, 9_000), (99_000, 9_000)]


def test_it_begins_to_play_while_it_loads_and_keeps_what_the_source_says_of_itself(tmp_path: Path) -> None:
    path = join(tmp_path / "joined.mp4", write_part(tmp_path / "part.mp4", range(3)))
    names = atoms(path)
    assert names.index(b"moov") < names.index(b"mdat")
    with av.open(str(path)) as video:
        assert video.metadata["title"] == "a day"


def test_parts_of_other_pictures_are_refused(tmp_path: Path) -> None:
    wide = VideoInfo(width=128, height=48, fps=INFO.fps, time_base=INFO.time_base)
    parts = [write_part(tmp_path / f"{info.width}.mp4", range(2), info) for info in (INFO, wide)]
    with pytest.raises(SinkError, match="different encoders"):
        join(tmp_path / "joined.mp4", *parts)


def test_without_a_picture_there_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SinkError, match="none of its parts has a picture"):
        join(tmp_path / "joined.mp4", tmp_path / "empty.mp4")
