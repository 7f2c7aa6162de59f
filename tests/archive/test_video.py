"""`archive --video`: the video of `detect -o`, though its segments were encoded apart."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from humandetect.archive import joins, video
from humandetect.archive.jobs import Told
from humandetect.archive.local import LocalWorkers
from humandetect.archive.plan import find_plan
from humandetect.archive.run import archive
from humandetect.archive.video import join
from humandetect.config import ArchiveConfig, DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import UsageError
from humandetect.media.sinks import h264
from humandetect.pipeline.run import run as detect
from humandetect.storage import FolderStorage, open_storage
from tests.archive.clips import B_FRAMES, OPEN_GOP, TEN, UNEVEN, write_people
from tests.archive.worker_here import Silent, work_here
from tests.builders import picture
from tests.command_line import invoke
from tests.fakes import FakeEngine
from tests.media.clips import damage, late_pictures, turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from humandetect.archive.attempts import Attempts
    from humandetect.archive.jobs import Video
    from humandetect.archive.run import ArchiveSummary
    from humandetect.storage import Storage

ROWS = ["000000.parquet", "000001.parquet"]
JOINED = [*ROWS, "annotated.mp4"]
PARTS = ["000000.mp4", "000000.parquet", "000001.mp4", "000001.parquet"]
CODEC = 6.0
"""Of 256, on average: what two encoders make differently of the same noise."""
QUARTER = (0, 1, -1, 0)
"""Turned to the right, as of a telephone."""
CLIPS: dict[str, Callable[[Path], Path]] = {
    "open_groups_and_sound.mp4": lambda path: write_people(path, options=OPEN_GOP, sound="aac"),
    "uneven.mkv": lambda path: write_people(path, steps=UNEVEN, options=B_FRAMES, sound="libopus"),
    "turned.mov": lambda path: turn(write_people(path, options=TEN, sound="pcm_s16le"), QUARTER),
    "damaged.mp4": lambda path: damage(write_people(path, options=TEN), every=5),
    "late.mp4": lambda path: late_pictures(path, 1.3),
    "moving.gif": lambda path: write_animation(path, milliseconds=(100, 50, 200)),
    "in_one_go.avi": lambda path: write_people(path, codec="mpeg4", sound="libmp3lame"),
}


def write_animation(path: Path, *, milliseconds: tuple[int, ...]) -> Path:
    pages = [Image.fromarray(picture(shade=20 * shade)) for shade in range(len(milliseconds))]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=milliseconds)
    return path


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    work_here(monkeypatch)


class Shown(NamedTuple):
    """What a player would show and play."""

    ticks: list[tuple[int | None, int | None]]
    """When and for how long each frame is shown."""
    tick: Any
    size: tuple[int, int]
    sound: list[tuple[int | None, bytes]]
    tags: dict[str, str]
    pictures: list[np.ndarray]


def shown(path: Path) -> Shown:
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        packets = [packet for packet in video.demux() if packet.size]
        tags = {key: value for key, value in video.metadata.items() if key != "encoder" and "_" not in key}
        video.seek(0)
        return Shown(
            [(packet.pts, packet.duration) for packet in packets if packet.stream_index == stream.index],
            stream.time_base,
            (stream.width, stream.height),
            [(packet.pts, bytes(packet)) for packet in packets if packet.stream_index != stream.index],
            tags,
            [picture.to_ndarray(format="bgr24") for picture in video.decode(video=0)],
        )


def archived(*sources: Path, out: Path, video: bool = True) -> ArchiveSummary:
    config = ArchiveConfig(tuple(map(str, sources)), out=out, segment_seconds=1.0, jobs=1, video=video)
    return archive(config, Silent())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=40, options=TEN)


@pytest.mark.parametrize("name", CLIPS)
def test_frames_times_and_sound_are_those_of_detect(name: str, tmp_path: Path) -> None:
    clip = CLIPS[name](tmp_path / name)
    with Detector(FakeEngine()) as detector:
        detect(DetectConfig((str(clip),), output=tmp_path / "plain.mp4"), detector=detector)
    summary = archived(clip, out=tmp_path / "out")
    assert summary.standing.is_complete
    plain, joined = shown(tmp_path / "plain.mp4"), shown(tmp_path / "out" / name / "annotated.mp4")
    assert joined._replace(pictures=[]) == plain._replace(pictures=[])
    assert len(joined.pictures) == len(plain.pictures)
    assert max(map(difference, joined.pictures, plain.pictures)) < CODEC
    assert not list((tmp_path / "out").rglob("*.part*"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_there_is_no_video_unless_it_is_wanted(clip: Path, tmp_path: Path) -> None:
    assert archived(clip, out=tmp_path / "out", video=False).standing.is_complete
    assert names(tmp_path / "out" / "clip.mp4") == ROWS


def test_with_and_without_video_are_two_archives(clip: Path, tmp_path: Path) -> None:
    archived(clip, out=tmp_path / "out")
    with pytest.raises(UsageError, match="video True, now False"):
        archived(clip, out=tmp_path / "out", video=False)


def test_pictures_are_no_video(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), picture())
    assert archived(tmp_path / "one.png", out=tmp_path / "out").standing.is_complete
    assert names(tmp_path / "out" / "one.png") == ["000000.parquet"]


@pytest.fixture(scope="module")
def ended(clip: Path) -> Path:
    """An archive whose run was ended when all parts were there."""
    out = clip.with_name("ended")
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        patch.setattr(joins, "join", lambda *_: [])
        summary = archived(clip, out=out)
    assert names(out / "clip.mp4") == PARTS
    assert (len(summary.standing.there), summary.standing.is_complete) == (2, False)
    return out


@pytest.fixture
def in_parts(ended: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(ended, tmp_path / "out")


def test_a_run_that_ended_before_parts_were_joined_leaves_only_that(in_parts: Path) -> None:
    summary = archived(out=in_parts)
    assert (summary.outcome.made, summary.standing.is_complete) == (0, True)
    assert names(in_parts / "clip.mp4") == JOINED


def test_a_run_that_ended_after_parts_were_joined_leaves_only_their_removal(in_parts: Path) -> None:
    annotated = in_parts / "clip.mp4" / "annotated.mp4"
    annotated.write_bytes(b"joined before")
    assert archived(out=in_parts).standing.is_complete
    assert annotated.read_bytes() == b"joined before"
    assert names(in_parts / "clip.mp4") == JOINED


def test_rows_without_their_part_of_the_video_are_made_again(in_parts: Path) -> None:
    (in_parts / "clip.mp4" / "000001.mp4").unlink()
    summary = archived(out=in_parts)
    assert (summary.outcome.made, summary.standing.is_complete) == (1, True)
    assert names(in_parts / "clip.mp4") == JOINED


def test_rows_that_were_lost_are_made_again_and_the_video_stays(in_parts: Path) -> None:
    archived(out=in_parts)
    (in_parts / "clip.mp4" / "000001.parquet").unlink()
    assert archived(out=in_parts).standing.is_complete
    assert names(in_parts / "clip.mp4") == JOINED


def test_a_damaged_part_is_named_and_without_it_all_comes_right(in_parts: Path) -> None:
    part = in_parts / "clip.mp4" / "000001.mp4"
    part.write_bytes(b"no video")
    summary = archived(out=in_parts)
    assert not summary.standing.is_complete
    assert [reason for reason in summary.unjoined.values() if "clip.mp4/000001.mp4 is damaged" in reason]
    assert names(in_parts / "clip.mp4") == PARTS
    part.unlink()
    assert archived(out=in_parts).standing.is_complete


def test_parts_of_two_encoders_are_not_joined(in_parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h264, "ENCODERS", ("mpeg4",))
    (in_parts / "clip.mp4" / "000001.mp4").unlink()
    summary = archived(out=in_parts)
    assert [reason for reason in summary.unjoined.values() if "different encoders" in reason]
    assert names(in_parts / "clip.mp4") == PARTS


def test_the_sound_of_another_file_is_not_taken(in_parts: Path) -> None:
    plan = in_parts / "plan.json"
    plan.write_text(plan.read_text().replace('"stamp": "', '"stamp": "1'))
    summary = archived(out=in_parts)
    assert [reason for reason in summary.unjoined.values() if "changed since it was planned" in reason]
    assert names(in_parts / "clip.mp4") == PARTS


def test_of_two_runs_at_once_one_joins_and_none_fails(in_parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*joined: Any) -> list[str]:
        join(*joined)  # by the other run, after this one has looked
        monkeypatch.setattr(video, "is_there", lambda *_: False)
        return join(*joined)

    monkeypatch.setattr(joins, "join", late)
    summary = archived(out=in_parts)
    assert (summary.unjoined, summary.standing.is_complete) == ({}, True)


def test_parts_in_an_object_store_are_joined_there(ended: Path, tmp_path: Path) -> None:
    local, remote = FolderStorage(ended), open_storage(f"memory:/{tmp_path}")
    plan = find_plan(local)
    assert plan
    for job in plan.jobs():
        remote.write(job.video_name, local.read(job.video_name) or b"")
    join(plan.videos[0], remote, SourceConfig(), threading.Event())
    assert remote.names("clip.mp4") == {"annotated.mp4"}


def test_ctrl_c_does_not_wait_for_videos_to_be_joined(in_parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_parts / "clip.mp4" / "000001.parquet").unlink()
    begun = threading.Event()

    def interrupted(_: LocalWorkers, attempts: Attempts) -> None:
        attempt = attempts.take()
        assert attempt
        attempts.tell(attempt, Told(0, done=True))
        assert begun.wait(60)
        raise KeyboardInterrupt

    def endless(joined: Video, storage: Storage, config: Any, stop: threading.Event) -> list[str]:
        begun.set()
        assert stop.wait(60)
        return join(joined, storage, config, stop)

    monkeypatch.setattr(LocalWorkers, "run", interrupted)
    monkeypatch.setattr(joins, "join", endless)
    with pytest.raises(KeyboardInterrupt):
        archived(out=in_parts)
    assert names(in_parts / "clip.mp4") == [name for name in PARTS if name != "000001.parquet"]
    assert not list(in_parts.rglob(".*"))


def test_on_the_command_line_status_tells_of_videos_to_come_and_workers_make_them(in_parts: Path) -> None:
    (in_parts / "clip.mp4" / "000001.mp4").unlink()
    told = invoke("archive", "--out", in_parts, "--status")
    assert told.returncode == 1
    assert "1 of 2 parts of 1 source, 1 annotated video to come" in told.stderr
    made = invoke("archive", "--out", in_parts, "--segment", "1", "--video")
    assert made.returncode == 0, made.stderr
    assert names(in_parts / "clip.mp4") == JOINED
    assert len(shown(in_parts / "clip.mp4" / "annotated.mp4").pictures) == 40
