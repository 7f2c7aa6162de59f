"""Files as recorders and cutters make them: pixels that are not square, hidden frames, fields, late pictures."""

from __future__ import annotations

import struct
import time
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import av
import cv2
import pytest
from av.video.frame import PictureType

from humandetect.config import SourceConfig
from humandetect.media.frames import DetectedFrame
from humandetect.media.sinks.crops import CropsSink
from humandetect.media.sinks.video import VideoSink
from humandetect.media.sources import open_source
from humandetect.media.sources.clock import Clock, PacketTurns
from humandetect.media.sources.h264_fields import may_have_fields
from humandetect.media.sources.seeking import plan_start, seek
from tests.builders import make_clip, people
from tests.media.clips import PAL_WIDE, cut, late_pictures, turn, write_anamorphic, write_dhav, write_fields

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from humandetect.media.sources import Source
    from humandetect.media.sources.libav import VideoSource


def written(source: Path, target: Path, config: SourceConfig | None = None) -> Source:
    with open_source(str(source), config, audio=True) as opened:
        with VideoSink(target, opened.info, audio=opened.audio, tags=opened.tags) as sink:
            for frame in opened:
                sink.write(DetectedFrame(frame, people([])))
        return opened


@pytest.mark.parametrize(
    ("ending", "options"),
    [(".mp4", {}), (".mkv", {}), (".mpg", {"codec": "mpeg2video", "size": (720, 576)})],
)
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, ending: str, options: dict[str, Any]) -> None:
    source = write_anamorphic(tmp_path / f"in{ending}", **options)
    written(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert video.streams.video[0].sample_aspect_ratio == PAL_WIDE


def test_they_turn_with_the_picture(tmp_path: Path) -> None:
    source = turn(write_anamorphic(tmp_path / "in.mp4"), (0, 1, -1, 0))
    written(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (58, 72, 1 / PAL_WIDE)


def test_crops_are_as_wide_as_people_are_shown(tmp_path: Path) -> None:
    with open_source(str(write_anamorphic(tmp_path / "in.mp4"))) as source, CropsSink(tmp_path / "crops") as sink:
        sink.write(DetectedFrame(next(iter(source)), people([(10, 5, 55, 45)])))
    (crop,) = (tmp_path / "crops").iterdir()
    assert cast("np.ndarray", cv2.imread(str(crop))).shape[:2] == (40, 64)


@pytest.mark.parametrize("claim", [Fraction(1, 100), Fraction(100)])
def test_an_absurd_shape_of_pixels_is_not_believed(tmp_path: Path, claim: Fraction) -> None:
    with open_source(str(write_anamorphic(tmp_path / "in.mp4", claim))) as source:
        assert next(iter(source)).pixel_aspect == 1


def hide_all_but_the_end(path: Path, *, seconds: int, of: int) -> Path:
    """Write an edit list that shows the last seconds of an MP4, as trimming without encoding does."""
    make_clip(path, frames=10 * of, fps=10, gop=20)
    data = bytearray(path.read_bytes())
    scale = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    at = data.index(b"elst") + 12
    data[at : at + 8] = struct.pack(">Ii", seconds * 1000, (of - seconds) * scale)
    for name, offset in ((b"tkhd", 24), (b"mvhd", 20)):
        at = data.index(name) + offset
        data[at : at + 4] = struct.pack(">I", seconds * 1000)
    path.write_bytes(data)
    return path


def test_what_an_edit_list_hides_is_not_missing(tmp_path: Path) -> None:
    with open_source(str(hide_all_but_the_end(tmp_path / "in.mp4", seconds=2, of=8))) as source:
        assert len(list(source)) == 20
        assert source.warnings == []


def test_what_an_edit_list_hides_behind_an_empty_edit_is_not_missing(tmp_path: Path) -> None:
    make_clip(tmp_path / "even.mp4", frames=30, fps=10, gop=5)
    with av.open(str(tmp_path / "even.mp4")) as source, av.open(str(tmp_path / "in.mp4"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                late = round(2 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + late, packet.dts + late, stream
                out.mux(packet)
    data = bytearray((tmp_path / "in.mp4").read_bytes())
    scale = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    second = data.index(b"elst") + 24
    data[second : second + 8] = struct.pack(">Ii", 2000, scale)  # the first second is hidden
    (tmp_path / "in.mp4").write_bytes(data)
    with open_source(str(tmp_path / "in.mp4")) as opened:
        assert len(list(opened)) == 20
        assert opened.warnings == []


@pytest.mark.parametrize(("ending", "options"), [(".mp4", {"movflags": "+faststart"}), (".avi", {})])
def test_a_file_that_was_cut_off_is_told_with_the_frames_that_it_should_have(
    tmp_path: Path, ending: str, options: dict[str, Any]
) -> None:
    path = make_clip(tmp_path / f"in{ending}", frames=80, fps=10, **options)
    with open_source(str(cut(path, 0.6))) as source:
        frames = len(list(source))
        assert f"only {frames} of 80 frames could be read: the file is cut off or damaged" in source.warnings


def packets(count: int) -> list[Any]:
    """Every fourth picture is a key frame; each comes as two fields."""
    return [
        SimpleNamespace(
            size=1, pos=number, pts=20 * number, dts=20 * number, is_keyframe=number % 8 in (0, 1), is_discard=False
        )
        for number in range(2 * count)
    ]


def test_two_fields_are_one_frame_where_reading_begins_later() -> None:
    stream: Any = SimpleNamespace(codec_context=SimpleNamespace(name="h264"), time_base=Fraction(1, 1000))
    media: Any = SimpleNamespace(
        seekable=True, guesses_stamps=False, times_packets=False,
        container=SimpleNamespace(demux=lambda _: packets(40)),
    )  # fmt: skip
    plan = plan_start(media, stream, Fraction(1), step=40)
    assert plan is not None
    assert plan.key_stamp == 960, "the first field of the last key frame before 1 s"
    pictures: Any = [SimpleNamespace(pts=960), SimpleNamespace(pts=1000), SimpleNamespace(pts=1040)]
    assert [plan.index_of(picture) for picture in pictures] == [24, 25, None], "the third follows the second"


@pytest.mark.parametrize(("place", "meant"), [(900, True), (500, False), (None, True)])
def test_a_key_frame_of_the_same_stamp_in_a_later_one_of_joined_recordings_is_not_meant(
    place: int | None, meant: bool
) -> None:
    key = SimpleNamespace(is_keyframe=True, pts=100, dts=100, pos=900)
    container = SimpleNamespace(seek=lambda *_, **__: None, demux=lambda _: iter([key]))
    media: Any = SimpleNamespace(times_packets=False, container=container)
    assert seek(media, cast("Any", None), 100, place) is meant


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    "whole",
    [
        lambda number: number % 4 == 3,
        lambda number: number % 2 == 0,
        lambda number: number < 6,
        lambda number: number != 9,
    ],
    ids=["some", "every second", "the first", "all but one"],
)
def test_frames_of_which_some_come_in_two_fields_have_one_number_wherever_reading_begins(
    tmp_path: Path, ending: str, whole: Callable[[int], bool]
) -> None:
    """As broadcasts choose picture by picture; those that come whole may not say that they are interlaced."""
    source = write_fields(tmp_path / f"in{ending}", 30, whole=whole)
    with open_source(str(source)) as opened:
        assert opened.info.fps == pytest.approx(25)
        assert opened.info.frame_count == 30
        assert not cast("VideoSource", opened).is_progressive, "no place to cut"
        assert [frame.index for frame in opened] == list(range(30))
    with open_source(str(source), SourceConfig(start_seconds=0.8)) as opened:
        assert next((frame.index, round(frame.time_seconds, 3)) for frame in opened) == (20, 0.8)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"x264-params": "log-level=none"}, False),
        ({"x264-params": "interlaced=1:log-level=none"}, True),
        ({"x264-params": "cqm=jvt:log-level=none"}, False),
        ({"x264-params": "cqm=jvt:tff=1:log-level=none"}, True),
        ({"profile": "baseline"}, False),
    ],
)
@pytest.mark.parametrize("ending", [".mp4", ".ts"])
def test_a_stream_that_may_code_fields_says_so_before_its_first_picture(
    tmp_path: Path, ending: str, options: dict[str, str], told: bool
) -> None:
    with av.open(str(tmp_path / f"in{ending}"), "w") as out:
        video = out.add_stream("libx264", rate=25, options=options)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        out.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(video.encode(None))
    with av.open(str(tmp_path / f"in{ending}")) as written_so:
        extradata = written_so.streams.video[0].codec_context.extradata
    assert may_have_fields(extradata) is told
    assert not may_have_fields(bytes(extradata or b"")[:8]), "damaged"


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_frames_of_two_fields_have_one_number_wherever_reading_begins(tmp_path: Path, ending: str) -> None:
    source = write_fields(tmp_path / f"in{ending}", 30)
    with open_source(str(source)) as opened:
        assert opened.info.fps == 25
        assert opened.info.frame_count == 30
        assert not cast("VideoSource", opened).is_progressive, "no place to cut"
        frames = list(opened)
    assert [frame.index for frame in frames] == list(range(30))
    if ending != ".mkv":  # which says nothing of most
        assert [frame.duration_seconds for frame in frames] == [pytest.approx(0.04)] * 30
    with open_source(str(source), SourceConfig(start_seconds=0.8)) as opened:
        first = next(iter(opened))
        assert first.index == 20
        assert first.time_seconds == pytest.approx(0.8)


