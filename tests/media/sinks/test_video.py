"""The annotated video plays everywhere, keeps the source's times, and is complete or not there."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from humandetect.errors import SinkError
from humandetect.media.frames import DetectedFrame, Frame, VideoInfo
from humandetect.media.sinks import h264
from humandetect.media.sinks.video import VideoSink
from tests.builders import detected, people, picture
from tests.media.sinks.full_disk import room_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

INFO = VideoInfo(width=64, height=48, fps=Fraction(10), time_base=Fraction(1, 10240))


def at(seconds: float, image: np.ndarray | None = None) -> DetectedFrame:
    return DetectedFrame(Frame(picture() if image is None else image, 0, seconds, "clip.mp4"), people([]))


def write(path: Path, results: Iterable[DetectedFrame], info: VideoInfo = INFO, **options: object) -> VideoSink:
    return write_all(VideoSink(path, info, **options), results)  # type: ignore[arg-type]


def write_all(sink: VideoSink, results: Iterable[DetectedFrame]) -> VideoSink:
    with sink:
        for result in results:
            sink.write(result)
    return sink


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as clip:
        return [frame.to_ndarray(format="bgr24", src_colorspace="ITU601") for frame in clip.decode(video=0)]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as clip:
        return [round(frame.time, 6) for frame in clip.decode(video=0)]


def atoms(path: Path) -> list[bytes]:
    """Return the names of an MP4's top-level atoms, in order."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        found.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    return found


@pytest.mark.parametrize("ending", [".mp4", ".m4v", ".mov", ".mkv", ".MP4"])
def test_every_kind_of_file_holds_h264_that_plays_everywhere(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    sink = write(path, [detected(index) for index in range(20)])
    assert sink.close() == path
    assert sink.warnings == []
    with av.open(str(path)) as clip:
        context = clip.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 64, 48)
        assert clip.duration == 2_000_000
    assert times(path) == [index / 10 for index in range(20)]


def test_the_index_stands_in_front_of_the_pictures(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [detected()])
    order = atoms(tmp_path / "out.mp4")
    assert order.index(b"moov") < order.index(b"mdat")


def test_colours_come_back_as_they_were_and_the_file_says_how_to_read_them(tmp_path: Path) -> None:
    colours = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255), (40, 120, 200)]
    image = np.repeat(np.array([colours], np.uint8), 48, axis=0).repeat(32, axis=1)
    write(tmp_path / "out.mp4", [at(0.0, image)])
    with av.open(str(tmp_path / "out.mp4")) as clip:
        context = clip.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (6, 1)  # BT.601, limited
        assert (context.color_primaries, context.color_trc) == (1, 1)  # BT.709, as of sRGB
    back = pictures(tmp_path / "out.mp4")[0][24, 16::32]
    assert np.abs(back.astype(int) - colours).max() <= 6


def test_uneven_times_stay_uneven(tmp_path: Path) -> None:
    uneven = [0.0, 0.1, 0.15, 0.9, 1.0]
    write(tmp_path / "out.mp4", [at(time) for time in uneven], VideoInfo(64, 48, time_base=Fraction(1, 1000)))
    assert times(tmp_path / "out.mp4") == uneven
    with av.open(str(tmp_path / "out.mp4")) as clip:
        assert clip.duration == 1_100_000  # the last frame as long as the one before


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_a_first_picture_that_comes_late_is_shown_to_the_tick_when_it_comes(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"out{ending}", [at(2.0005), at(2.1)])
    with av.open(str(tmp_path / f"out{ending}")) as clip:
        first = next(clip.decode(video=0))
        assert (first.pts, first.time_base) == (20_485, Fraction(1, 10_240))


@pytest.mark.parametrize("base", [None, Fraction(1, 10**9), Fraction(3, 1), Fraction(0)])
def test_without_a_believable_tick_times_are_still_right(tmp_path: Path, base: Fraction | None) -> None:
    write(tmp_path / "out.mp4", [at(index / 30) for index in range(4)], VideoInfo(64, 48, time_base=base))
    assert times(tmp_path / "out.mp4") == pytest.approx([index / 30 for index in range(4)], abs=2e-5)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_repeated_and_backward_times_cost_no_frame(tmp_path: Path, ending: str) -> None:
    backward = [0.0, 0.1, 0.1, 0.05, 0.3]
    info = VideoInfo(64, 48, time_base=Fraction(1, 10))
    write(tmp_path / f"out{ending}", [at(time) for time in backward], info)
    found = times(tmp_path / f"out{ending}")
    assert len(found) == 5
    assert found == sorted(found)
    assert found[-1] == pytest.approx(0.3)


