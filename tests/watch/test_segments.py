from __future__ import annotations

import fcntl
import resource
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

from humandetect.watch.layout import Layout
from humandetect.watch.segments import SegmentFile, finish_remains, segment_name, started_at
from tests.builders import make_clip
from tests.watch.cameras import START

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.ts")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def written(clip: Path, folder: Path, *, close: bool = True) -> SegmentFile:
    with av.open(str(clip)) as container:
        streams: dict[int, Any] = {stream.index: stream for stream in container.streams}
        layout = Layout(streams)
        file = SegmentFile(folder, segment_name("door", START, layout.ending), layout=layout, started=START)
        for number, packet in enumerate(container.demux(video=0)):
            file.write(packet, START + timedelta(seconds=number / 10))
    if close:
        file.close()
    return file


@pytest.mark.usefixtures("berlin")
def test_names_are_of_the_wall_clock_and_tell_the_repeated_hour_apart() -> None:
    moments = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in range(3)]
    names = [segment_name("door", moment, ".mp4") for moment in moments]
    assert names == [
        "door/2026-10-25/02-30-00.mp4",
        "door/2026-10-25/02-30-00+0100.mp4",
        "door/2026-10-25/03-30-00.mp4",
    ]


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("hour", range(4))
def test_a_name_says_when_a_file_began(hour: int, tmp_path: Path) -> None:
    for day in (datetime(2026, 10, 25, hour, 30, tzinfo=UTC), datetime(2026, 3, 29, hour, 30, tzinfo=UTC)):
        assert started_at(tmp_path / segment_name("door", day, ".mov")) == day.timestamp()


def test_two_files_of_one_second_do_not_overwrite_each_other(clip: Path, tmp_path: Path) -> None:
    first, second = written(clip, tmp_path, close=False), written(clip, tmp_path)
    third = written(clip, tmp_path)
    first.close()
    assert [file.path.name[8:] for file in (first, second, third)] == [".mp4", "_2.mp4", "_3.mp4"]
    assert all(started_at(file.path) == START.timestamp() for file in (first, second, third))
    assert len(list(tmp_path.glob("door/*/*"))) == 3


def test_what_somebody_still_writes_is_left_alone(clip: Path, tmp_path: Path) -> None:
    file = written(clip, tmp_path, close=False)
    assert finish_remains(tmp_path) == []
    assert file.close() == file.path
    assert file.path.exists()


def test_a_file_that_was_removed_as_remains_before_it_was_locked_is_made_again_and_locked(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, removed = fcntl.flock, list[Path]()

    def remove_first(descriptor: int, how: int) -> None:
        if not removed:
            removed.extend(path for path in tmp_path.rglob(".*") if path.is_file())
            removed[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    file = written(clip, tmp_path, close=False)
    assert removed
    assert finish_remains(tmp_path) == []
    assert file.close() == file.path


def test_remains_that_show_nothing_are_removed_and_files_of_others_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "door/2026-11-26"
    folder.mkdir(parents=True)
    (folder / ".10-21-00.mp4").write_bytes(b"")
    (folder / ".10-22-00.mp4").write_bytes(b"nothing of a film")
    (folder / ".notes").write_text("mine")
    (folder / ".10-23-00.mp4").symlink_to(folder / ".notes")
    assert finish_remains(tmp_path) == []
    assert sorted(path.name for path in folder.iterdir()) == [".10-23-00.mp4", ".notes"]


def test_remains_take_no_name_that_is_taken(clip: Path, tmp_path: Path) -> None:
    path = written(clip, tmp_path).path
    remains = path.with_name(f".{path.name}")
    remains.write_bytes(path.read_bytes())
    assert finish_remains(tmp_path) == [path.with_stem(f"{path.stem}_2")]


@contextmanager
def files_at_most(bytes_: int) -> Iterator[None]:
    """Let writing fail in the middle of a file, from within libav, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def written_until_it_fails(clip: Path, folder: Path, most_bytes: int) -> list[Path]:
    """Return what is there when a disk took so many bytes of a file."""
    with av.open(str(clip)) as container:
        layout = Layout({0: container.streams.video[0]})
    file = SegmentFile(folder, segment_name("door", START, layout.ending), layout=layout, started=START)
    with files_at_most(most_bytes):
        with pytest.raises(OSError, match="File too large"):
            write_again_and_again(file, clip)
        file.close()
    return list(folder.glob("door/*/*"))


def write_again_and_again(file: SegmentFile, clip: Path) -> None:
    for turn in range(100):
        with av.open(str(clip)) as container:
            for number, packet in enumerate(container.demux(video=0)):
                file.write(packet, START + timedelta(seconds=2 * turn + number / 10))


def test_a_file_that_grew_too_large_still_plays(clip: Path, tmp_path: Path) -> None:
    (path,) = written_until_it_fails(clip, tmp_path, 30_000)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 50


def test_a_disk_that_took_nothing_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    assert written_until_it_fails(clip, tmp_path, 500) == []
