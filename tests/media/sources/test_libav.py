"""Promises of reading video: order, times, colours, rotation, parts, damage."""

from __future__ import annotations

import gc
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from humandetect.config import SourceConfig
from humandetect.errors import SourceError
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import Source, open_source
from humandetect.media.sources.decoding import orientation_of, to_bgr
from tests.archive.clips import INTRA_REFRESH, write_people
from tests.builders import make_clip, picture
from tests.media.clips import cut, damage, fast_start, turn, write_frames, write_stamps

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.media.frames import Frame


def read(path: Path, config: SourceConfig | None = None) -> tuple[list[Frame], Source]:
    with open_source(str(path), config) as source:
        return list(source), source


def shades(frames: list[Frame]) -> list[int]:
    """The numbers that make_clip wrote into the frames."""
    return [round(float(frame.image[..., 2].mean()) / 8) for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv444p"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.mkv", "libx265", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.flv", "libx264", "yuv420p"),
        ("a.mpg", "mpeg2video", "yuv420p"),
        ("a.asf", "wmv2", "yuv420p"),
        ("a.nut", "ffv1", "yuv422p"),
        ("a.y4m", "wrapped_avframe", "yuv420p"),
        ("a.h264", "libx264", "yuv420p"),
        ("a.hevc", "libx265", "yuv420p"),
        ("a.mjpeg", "mjpeg", "yuvj420p"),
        ("a.gif", "gif", "rgb8"),
    ],
)
def test_every_common_format_gives_all_frames_in_order(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    fps = 25 if codec == "mpeg2video" else 10
    frames, source = read(make_clip(tmp_path / name, codec=codec, pix_fmt=pix_fmt, fps=fps))
    assert [frame.index for frame in frames] == list(range(20))
    found = shades(frames)
    assert found == sorted(found)
    assert np.abs(np.array(found) - np.arange(20)).max() <= 3
    assert frames[0].time_seconds == 0
    assert (source.info.width, source.info.height, source.info.kind) == (64, 48, "video")
    assert all(frame.image.flags.c_contiguous and frame.image.flags.writeable for frame in frames)


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_frames_of_a_program_stream_are_the_same_after_a_later_start(tmp_path: Path, codec: str) -> None:
    path = make_clip(tmp_path / "a.mpg", frames=60, gop=12, codec=codec, fps=25)
    whole, _ = read(path)
    part, _ = read(path, SourceConfig(start_seconds=1.99))
    assert [(frame.index, frame.time_seconds) for frame in part] == [(f.index, f.time_seconds) for f in whole[50:]]
    assert shades(part) == shades(whole[50:])


def test_large_jpegs_one_after_the_other_are_no_single_one(tmp_path: Path) -> None:
    """A small one shows the next within what libav looks at."""
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    (tmp_path / "a.mjpeg").write_bytes(encode_jpeg(noise) * 3)
    frames, _ = read(tmp_path / "a.mjpeg")
    assert len(frames) == 3


def test_pixels_are_exact_and_belong_to_the_frame(tmp_path: Path) -> None:
    images = [picture(66, 50, shade=shade) for shade in (0, 100, 200)]
    frames, _ = read(write_frames(tmp_path / "a.mkv", images))
    for frame in frames:
        frame.image[:5] = 7
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.image[5:], image[5:])


def test_drawing_on_a_frame_does_not_reach_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "raw.avi"
    make_clip(path, codec="rawvideo", pix_fmt="bgr24", frames=3)
    with open_source(str(path)) as source:
        for index, frame in enumerate(source):
            np.testing.assert_array_equal(frame.image, picture(shade=index * 8))
            frame.image[:] = 255


