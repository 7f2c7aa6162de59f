"""A video while it grows and when it is whole: it plays at every moment, and in the end browsers need not wait."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import av
import pytest

from humandetect.media.frames import VideoInfo
from humandetect.media.iso_boxes import boxes
from humandetect.media.sinks import fast_start
from humandetect.media.sinks.fast_start import put_index_first
from humandetect.media.sinks.video import VideoSink
from tests.builders import detected, make_clip

ROOT = Path(__file__).parents[3]
WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from humandetect.media.frames import VideoInfo
from humandetect.media.sinks.video import VideoSink
from tests.builders import detected
sink = VideoSink(Path(sys.argv[1]), VideoInfo(64, 48))
for index in range(10_000):
    sink.write(detected(index))
    if index == 300:
        print("on its way", flush=True)
"""


def pictures(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def order(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [box.kind for box in boxes(file, 0, path.stat().st_size)]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_what_kill_9_leaves_plays_and_the_next_run_says_where_it_lies(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"out{ending}"
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(target)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert writing.stdout is not None
    writing.stdout.readline()
    writing.send_signal(signal.SIGKILL)
    writing.communicate()
    assert not target.exists()
    (remains,) = tmp_path.iterdir()
    assert pictures(remains) > 150, "all but what the encoder had and the last second"
    old = time.time() - 60
    os.utime(remains, (old, old))
    with VideoSink(target, VideoInfo(64, 48)) as sink:
        sink.write(detected(0))
    assert any(str(remains) in warning and "plays" in warning for warning in sink.warnings)


def write(path: Path, frames: int = 30) -> VideoSink:
    with VideoSink(path, VideoInfo(64, 48)) as sink:
        for index in range(frames):
            sink.write(detected(index))
    return sink


def test_a_file_that_somebody_writes_to_is_no_remains(tmp_path: Path) -> None:
    (tmp_path / ".out.0123abcd.part.mp4").write_bytes(b"growing")
    assert write(tmp_path / "out.mp4").warnings == []


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_a_whole_file_is_no_larger_and_has_its_index_first(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"out{ending}", frames=100)
    assert order(tmp_path / f"out{ending}")[:2] == [b"ftyp", b"moov"]
    assert pictures(tmp_path / f"out{ending}") == 100
    assert [path.name for path in tmp_path.iterdir()] == [f"out{ending}"], "and nothing beside it"


def test_without_room_for_it_the_index_stays_last_and_the_video_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fast_start, "_copy", full)
    sink = write(tmp_path / "out.mp4")
    assert order(tmp_path / "out.mp4")[-1] == b"moov"
    assert pictures(tmp_path / "out.mp4") == 30
    assert "the disk is full" in sink.warnings[0]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_moving_the_index_keeps_every_packet(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=50, audio="aac")
    assert order(source)[-1] == b"moov"
    assert put_index_first(source, tmp_path / "out.mp4")
    found = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as video:
            found.append([(p.stream_index, p.pts, bytes(cast("Any", p))) for p in video.demux() if p.size])
    assert found[0] == found[1]
    assert not put_index_first(tmp_path / "out.mp4", tmp_path / "again.mp4"), "it is first already"


def test_places_that_would_not_fit_leave_the_file_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=5)
    monkeypatch.setitem(fast_start._WIDTHS, b"stco", ">B")  # as if 4 GB were 255 bytes
    assert not put_index_first(source, tmp_path / "out.mp4")


@pytest.mark.parametrize(
    "data", [b"", b"not an MP4 at all, but text", b"\0\0\0\x01ftyp", b"\0\0\xff\xffmoov", b"\0\0\0\x08free"]
)
def test_what_is_no_mp4_is_left_alone(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.mp4").write_bytes(data)
    with pytest.raises(OSError, match="no MP4"):
        put_index_first(tmp_path / "in.mp4", tmp_path / "out.mp4")
