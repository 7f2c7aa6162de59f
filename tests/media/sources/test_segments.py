"""Segments of a video: each frame in exactly one of them, numbered, timed and shown as in the whole."""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import pytest

from humandetect.config import SourceConfig
from humandetect.errors import SourceError
from humandetect.media.sources import open_source
from humandetect.media.sources.segments import SegmentSource, cut
from humandetect.watch.layout import Layout
from humandetect.watch.segments import SegmentFile, segment_name
from tests.archive.clips import B_FRAMES, EVEN, INTRA_REFRESH, OPEN_GOP, TEN, UNEVEN, write_people
from tests.builders import make_clip
from tests.media.clips import damage, late_pictures, turn, write_stamps
from tests.media.gone import open_going
from tests.watch.cameras import START

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from humandetect.media.frames import Frame

CONFIG = SourceConfig()


class Shown(NamedTuple):
    number: int
    time_seconds: float
    duration_seconds: float | None
    pixels: int


def shown(frames: Iterable[Frame]) -> list[Shown]:
    return [
        Shown(frame.index, frame.time_seconds, frame.duration_seconds, zlib.crc32(frame.image.tobytes()))
        for frame in frames
    ]


def by_segments(path: Path, *, seconds: float) -> list[Shown]:
    found = []
    for segment in cut(str(path), CONFIG, seconds=seconds):
        with SegmentSource("clip", str(path), CONFIG, segment) as source:
            found += shown(source)
            assert source.missing == 0
    return found