@pytest.mark.parametrize("size", [(65, 49), (63, 47), (2, 2)])
def test_odd_sizes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    frames, source = read(make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p", width=width, height=height))
    assert (source.info.width, source.info.height) == size
    assert {frame.image.shape for frame in frames} == {(height, width, 3)}


@pytest.mark.parametrize(("space", "color_range"), [(1, 1), (5, 1), (5, 2), (1, 2)])
def test_colour_matrix_and_range_are_obeyed(tmp_path: Path, space: int, color_range: int) -> None:
    """The same red in BT.709 or BT.601, video or full range, must come out as red."""
    path = tmp_path / "red.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv444p"
        video.codec_context.colorspace, video.codec_context.color_range = space, color_range
        red = av.VideoFrame.from_ndarray(np.full((48, 64, 3), (30, 40, 220), np.uint8), format="bgr24")
        coded = red.reformat(format="yuv444p", dst_colorspace=space, dst_color_range=color_range)
        out.mux(video.encode(coded))
        out.mux(video.encode(None))
    (frame,), _ = read(path)
    np.testing.assert_allclose(frame.image[20, 20], (30, 40, 220), atol=4)


QUARTERS: dict[tuple[bool, bool], tuple[int, int, int]] = {
    (False, False): (255, 0, 0),
    (False, True): (0, 255, 0),
    (True, False): (0, 0, 255),
    (True, True): (255, 255, 255),
}


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
    ],
)
def test_display_matrix_is_applied(tmp_path: Path, matrix: tuple[int, int, int, int], turned: object) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    for (low, right), colour in QUARTERS.items():
        image[24 * low : 24 * low + 24, 32 * right : 32 * right + 32] = colour
    path = turn(write_frames(tmp_path / "a.mp4", [image]), matrix)
    (frame,), source = read(path)
    np.testing.assert_array_equal(frame.image, turned(image))  # type: ignore[operator]
    assert (source.info.height, source.info.width) == frame.image.shape[:2]


def test_times_are_the_containers_own(tmp_path: Path) -> None:
    frames, source = read(write_stamps(tmp_path / "vfr.mkv", [5000, 5040, 5500, 7123]))
    assert [frame.time_seconds for frame in frames] == [0, 0.04, 0.5, 2.123]
    assert source.warnings == []


def test_info_tells_rate_ticks_and_count(tmp_path: Path) -> None:
    with open_source(str(make_clip(tmp_path / "a.mp4"))) as source:
        assert source.info.fps == Fraction(10)
        assert source.info.time_base == Fraction(1, 10240)
        assert source.info.frame_count == 20


