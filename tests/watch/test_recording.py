from __future__ import annotations

import errno
import gc
import io
import logging
import subprocess
import sys
import threading
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import pytest

from humandetect.config.recording import RecordConfig
from humandetect.errors import SinkError
from humandetect.media.frames import Event
from humandetect.watch.layout import Layout
from humandetect.watch.part_writer import PartWriter
from humandetect.watch.recording import Recorder, Recordings
from humandetect.watch.segments import SegmentFile, finish_remains, started_at
from tests.builders import make_clip
from tests.waiting import eventually
from tests.watch.cameras import START, feed

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds as a camera sends them: 10 pictures a second, a key frame every half second, and sound."""
    return make_clip(tmp_path_factory.mktemp("clips") / "door.ts", frames=60, audio="aac")


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty seconds without sound and without a picture that is shown later than it is sent."""
    path = tmp_path_factory.mktemp("clips") / "silent.ts"
    return make_clip(path, frames=300, codec="mpeg2video", gop=5)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "short.mp4", frames=30)


def config(folder: Path, **options: Any) -> RecordConfig:
    return RecordConfig(record=folder, **{"keep": "off", "min_free": "off", "segment_seconds": 2, **options})


def recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pictures(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def happened(at: datetime, kind: Any = "crossing") -> Event:
    return Event(kind, "1", "door", 0.0, wall_time=at.isoformat())


def layouts() -> int:
    """Return how many descriptions of streams there are in this process."""
    gc.collect()
    return sum(isinstance(one, Layout) for one in gc.get_objects())


class Disk:
    """Opens files; fails or holds still when told to."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.goes = threading.Event()
        self.goes.set()

    def __call__(self, *args: Any, **options: Any) -> SegmentFile:
        self.goes.wait(60)
        if self.error:
            raise self.error
        return SegmentFile(*args, **options)


def test_files_begin_at_key_frames_and_nothing_is_lost_between_them(clip: Path, tmp_path: Path) -> None:
    recorder = Recordings(config(tmp_path)).recorder("door")
    feed(recorder, clip)
    recorder.close()
    files = recordings(tmp_path)
    assert len(files) == recorder.writer.files >= 3
    assert sum(map(pictures, files)) == 60
    for path in files:
        with av.open(str(path)) as container:
            first = next(container.demux(video=0))
            assert first.is_keyframe
            assert first.dts == 0
            assert container.streams.audio[0].codec_context.name == "aac"
    assert recorder.writer.bytes_written > 0
    assert recorder.writer.dropped == 0


def test_a_stream_that_is_joined_before_it_says_its_size_is_recorded_from_its_first_key_frame(tmp_path: Path) -> None:
    data = make_clip(tmp_path / "clip.ts", frames=60, gop=40, audio="aac").read_bytes()
    with av.open(io.BytesIO(data), "r") as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    second_key = [packet.is_keyframe for packet in packets].index(True, 1)
    tables, begin = data[: 3 * 188], packets[1].pos  # all senders repeat their tables
    joined = io.BytesIO(tables + data[begin:])
    recorder = Recordings(config(tmp_path / "rec", segment_seconds=600)).recorder("door")
    with av.open(joined, "r", container_options={"probesize": "2000", "analyzeduration": "1"}) as container:
        streams: list[Any] = [container.streams.video[0], *container.streams.audio]
        assert streams[0].width == 0
        recorder.begin(streams)
        for number, packet in enumerate(container.demux(*streams)):
            recorder.packet(packet, START + timedelta(seconds=number / 20))
        recorder.end()
    recorder.close()
    (path,) = recordings(tmp_path / "rec")
    assert pictures(path) == len(packets) - second_key
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


def test_files_that_are_finished_keep_nothing_of_the_connection_they_came_by(short: Path, tmp_path: Path) -> None:
    """A camera that is lost and found for hours would hold memory for each time."""
    before = layouts()
    recorder = Recordings(config(tmp_path)).recorder("door")
    for number in range(5):
        feed(recorder, short, started=START + timedelta(seconds=10 * number))
    recorder.close()
    assert recorder.where(START + timedelta(seconds=1))
    assert layouts() <= before


def test_sound_of_telephones_is_kept_in_a_file_that_can_hold_it(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mov", frames=20, audio="pcm_mulaw")
    recorder = Recordings(config(tmp_path / "rec")).recorder("door")
    feed(recorder, clip)
    recorder.close()
    path = recordings(tmp_path / "rec")[-1]
    assert path.suffix == ".mov"
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "pcm_mulaw"]


def test_sound_that_cannot_be_kept_is_said_and_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip(tmp_path / "clip.nut", frames=20, audio="g722")
    recorder = Recordings(config(tmp_path / "rec", segment_seconds=600)).recorder("door")
    feed(recorder, clip)
    recorder.close()
    assert "door is recorded without sound: no kind of file can hold g722" in caplog.text
    assert sum(map(pictures, recordings(tmp_path / "rec"))) == 20


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_another_size_in_the_same_stream_begins_another_file(codec: str, tmp_path: Path) -> None:
    small = make_clip(tmp_path / "a.ts", codec=codec)
    large = make_clip(tmp_path / "b.ts", codec=codec, width=96, height=64)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    recorder = Recordings(config(tmp_path / "rec", segment_seconds=600)).recorder("door")
    with av.open(str(both)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number, packet in enumerate(container.demux(video)):
            recorder.packet(packet, START + timedelta(seconds=number / 10))
            if number == 22:  # a reader knows of it when it has decoded some
                recorder.begin([video])
        recorder.end()
    recorder.close()
    sizes = []
    for path in recordings(tmp_path / "rec"):
        with av.open(str(path)) as container:
            sizes.append({(frame.width, frame.height) for frame in container.decode(video=0)})
    assert sizes == [{(64, 48)}, {(96, 64)}]
    assert sum(map(pictures, recordings(tmp_path / "rec"))) == 40


@pytest.mark.parametrize("jump_seconds", [3600.0, -3600.0, -0.2])
def test_a_clock_that_jumps_costs_no_picture_and_no_time(clip: Path, tmp_path: Path, jump_seconds: float) -> None:
    recorder = Recordings(config(tmp_path, segment_seconds=600)).recorder("door")
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number, packet in enumerate(container.demux(video)):
            if packet.dts is not None and packet.time_base is not None and packet.pts is not None and number >= 30:
                jump = round(jump_seconds / packet.time_base)
                packet.dts, packet.pts = packet.dts + jump, packet.pts + jump
            recorder.packet(packet, START + timedelta(seconds=number / 10))
    recorder.close()
    (path,) = recordings(tmp_path)
    with av.open(str(path)) as container:
        stamps = [packet.dts for packet in container.demux(video=0) if packet.dts is not None]
        assert all(earlier < later for earlier, later in pairwise(stamps))
        assert len(stamps) == 60
        assert container.duration is not None
        assert 5.5 < container.duration / 1e6 < 7
    assert pictures(path) == 60


@pytest.mark.parametrize("set_by_seconds", [3600.0, -3600.0])
def test_a_machine_whose_clock_is_set_records_no_hour_that_was_not(
    clip: Path, tmp_path: Path, set_by_seconds: float
) -> None:
    recorder = Recordings(config(tmp_path, segment_seconds=600)).recorder("door")
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number, packet in enumerate(container.demux(video)):
            set_by = set_by_seconds if number >= 31 else 0.0
            recorder.packet(packet, START + timedelta(seconds=number / 10 + set_by))
    recorder.close()
    files = recordings(tmp_path)
    assert len(files) == 2
    assert sum(map(pictures, files)) == 60
    for path in files:
        with av.open(str(path)) as container:
            assert (container.duration or 0) / 1e6 < 5


def test_stamps_that_stand_still_are_those_of_arrival(clip: Path, tmp_path: Path) -> None:
    recorder = Recordings(config(tmp_path, segment_seconds=600)).recorder("door")
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number, packet in enumerate(container.demux(video)):
            packet.dts = packet.pts = 0 if packet.size else None
            recorder.packet(packet, START + timedelta(seconds=number))
    recorder.close()
    (path,) = recordings(tmp_path)
    with av.open(str(path)) as container:
        assert 50 < (container.duration or 0) / 1e6 < 62


def test_what_follows_an_event_is_recorded_over_a_lost_connection(clip: Path, tmp_path: Path) -> None:
    recorder = Recordings(config(tmp_path, record_mode="events", segment_seconds=600)).recorder("door")
    last = feed(recorder, clip, end=False)
    recorder.note(happened(last))
    recorder.end()
    feed(recorder, clip, started=last + timedelta(seconds=1))
    recorder.close()
    before, after = recordings(tmp_path)
    assert pictures(before) >= 50
    assert pictures(after) == 60


def test_a_moment_is_found_in_its_file(silent: Path, tmp_path: Path) -> None:
    recorder = Recordings(config(tmp_path, segment_seconds=10)).recorder("door")
    feed(recorder, silent, end=False)
    found = recorder.where(START + timedelta(seconds=13))
    assert found is not None
    eventually(lambda: recorder.writer.bytes_written)
    recorder.close()
    assert (tmp_path / found.path) in recordings(tmp_path)
    with av.open(str(tmp_path / found.path)) as container:
        assert 0 < found.seconds < (container.duration or 0) / 1e6
    assert recorder.where(START - timedelta(seconds=60)) is None


def test_only_what_is_around_events_is_recorded(silent: Path, tmp_path: Path) -> None:
    recorder = Recordings(config(tmp_path, record_mode="events", segment_seconds=600)).recorder("door")
    moment = START + timedelta(seconds=10)
    with av.open(str(silent)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number, packet in enumerate(container.demux(video)):
            arrived = START + timedelta(seconds=number / 10)
            recorder.packet(packet, arrived)
            if arrived == moment + timedelta(seconds=1):
                recorder.note(happened(moment, "gap"))
                assert recorder.where(moment) is None
                recorder.note(happened(moment))  # it was certain only now
                found = recorder.where(moment)
            if arrived == moment + timedelta(seconds=6):
                recorder.note(happened(arrived))
    recorder.close()
    (path,) = recordings(tmp_path)
    assert found is not None
    assert str(path) == str(tmp_path / found.path)
    assert 5 <= found.seconds < 5.6
    assert 205 < pictures(path) < 220  # from 5 to 26 s


@pytest.mark.parametrize(("later", "least", "most"), [((), 60, 120), ((150,), 200, 260)])
def test_a_clock_that_is_set_back_costs_no_event_its_recording_and_makes_none_longer(
    silent: Path, tmp_path: Path, later: tuple[int, ...], least: int, most: int
) -> None:
    recorder = Recordings(config(tmp_path, record_mode="events", segment_seconds=600)).recorder("door")
    with av.open(str(silent)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number, packet in enumerate(container.demux(video)):
            set_back = timedelta(hours=number > 60)
            recorder.packet(packet, arrived := START + timedelta(seconds=number / 10) - set_back)
            if number in (50, *later):
                recorder.note(happened(arrived))
            if number == 62:  # as visits end when it is seen that the clock was set
                recorder.note(happened(arrived + timedelta(hours=1)))
    recorder.close()
    assert least < sum(map(pictures, recordings(tmp_path))) < most


def test_events_far_apart_are_in_files_of_their_own(silent: Path, tmp_path: Path) -> None:
    recorder = Recordings(config(tmp_path, record_mode="events", segment_seconds=600)).recorder("door")
    with av.open(str(silent)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number, packet in enumerate(container.demux(video)):
            recorder.packet(packet, arrived := START + timedelta(seconds=number / 10))
            if number in (20, 150):  # 12 s and 15 s after the start: what is between is in one or the other
                recorder.note(happened(arrived))
    recorder.close()
    files = recordings(tmp_path)
    assert len(files) == 2
    assert 245 < sum(map(pictures, files)) < 262


def test_a_disk_that_cannot_follow_costs_whole_groups_of_pictures(silent: Path, tmp_path: Path) -> None:
    disk, base = Disk(), Recordings(config(tmp_path, segment_seconds=600))
    recorder = Recorder(
        "door",
        base.config,
        retention=base.retention,
        make_writer=partial(PartWriter, open_file=disk, max_waiting_bytes=4_000),
    )
    disk.goes.clear()
    feed(recorder, silent, end=False)
    dropped = recorder.unrecorded
    assert dropped > 0
    disk.goes.set()
    eventually(lambda: recorder.recording and recorder.writer.waiting_bytes == 0)
    recorder.end()
    feed(recorder, silent, started=START + timedelta(hours=1), end=False)
    recorder.close()
    for path in recordings(tmp_path):
        with av.open(str(path)) as container:
            damaged = [frame for frame in container.decode(video=0) if frame.is_corrupt]
            assert not damaged
    assert dropped < 300


def test_a_full_disk_stops_the_recording_and_not_the_camera(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    disk, base = Disk(), Recordings(config(tmp_path))
    recorder = Recorder(
        "door",
        base.config,
        retention=base.retention,
        make_writer=partial(PartWriter, open_file=disk, clock=lambda: now),
    )
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    last = feed(recorder, clip)
    with av.open(str(clip)) as container:
        sent = sum(1 for packet in container.demux() if packet.size)
    eventually(lambda: recorder.writer.dropped == sent)
    assert recorder.where(last - timedelta(seconds=1)) is None
    assert not recorder.recording
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the disk is full" in caplog.text
    disk.error, now = None, 31.0
    feed(recorder, clip, started=START + timedelta(minutes=1))
    recorder.close()
    assert sum(map(pictures, recordings(tmp_path))) == 60
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "door is recorded again" in caplog.text


def test_a_packet_that_no_file_can_hold_costs_what_is_left_of_its_group_of_pictures(
    short: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(SegmentFile):
        def write(self, packet: Any, arrived: datetime) -> None:
            if arrived == START + timedelta(seconds=61):
                raise av.error.PatchWelcomeError(1, "Not yet implemented in FFmpeg, patches welcome")
            super().write(packet, arrived)

    base = Recordings(config(tmp_path, segment_seconds=600))
    recorder = Recorder(
        "door", base.config, retention=base.retention, make_writer=partial(PartWriter, open_file=Refusing)
    )
    feed(recorder, short, started=START + timedelta(seconds=60))
    recorder.close()
    assert [pictures(path) for path in recordings(tmp_path)] == [12, 15]
    assert recorder.writer.dropped == 3
    assert not caplog.records


def test_what_happened_before_a_packet_that_no_file_can_hold_is_found_until_there_is_another_file(
    tmp_path: Path,
) -> None:
    refused = START + timedelta(seconds=61.4)

    class Refusing(SegmentFile):
        def write(self, packet: Any, arrived: datetime) -> None:
            if arrived == refused:
                raise av.error.ArgumentError(22, "Invalid argument")
            super().write(packet, arrived)

    folder = tmp_path / "recordings"
    folder.mkdir()
    base = Recordings(config(folder, segment_seconds=600))
    recorder = Recorder(
        "door", base.config, retention=base.retention, make_writer=partial(PartWriter, open_file=Refusing)
    )
    clip = make_clip(tmp_path / "clip.mp4", frames=20, gop=20)
    feed(recorder, clip, started=START + timedelta(seconds=60))
    recorder.close()
    found = recorder.where(refused - timedelta(seconds=0.5))
    assert found is not None
    assert [folder / found.path] == recordings(folder)


def test_packets_that_no_file_can_hold_again_and_again_are_told_and_leave_few_files(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(SegmentFile):
        def write(self, packet: Any, arrived: datetime) -> None:
            if not packet.is_keyframe:
                raise av.error.ArgumentError(22, "Invalid argument")
            super().write(packet, arrived)

    base = Recordings(config(tmp_path, segment_seconds=600))
    recorder = Recorder(
        "door", base.config, retention=base.retention, make_writer=partial(PartWriter, open_file=Refusing)
    )
    feed(recorder, clip)
    recorder.close()
    assert len(recordings(tmp_path)) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "door is watched, and not recorded: Invalid argument; it is tried again every 30 s"
    ]


def test_a_disk_that_stays_full_is_told_once_and_leaves_no_empty_files(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now, base = 0.0, Recordings(config(tmp_path))
    full = OSError(errno.ENOSPC, "No space left on device")

    class Full(SegmentFile):
        def write(self, packet: Any, arrived: datetime) -> None:
            raise full

    recorder = Recorder(
        "door",
        base.config,
        retention=base.retention,
        make_writer=partial(PartWriter, open_file=Full, clock=lambda: now),
    )
    for minute in range(3):
        feed(recorder, clip, started=START + timedelta(minutes=minute))
        eventually(lambda: recorder.writer.waiting_bytes == 0)
        now += 31
    recorder.close()
    assert len(caplog.records) == 1
    assert recordings(tmp_path) == []


def test_a_folder_that_vanished_is_waited_for_and_not_made_elsewhere(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "disk"
    base = Recordings(config(folder))
    folder.rmdir()
    recorder = base.recorder("door")
    feed(recorder, clip)
    recorder.close()
    assert not folder.exists()
    assert "door is watched, and not recorded" in caplog.text


def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot make the folder"):
        Recordings(config(tmp_path / "file" / "rec"))


def test_it_can_be_closed_twice_and_hears_nothing_afterwards(clip: Path, tmp_path: Path) -> None:
    recorder = Recordings(config(tmp_path)).recorder("door")
    recorder.close()
    recorder.close()
    feed(recorder, clip)
    assert recordings(tmp_path) == []


def test_after_a_kill_complete_files_are_whole_and_the_open_one_plays_to_its_last_second(
    short: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.watch.recording_child", str(short), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        said = [float(child.stdout.readline()) for _ in range(7)]
        child.kill()
    finish_remains(tmp_path)
    files = recordings(tmp_path)
    assert not [path for path in files if path.name.startswith(".")]
    assert sum(map(pictures, files)) / 10 >= said[-1] - 1.1
    for earlier, later in pairwise(files):
        length = (started_at(later) or 0) - (started_at(earlier) or 0)
        assert abs(pictures(earlier) / 10 - length) <= 1  # names are of whole seconds