def test_reading_that_began_later_starts_at_zero(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [at(5.0), at(5.1)], origin_seconds=5.0)
    assert times(tmp_path / "out.mp4") == [0.0, 0.1]


@pytest.mark.parametrize("fps", [Fraction(10), None])
def test_one_frame_is_a_video(tmp_path: Path, fps: Fraction | None) -> None:
    write(tmp_path / "out.mp4", [detected()], VideoInfo(64, 48, fps=fps))
    assert times(tmp_path / "out.mp4") == [0.0]
    with av.open(str(tmp_path / "out.mp4")) as clip:
        assert clip.duration == (100_000 if fps else 40_000)


@pytest.mark.parametrize(("width", "height"), [(65, 49), (65, 48), (64, 49), (64, 50), (1, 1)])
def test_odd_sizes_grow_by_a_repeated_row_or_column(tmp_path: Path, width: int, height: int) -> None:
    image = picture(width, height, shade=120)
    write(tmp_path / "out.mp4", [at(0.0, image)])
    back = pictures(tmp_path / "out.mp4")[0].astype(int)
    assert back.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(back[:height, :width] - image).mean() < 12
    assert np.abs(back[height - 1] - back[-1]).max() < 12


def test_a_new_size_in_mid_stream_is_scaled_and_counted(tmp_path: Path) -> None:
    sink = write(tmp_path / "out.mp4", [at(0.0), at(0.1, picture(32, 24)), at(0.2, picture(128, 96)), at(0.3)])
    assert [image.shape for image in pictures(tmp_path / "out.mp4")] == [(48, 64, 3)] * 4
    assert sink.warnings == ["2 frames of another size scaled to 64 x 48"]


def test_the_preset_is_used(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (10, 48, 64, 3)).astype(np.uint8)
    for preset in ("ultrafast", "veryfast"):
        write(tmp_path / f"{preset}.mp4", [at(index / 10, image) for index, image in enumerate(noise)], preset=preset)
    with av.open(str(tmp_path / "ultrafast.mp4")) as quick, av.open(str(tmp_path / "veryfast.mp4")) as small:
        # ultrafast writes the baseline profile, without CABAC
        assert quick.streams.video[0].profile != small.streams.video[0].profile


def test_without_x264_the_next_encoder_is_used_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h264, "ENCODERS", ("libx264_missing", "h264_nvenc_missing", "mpeg4"))
    info = VideoInfo(64, 48, fps=Fraction(10), time_base=Fraction(1, 90_000))  # finer than MPEG-4 takes
    sink = write(tmp_path / "out.mp4", [detected(index) for index in range(5)], info)
    assert sink.warnings == ["this build of FFmpeg has no libx264_missing: the video was encoded by mpeg4"]
    assert times(tmp_path / "out.mp4") == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=2e-5)


def test_without_any_encoder_the_error_lists_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h264, "ENCODERS", ("none_such",))
    with pytest.raises(SinkError, match="no working encoder among none_such"):
        write(tmp_path / "out.mp4", [detected()])
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_is_no_file(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "out.mp4", INFO) as sink:
        pass
    assert sink.close() is None
    assert list(tmp_path.iterdir()) == []


def test_the_old_video_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    sink = VideoSink(path, INFO)
    for index in range(60):
        sink.write(detected(index))
    assert path.read_text() == "old"
    sink.close()
    assert len(times(path)) == 60
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_video_is_kept_as_partial_and_plays(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", INFO)

    def interrupted() -> Iterator[DetectedFrame]:
        yield from (detected(index) for index in range(30))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(sink, interrupted())
    partial = tmp_path / "out.partial.mp4"
    assert sink.close() == partial
    assert list(tmp_path.iterdir()) == [partial]
    assert len(times(partial)) == 30
    assert atoms(partial).index(b"moov") < atoms(partial).index(b"mdat")


class Interrupts:
    """Stands in for the encoder's thread: Ctrl-C arrives in the first `count` waits for its end."""

    def __init__(self, sink: VideoSink, count: int) -> None:
        assert sink._thread is not None
        self._thread, self._left = sink._thread, count
        self.is_alive = self._thread.is_alive

    def join(self, timeout: float) -> None:
        self._left -= 1
        if self._left >= 0:
            raise KeyboardInterrupt
        self._thread.join(timeout)


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_while_the_video_is_finished_costs_no_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupts: int
) -> None:
    sink = VideoSink(tmp_path / "out.mp4", INFO)
    for index in range(30):
        sink.write(detected(index))
    monkeypatch.setattr(sink, "_thread", Interrupts(sink, interrupts))
    with pytest.raises(KeyboardInterrupt):
        sink.close()
    assert sink.close(complete=False) == tmp_path / "out.mp4"
    assert list(tmp_path.iterdir()) == [tmp_path / "out.mp4"]
    assert len(times(tmp_path / "out.mp4")) == 30