@pytest.mark.parametrize(
    ("name", "steps", "options"),
    [
        ("open.mp4", EVEN, OPEN_GOP),
        ("intra_refresh.mp4", EVEN, INTRA_REFRESH),
        ("uneven.mkv", UNEVEN, B_FRAMES),
        ("uneven.mp4", UNEVEN, B_FRAMES),
        ("keys.mp4", EVEN, {"g": "1"}),
        ("short_groups.mp4", EVEN, {"g": "2", "bf": "1"}),
    ],
)
def test_segments_together_are_the_whole(
    name: str, steps: tuple[int, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    path = write_people(tmp_path / name, steps=steps, options=options)
    with open_source(str(path)) as source:
        whole = shown(source)
    assert len(cut(str(path), CONFIG, seconds=0.7)) > 2
    assert by_segments(path, seconds=0.7) == whole


HEVC = {"preset": "ultrafast", "x265-params": "keyint=8:open-gop=1:bframes=3:log-level=none"}
"""With leading pictures."""


@pytest.mark.parametrize(
    ("codec", "options", "ending"),
    [("libx265", HEVC, ".mp4"), ("mpeg4", {"g": "8", "bf": "2"}, ".mp4"), ("mpeg4", {"g": "8", "bf": "2"}, ".mkv")],
)
def test_segments_of_other_codecs_are_the_whole(
    codec: str, options: dict[str, str], ending: str, tmp_path: Path
) -> None:
    path = write_people(tmp_path / f"a{ending}", codec=codec, options=options)
    with open_source(str(path)) as source:
        whole = shown(source)
    assert len(cut(str(path), CONFIG, seconds=0.7)) > 2
    assert by_segments(path, seconds=0.7) == whole


@pytest.mark.parametrize("kind", ["turned upright", "sound long before"])
def test_segments_are_turned_and_timed_as_the_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    _ = turn(make_clip(path), (0, 1, -1, 0)) if kind == "turned upright" else late_pictures(path, 2.0)
    with open_source(str(path)) as source:
        whole = shown(source)
    assert len(cut(str(path), CONFIG, seconds=0.5)) > 2
    assert by_segments(path, seconds=0.5) == whole


@pytest.mark.parametrize("stamps", [(0, 100, 100, 200), (0, 100, 90_000_000, 90_000_100)], ids=["twice", "leap"])
def test_what_has_stamps_that_are_repaired_is_not_cut(stamps: tuple[int, ...], tmp_path: Path) -> None:
    """The whole file, and nothing less, knows the frames that they are repaired by."""
    assert cut(str(write_stamps(tmp_path / "a.mkv", stamps)), CONFIG, seconds=0.1) == ()


def test_what_has_stamps_of_decoding_only_is_not_cut(tmp_path: Path) -> None:
    path = write_people(tmp_path / "b.mp4", options=B_FRAMES)
    with av.open(str(path)) as video, av.open(str(tmp_path / "a.mkv"), "w") as other:
        stream = other.add_stream_from_template(video.streams.video[0])
        for packet in video.demux(video=0):
            if packet.size:
                packet.pts, packet.stream = packet.dts, stream
                other.mux(packet)
    assert cut(str(tmp_path / "a.mkv"), CONFIG, seconds=0.4) == ()


@pytest.mark.parametrize("options", [TEN, B_FRAMES])
def test_a_recording_of_watch_is_cut(options: dict[str, str], tmp_path: Path) -> None:
    with av.open(str(write_people(tmp_path / "camera.ts", options=options))) as camera:
        layout = Layout({0: camera.streams.video[0]})
        file = SegmentFile(tmp_path, segment_name("door", START, layout.ending), layout=layout, started=START)
        for packet in camera.demux(video=0):
            file.write(packet, START)
        file.close()
    with open_source(str(file.path)) as source:
        whole = shown(source)
    assert by_segments(file.path, seconds=0.7) == whole
    assert len(whole) == 60


def test_planning_can_be_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(SourceError, match="stopped"):
        cut(str(write_people(tmp_path / "a.mp4", frames=10)), CONFIG, seconds=0.4, stop=stop)


def test_segments_cover_all_frames_once(tmp_path: Path) -> None:
    segments = cut(str(write_people(tmp_path / "a.mp4", options=OPEN_GOP)), CONFIG, seconds=0.4)
    assert segments[0].first_frame == 0
    assert [one.first_frame + one.frames for one in segments] == [*(one.first_frame for one in segments[1:]), 60]
    assert [one.end_stamp for one in segments] == [*(one.key_stamp for one in segments[1:]), None]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.h264", "libx264"), ("a.ts", "libx264")])
def test_what_cannot_be_sought_exactly_is_not_cut(name: str, codec: str, tmp_path: Path) -> None:
    assert cut(str(write_people(tmp_path / name, codec=codec, options=TEN)), CONFIG, seconds=0.4) == ()


def test_a_frame_that_cannot_be_decoded_is_missed_at_its_number(tmp_path: Path) -> None:
    path = damage(write_people(tmp_path / "a.mkv", options=TEN), every=7, after=0.5)
    missing = seen = 0
    for segment in cut(str(path), CONFIG, seconds=0.4):
        with SegmentSource("clip", str(path), CONFIG, segment) as source:
            numbers = {frame.index for frame in source}
            absent = dict(source.absent(numbers))
        assert numbers | set(absent) == set(range(segment.first_frame, segment.first_frame + segment.frames))
        missing, seen = missing + len(absent), seen + len(numbers)
    assert seen + missing == 60


@pytest.mark.parametrize(
    ("name", "options", "every"),
    [("a.mkv", TEN, 7), ("a.mp4", OPEN_GOP, 7), ("b.mp4", B_FRAMES, 7), ("shown early.mp4", B_FRAMES, 6)],
)
def test_after_damage_numbers_and_times_are_those_of_the_whole(
    name: str, options: dict[str, str], every: int, tmp_path: Path
) -> None:
    path = damage(write_people(tmp_path / name, options=options), every=every)
    found = []
    for segment in cut(str(path), CONFIG, seconds=0.4):
        with SegmentSource("clip", str(path), CONFIG, segment) as source:
            found += [(frame.index, frame.time_seconds) for frame in source]
    with open_source(str(path)) as source:
        whole = [(frame.index, frame.time_seconds) for frame in source]
    assert found == whole
    assert len(whole) < whole[-1][0] + 1 == 60
    with open_source(str(path), SourceConfig(start_seconds=0.6)) as source:
        assert [(frame.index, frame.time_seconds) for frame in source] == [one for one in whole if one[1] >= 0.6]


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    path = write_people(tmp_path / "a.mp4", options=TEN)
    last = cut(str(path), CONFIG, seconds=0.4)[-1]
    write_people(path, frames=40, options=TEN)
    with pytest.raises(SourceError, match="changed since it was planned"):
        SegmentSource("clip", str(path), CONFIG, last)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_share_that_goes_away_makes_no_video_shorter(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libav takes a read that fails for the end of the file."""
    path = write_people(tmp_path / name, options=TEN)
    segments = cut(str(path), CONFIG, seconds=0.4)
    monkeypatch.setattr("humandetect.media.sources.segments.open_file", open_going)
    if name == "a.mp4":  # whose pictures are not read
        assert cut(str(path), CONFIG, seconds=0.4) == segments
    else:
        with pytest.raises(SourceError, match="reading failed: Stale file handle"):
            cut(str(path), CONFIG, seconds=0.4)
    there, gone = segments[0], segments[len(segments) // 2]
    with SegmentSource("clip", str(path), CONFIG, there) as source:
        assert len(shown(source)) == there.frames
    with (
        pytest.raises(SourceError, match="reading failed: Stale file handle"),
        SegmentSource("clip", str(path), CONFIG, gone) as source,
    ):
        shown(source)