def test_pictures_that_begin_after_the_sound_have_the_time_at_which_they_come(tmp_path: Path) -> None:
    source = late_pictures(tmp_path / "in.mkv", 3.0)
    with open_source(str(source)) as opened:
        assert next(iter(opened)).time_seconds == pytest.approx(3.2, abs=0.05), "0.2 s are the encoder's"
    with open_source(str(source), SourceConfig(start_seconds=4.0)) as opened:
        first = next(iter(opened))
        assert first.index == 8
        assert first.time_seconds == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_the_last_frame_lasts_as_long_as_the_file_says(tmp_path: Path, ending: str) -> None:
    """A screen recording has one picture for as long as nothing moves."""
    make_clip(tmp_path / "even.mp4", frames=5, fps=10, codec="mpeg4")
    with av.open(str(tmp_path / "even.mp4")) as source, av.open(str(tmp_path / f"in{ending}"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        all_packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet in all_packets:
            if packet is all_packets[-1]:
                packet.duration = round(17 / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    assert written(tmp_path / f"in{ending}", tmp_path / "out.mp4").warnings == [], "nothing is missing"
    with av.open(str(tmp_path / "out.mp4")) as video:
        stream = video.streams.video[0]
        assert float(cast("int", stream.duration) * (stream.time_base or 0)) == pytest.approx(17.4, abs=0.01)


def test_a_recorders_export_is_read_and_lasts_as_long_as_its_pictures_though_it_tells_no_length(tmp_path: Path) -> None:
    written(write_dhav(tmp_path / "in.dav", 20), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.frames == 20
        assert float(cast("int", stream.duration) * (stream.time_base or 0)) == pytest.approx(0.8)


@pytest.mark.parametrize("jump", [30, -1750])
def test_live_stamps_far_from_their_arrival_are_those_of_a_new_clock(
    jump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humandetect.media.sources.clock.time", SimpleNamespace(monotonic=lambda: 100.5))
    clock = Clock(time_base=Fraction(1), origin=Fraction(5000), rate=Fraction(25), live_since=0.0)
    stamps = [5099, 5100, 5101 + jump, 5102 + jump, 5103 + jump]
    times = [clock.seconds(cast("Any", SimpleNamespace(pts=stamp, dts=stamp))) for stamp in stamps]
    assert times[:2] == [99, 100]
    assert 100 < times[2] < 101
    assert times[3:] == pytest.approx([times[2] + 1, times[2] + 2])
    assert clock.repaired == 1


def test_a_first_picture_without_a_stamp_takes_its_time_and_is_no_fault() -> None:
    """As all RTSP cameras send it, whose first stamp says nothing yet."""
    clock = Clock(time_base=Fraction(1, 10), origin=None, rate=Fraction(10), live_since=time.monotonic())
    stamps = [None, 2, 3, 4]
    times = [clock.seconds(cast("Any", SimpleNamespace(pts=stamp, dts=stamp))) for stamp in stamps]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3])
    assert clock.repaired == 0


def test_stamps_that_a_demuxer_makes_up_give_way_to_the_time_of_arrival() -> None:
    since = time.monotonic()
    clock = Clock(time_base=Fraction(1, 25), origin=Fraction(0), rate=Fraction(25), live_since=since, invented=True)
    pictures: Any = [SimpleNamespace(pts=number, dts=number) for number in range(2)]
    assert clock.seconds(pictures[0]) == 0
    time.sleep(0.2)
    assert 0.2 <= clock.seconds(pictures[1]) <= time.monotonic() - since


def write_tagged(path: Path) -> Path:
    make_clip(path.with_name("plain.mp4"), audio="aac")
    with av.open(str(path.with_name("plain.mp4"))) as source, av.open(str(path), "w") as out:
        out.metadata.update(title="Gate 3", creation_time="2024-05-06T07:08:09Z", location="+52.5200+013.4050/")
        streams = [out.add_stream_from_template(stream) for stream in source.streams]
        streams[1].metadata.update(language="deu", title="Comments")
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    return path


def test_what_telephones_of_apple_say_under_names_of_their_own_goes_along(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "plain.mp4", frames=2)
    with (
        av.open(str(path)) as source,
        av.open(str(tmp_path / "in.mov"), "w", options={"movflags": "use_metadata_tags"}) as out,
    ):
        apples = {"location.ISO6709": "+48.1000+011.5000+500/", "creationdate": "2024-01-02T03:04:05+0100"}
        out.metadata.update({f"com.apple.quicktime.{name}": value for name, value in apples.items()})
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    written(tmp_path / "in.mov", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert video.metadata["location"].startswith("+48.1000+011.5000")
        assert video.metadata["creation_time"] == "2024-01-02T02:04:05.000000Z"


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("wanted", [True, False])
def test_what_a_file_says_of_what_it_shows_goes_along_unless_it_should_not(
    tmp_path: Path, ending: str, wanted: bool
) -> None:
    with open_source(str(write_tagged(tmp_path / "in.mp4")), audio=True) as source:
        tags = source.tags if wanted else None
        with VideoSink(tmp_path / f"out{ending}", source.info, audio=source.audio, tags=tags) as sink:
            for frame in source:
                sink.write(DetectedFrame(frame, people([])))
    with av.open(str(tmp_path / f"out{ending}")) as video:
        said = {name.lower(): value for name, value in video.metadata.items()}
        assert said.get("title") == ("Gate 3" if wanted else None)
        assert said.get("creation_time", "")[:19] == ("2024-05-06T07:08:09" if wanted else "")
        assert said.get("location", "").startswith("+52.52") is wanted
        of_sound = video.streams.audio[0].metadata
        assert of_sound.get("language", "und") == ("deu" if wanted else "und")
        assert of_sound.get("title", of_sound.get("name")) == ("Comments" if wanted else None)


def test_an_avi_shows_pictures_in_the_turns_of_its_packets_though_they_are_coded_in_another_order(
    tmp_path: Path,
) -> None:
    path = make_clip(tmp_path / "in.avi", audio="libmp3lame", frames=30)
    with av.open(str(path)) as clip:
        assert any(picture.pict_type == PictureType.B for picture in clip.decode(video=0))
    with open_source(str(path)) as source:
        times = [frame.time_seconds for frame in source]
        assert source.warnings == []
    assert times == pytest.approx([number / 10 for number in range(30)])
    with open_source(str(path), SourceConfig(start_seconds=2)) as source:
        assert [frame.index for frame in source] == list(range(20, 30))


def test_packets_that_give_no_picture_take_turns_of_none_beyond_the_next_key_frame() -> None:
    turns = PacketTurns()
    for number in range(12):
        turns.came(cast("Any", SimpleNamespace(dts=number, is_keyframe=number % 6 == 3)))
        if number == 5:
            turns.drop_latest()
    shown: Any = [SimpleNamespace(key_frame=key) for key in (True, False, True, False, False)]
    assert [turns.next(picture) for picture in shown] == [3, 4, 9, 10, 11]


def begun_late(path: Path, *, packets: int, **options: Any) -> Path:
    """Write a clip of 60 pictures with a key frame in 12, and take its first packets away."""
    make_clip(path, frames=60, gop=12, **options)
    with av.open(str(path)) as clip:
        places = [(packet.pos, packet.size) for packet in clip.demux(video=0) if packet.size]
    data, raw = path.read_bytes(), path.suffix == ".264"
    begin = 0 if raw else places[0][0]
    path.write_bytes(data[:begin] + data[sum(size for _, size in places[:packets]) if raw else places[packets][0] :])
    return path


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_a_recording_that_begins_inside_a_group_of_pictures_says_what_it_loses(tmp_path: Path, codec: str) -> None:
    path = begun_late(tmp_path / "in.ts", packets=6, codec=codec)
    with open_source(str(path)) as source:
        frames = list(source)
        lost = 54 - len(frames)
        assert lost in (6, 7)
        assert source.warnings == [f"it begins inside a group of pictures: its first {lost} frames cannot be decoded"]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    with open_source(str(path), SourceConfig(start_seconds=3)) as source:
        later = [(frame.index, frame.time_seconds) for frame in source]
        assert later == [(frame.index, frame.time_seconds) for frame in frames if frame.time_seconds >= 3]
        assert source.warnings == []


def test_one_without_timestamps_does_too(tmp_path: Path) -> None:
    with open_source(str(begun_late(tmp_path / "in.264", packets=6))) as source:
        assert "its first 7 frames cannot be decoded" in source.warnings[0]
        assert len(list(source)) == 47


@pytest.mark.parametrize(("leap", "expected"), [(30, [0, 0.5, 1, 1.5, 2]), (5, [0, 0.5, 1, 6.5, 7])])
def test_a_cameras_clock_that_is_set_ahead_takes_nobody_along(
    monkeypatch: pytest.MonkeyPatch, leap: float, expected: list[float]
) -> None:
    """A few seconds more than have passed are those of packets that were late, or lost."""
    arrivals = iter([0.5, 1.0, 1.5, 2.0, 2.5])
    monkeypatch.setattr("humandetect.media.sources.clock.time", SimpleNamespace(monotonic=lambda: next(arrivals)))
    clock = Clock(time_base=Fraction(1, 10), origin=Fraction(0), rate=None, live_since=0.0)
    stamps = [0, 5, 10, 15 + 10 * leap, 20 + 10 * leap]
    times = [clock.seconds(cast("Any", SimpleNamespace(pts=stamp, dts=stamp))) for stamp in stamps]
    assert times == pytest.approx(expected)