PARTS: list[tuple[float, float | None, int | None, range]] = [
    (0, None, 3, range(3)),
    (0, 0.5, None, range(5)),
    (0.7, None, None, range(7, 20)),
    (0.7, 0.5, 2, range(7, 9)),
    (0.65, 0.2, None, range(7, 9)),
    (1.9, None, None, range(19, 20)),
]
"""Start, duration and limit, and the numbers of the frames that they give."""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.h264"])
def test_a_part_is_the_same_as_that_part_of_the_whole(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name == "a.avi" else "libx264"
    path = make_clip(tmp_path / name, codec=codec)
    whole, _ = read(path)
    assert len(whole) == 20
    for start, duration, limit, expected in PARTS:
        config = SourceConfig(start, duration, limit)
        frames, _ = read(path, config)
        assert [frame.index for frame in frames] == list(expected), config
        for frame in frames:
            assert frame.time_seconds == whole[frame.index].time_seconds
            np.testing.assert_array_equal(frame.image, whole[frame.index].image)


@pytest.mark.parametrize("start", [2.0, 3.6, 8.0])
def test_a_part_of_several_recordings_joined_has_the_numbers_and_times_of_the_whole(
    tmp_path: Path, start: float
) -> None:
    path = make_clip(tmp_path / "a.ts", frames=60, gop=10)
    path.write_bytes(path.read_bytes() * 2)
    whole, _ = read(path)
    frames, _ = read(path, SourceConfig(start))
    assert [frame.index for frame in whole] == list(range(120))
    assert [(frame.index, frame.time_seconds) for frame in frames] == [
        (frame.index, frame.time_seconds) for frame in whole if frame.time_seconds >= start
    ]


def test_expected_frames_follow_the_wanted_part(tmp_path: Path) -> None:
    path = str(make_clip(tmp_path / "a.mp4"))
    for config, count in [
        (SourceConfig(start_seconds=0.5), 15), (SourceConfig(duration_seconds=0.5), 5),
        (SourceConfig(limit=3), 3), (SourceConfig(start_seconds=9), 0),
    ]:  # fmt: skip
        with open_source(path, config) as source:
            assert source.info.frame_count == count


def test_a_late_start_decodes_only_from_the_key_frame_before(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=100, gop=10)
    with open_source(str(path), SourceConfig(start_seconds=9.5)) as source:
        decoder = source._decoder  # type: ignore[attr-defined]
        assert [frame.index for frame in source] == [95, 96, 97, 98, 99]
        assert decoder.packets < 10 + 5  # less than a group of pictures before the first of the five


def test_a_late_start_misses_nothing_where_no_key_frame_is_a_picture_of_its_own(tmp_path: Path) -> None:
    path = write_people(tmp_path / "a.mp4", options=INTRA_REFRESH)
    whole, _ = read(path)
    frames, _ = read(path, SourceConfig(start_seconds=1.25))
    assert [frame.index for frame in frames] == list(range(32, 60))
    np.testing.assert_array_equal(frames[0].image, whole[32].image)


def test_what_an_early_end_does_not_need_is_not_read(tmp_path: Path) -> None:
    with open_source(str(make_clip(tmp_path / "a.mp4", frames=200)), SourceConfig(limit=2)) as source:
        assert len(list(source)) == 2
        assert source._decoder.packets < 20  # type: ignore[attr-defined]


def test_a_start_after_the_end_gives_no_frame_and_says_so(tmp_path: Path) -> None:
    frames, source = read(make_clip(tmp_path / "a.mp4"), SourceConfig(start_seconds=60))
    assert frames == []
    assert source.warnings == ["no frame at or after 60 s: the video has 20 frames"]


def test_repeated_and_backward_timestamps_are_repaired_and_counted(tmp_path: Path) -> None:
    # AVI keeps no timestamps of its own, MPEG-TS any; MJPEG in NUT keeps what it is given as long as dts grows.
    from humandetect.media.sources.clock import Clock

    stamps = [0, 100, 100, 200, 150, 300, 90_000_000_000, 90_000_000_100]
    clock = Clock(time_base=Fraction(1, 1000), origin=None, rate=Fraction(10))
    times = []
    for stamp in stamps:
        image = av.VideoFrame(8, 8)
        image.pts = stamp
        times.append(clock.seconds(image))
    assert times == sorted(set(times))
    assert times[:2] == [0, 0.1]
    assert times[3] == 0.2
    assert times[-1] == pytest.approx(times[-2] + 0.1)
    assert clock.repaired == 3


def test_a_clock_that_stands_still_moves_on_by_whole_frames() -> None:
    from humandetect.media.sources.clock import Clock

    clock = Clock(time_base=Fraction(1, 1000), origin=Fraction(0), rate=None)
    image = av.VideoFrame(8, 8)
    image.pts = 0
    times = [clock.seconds(image) for _ in range(5)]
    np.testing.assert_allclose(np.diff(times)[1:], 0.04)


@pytest.mark.parametrize("kind", ["interlaced=0", "interlaced=1"])
def test_frames_without_timestamps_are_placed_by_the_rate_that_the_stream_states(tmp_path: Path, kind: str) -> None:
    """As recorders write .264 and .h265."""
    path = tmp_path / "a.h264"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=10, options={"x264-params": kind})
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            out.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(video.encode(None))
    frames, source = read(path)
    np.testing.assert_allclose([frame.time_seconds for frame in frames], [0, 0.1, 0.2, 0.3, 0.4])
    assert source.info.fps == 10
    assert source.warnings == ["5 frames without a timestamp; placed at 10 a second"]


@pytest.mark.parametrize("rate", [Fraction(90000), Fraction(1, 1000)])
def test_absurd_rates_are_not_believed(tmp_path: Path, rate: Fraction) -> None:
    from humandetect.media.sources.clock import believable_rate

    stream: Any = SimpleNamespace(average_rate=rate, guessed_rate=None, time_base=1 / rate)
    first: Any = SimpleNamespace(pts=None, duration=1)
    assert believable_rate(stream, first) is None