def test_a_wake_up_lost_to_ctrl_c_does_not_hang_the_end(tmp_path: Path) -> None:
    """An interrupted `Condition.notify` leaves a waiter behind that swallows the next one."""
    sink = VideoSink(tmp_path / "out.mp4", INFO)
    sink.write(detected(0))
    left_behind = threading.Lock()
    left_behind.acquire()
    waiters = sink._frames.not_empty._waiters  # type: ignore[attr-defined]
    while not waiters:  # until the encoder waits for the next frame
        time.sleep(0.01)
    waiters.appendleft(left_behind)
    assert sink.close() == tmp_path / "out.mp4"


def test_a_closed_video_takes_no_more_frames(tmp_path: Path) -> None:
    sink = write(tmp_path / "out.mp4", [detected()])
    with pytest.raises(ValueError, match="closed"):
        sink.write(detected(1))


@pytest.mark.parametrize("name", ["a:b.mp4", "%03d.mp4", "-dash.mp4", "new\nline.mp4", "caf\udce9.mp4", "pipe:1.mp4"])
def test_any_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    write(Path(name), [detected()])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_missing_folder_fails_at_the_first_frame(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "nowhere" / "out.mp4", INFO)
    with pytest.raises(SinkError, match="does not exist: create it first"):
        sink.write(detected())
    assert sink.close(complete=False) is None


def test_an_error_while_encoding_reaches_the_writer_and_nobody_waits_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise av.error.OSError(28, "No space left on device")

    monkeypatch.setattr(h264.VideoFile, "encode", fail)
    sink = VideoSink(tmp_path / "out.mp4", INFO)
    with pytest.raises(SinkError, match="the disk is full"):
        write_all(sink, (detected(index) for index in range(100)))
    assert sink.close(complete=False) is None
    assert len(sink.warnings) == 1
    assert sink.warnings[0].startswith("no partial video was kept: ")
    assert "the disk is full: free some space" in sink.warnings[0]
    assert list(tmp_path.iterdir()) == []


def test_an_error_after_the_last_frame_fails_the_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise av.error.OSError(28, "No space left on device")

    monkeypatch.setattr(h264.VideoFile, "finish", fail)
    sink = VideoSink(tmp_path / "out.mp4", INFO)
    sink.write(detected())
    with pytest.raises(SinkError, match="the disk is full"):
        sink.close()
    assert sink.close() is None
    assert list(tmp_path.iterdir()) == []


def test_a_bug_while_encoding_is_not_dressed_up_as_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(h264.VideoFile, "encode", fail)
    sink = VideoSink(tmp_path / "out.mp4", INFO)
    sink.write(detected())
    with pytest.raises(RuntimeError, match="a bug"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("frames", [3, 60], ids=["while closing", "while writing"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path, frames: int) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    with room_for(100_000), pytest.raises(SinkError, match="the file grew beyond the size limit"):
        write(tmp_path / "out.mp4", (at(index / 10, np.roll(noise, index)) for index in range(frames)))
    assert list(tmp_path.iterdir()) == []


def test_the_encoder_is_waited_for_so_that_frames_do_not_pile_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, encoded = threading.Event(), []

    def slow(self: object, frame: Frame) -> None:
        gate.wait(60)
        encoded.append(frame.index)

    monkeypatch.setattr(h264.VideoFile, "encode", slow)
    sink = VideoSink(tmp_path / "out.mp4", INFO)
    accepted: list[int] = []

    def produce() -> None:
        for index in range(20):
            sink.write(detected(index))
            accepted.append(index)

    producer = threading.Thread(target=produce)
    producer.start()
    producer.join(0.3)
    assert len(accepted) <= 3  # two waiting, one in the encoder's hands
    gate.set()
    producer.join(60)
    sink.close()
    assert encoded == list(range(20))