def test_a_truncated_video_gives_all_it_has_and_a_warning_with_numbers(tmp_path: Path) -> None:
    path = cut(fast_start(tmp_path / "a.mp4", frames=100, width=320, height=240), 0.5)
    frames, source = read(path)
    assert 20 < len(frames) < 80
    assert source.warnings[0] == f"only {len(frames)} of 100 frames could be read: the file is cut off or damaged"
    assert source.failures == []


def test_a_truncated_matroska_file_is_noticed_by_its_duration(tmp_path: Path) -> None:
    frames, source = read(cut(make_clip(tmp_path / "a.mkv", frames=100), 0.6))
    assert 0 < len(frames) < 90
    assert "100 frames could be read" in source.warnings[0]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_damaged_packets_are_passed_and_counted(tmp_path: Path, name: str) -> None:
    path = fast_start(
        tmp_path / name, frames=60, width=320, height=240, codec="mpeg4" if name == "a.avi" else "libx264"
    )
    frames, source = read(damage(path))
    said = f"{len(frames)} frames, {source.warnings}"
    assert len(frames) > 20, said
    assert any("damaged" in warning for warning in source.warnings), said


def test_packets_that_give_no_picture_do_not_stop_the_rest(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p")
    data = path.read_bytes()
    third = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"][2]
    size = data.index(b"\xff\xd9", third) - third
    path.write_bytes(data[:third] + bytes(size) + data[third + size :])
    frames, source = read(path)
    assert len(frames) == 19
    assert source.warnings == ["1 damaged packet skipped or repaired"]


def test_a_whole_video_gives_no_warning(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.ts", "a.avi"):
        _, source = read(make_clip(tmp_path / name, codec="mpeg4" if name == "a.avi" else "libx264"))
        assert source.warnings == [], name


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    frames, source = read(make_clip(tmp_path / "a.mp4", frames=1))
    assert [frame.index for frame in frames] == [0]
    assert source.info.frame_count == 1


def test_a_change_of_size_in_mid_stream_is_followed(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.h264", frames=5)
    large = make_clip(tmp_path / "large.h264", frames=5, width=128, height=96)
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    frames, _ = read(path)
    assert [frame.image.shape[:2] for frame in frames] == [(48, 64)] * 5 + [(96, 128)] * 5


def test_sound_may_be_the_first_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    original = make_clip(tmp_path / "b.mkv", audio="aac")
    with av.open(str(original)) as source, av.open(str(path), "w") as out:
        streams: dict[int, av.AudioStream | av.VideoStream] = {}
        for stream in (source.streams.audio[0], source.streams.video[0]):
            streams[stream.index] = out.add_stream_from_template(stream)
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    frames, _ = read(path)
    assert len(frames) == 20


def test_the_largest_of_several_video_streams_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = []
        for width in (32, 64):
            video = out.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = width, width, "yuv420p"
            streams.append(video)
        for index in range(5):
            for video in streams:
                image = picture(video.width, video.height, shade=index)
                out.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        for video in streams:
            out.mux(video.encode(None))
    frames, source = read(path)
    assert {frame.image.shape for frame in frames} == {(64, 64, 3)}
    assert source.warnings == ["2 video streams; stream 1 (64 x 64) was read"]


def test_a_huge_video_is_refused_when_opened(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=1, width=640, height=480)
    with pytest.raises(SourceError, match=r"640 x 480 pixels is too large \(limit 0.2 megapixels\)"):
        open_source(str(path), SourceConfig(max_megapixels=0.2))


def test_closing_early_and_twice_is_fine(tmp_path: Path) -> None:
    source = open_source(str(make_clip(tmp_path / "a.mp4")))
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    assert list(source) == []


def test_a_picture_that_nobody_holds_is_gone_without_the_garbage_collector(tmp_path: Path) -> None:
    gc.collect()
    gc.disable()
    held_before = {id(held) for held in gc.get_objects() if isinstance(held, av.VideoFrame)}
    try:
        with av.open(str(make_clip(tmp_path / "a.mp4"))) as clip:
            for decoded in clip.decode(video=0):
                to_bgr(decoded, orientation_of(decoded))
            del decoded
        held = [held for held in gc.get_objects() if isinstance(held, av.VideoFrame) and id(held) not in held_before]
        assert not held
    finally:
        gc.enable()
