"""`archive` from and to object stores: what it is of folders, whatever the store does meanwhile."""

from __future__ import annotations

import json
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from humandetect.archive.run import archive, merge, standing_of
from humandetect.archive.worker import Worker
from humandetect.config import AnalyzeConfig, ArchiveConfig, CountingConfig, SourceConfig
from humandetect.errors import SinkError, SourceError, UsageError
from humandetect.pipeline.analyze import analyze
from humandetect.storage import open_storage
from tests.archive.clips import B_FRAMES, OPEN_GOP, TEN, UNEVEN, write_people
from tests.archive.worker_here import Silent, work_here
from tests.command_line import COMMAND, frame_lines
from tests.object_store import LOST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.object_store import ObjectStore

FAST = ("--size", "small", "--segment", "1", "--jobs", "1")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "night").mkdir()
    write_people(folder / "a.mp4", options=OPEN_GOP)
    write_people(folder / "b.mkv", frames=30, steps=UNEVEN, options=B_FRAMES)
    write_people(folder / "night" / "a.mp4", frames=20, options=TEN)
    return folder


@pytest.fixture
def stored(videos: Path, bucket: str) -> str:
    """Return the address of the same videos in an object store."""
    storage = open_storage(f"{bucket}/videos")
    for video in videos.rglob("*.m*"):
        storage.write(str(video.relative_to(videos)), video.read_bytes())
    return f"{bucket}/videos"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    work_here(monkeypatch)


def config_of(source: Path | str, out: Path | str) -> ArchiveConfig:
    return ArchiveConfig((str(source),), out, segment_seconds=1, jobs=1, source=SourceConfig(recursive=True))


def put_together(config: ArchiveConfig, file: Path) -> bytes:
    merge(replace(config, merge=str(file)), [])
    return file.read_bytes()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("fails", [False, True])
def test_its_rows_and_events_are_those_of_a_folder(
    fails: bool, videos: Path, stored: str, object_store: ObjectStore, tmp_path: Path
) -> None:
    faults = cycle(["SlowDown", "InternalError", LOST])
    there, local = config_of(stored, f"{stored}-people"), config_of(videos, tmp_path / "people")
    with object_store.failing(lambda number: next(faults) if number % 12 == 0 else None) if fails else nullcontext():
        assert archive(there, Silent()).standing.is_complete
        assert standing_of(there).is_complete
        rows = put_together(there, tmp_path / "there.jsonl")
        told = events(there, tmp_path / "there.events.jsonl", jobs=1 if fails else 2)
    assert archive(local, Silent()).standing.is_complete
    assert rows == put_together(local, tmp_path / "local.jsonl").replace(bytes(videos), stored.encode())
    assert told == events(local, tmp_path / "local.events.jsonl", jobs=1) != []


def events(config: ArchiveConfig, file: Path, *, jobs: int) -> list[dict[str, object]]:
    counting = CountingConfig(zone=("all=0%,0%,100%,0%,100%,100%,0%,100%",), events=str(file))
    analyze(AnalyzeConfig((config.out,), counting=counting, jobs=jobs))
    own = dict.fromkeys(("id", "source"), "")  # which tell one run, and one place, from another
    return [json.loads(line) | own for line in file.read_text().splitlines()]


@pytest.mark.usefixtures("here")
def test_again_it_makes_only_what_is_missing(stored: str, object_store: ObjectStore) -> None:
    config = config_of(stored, f"{stored}-people")
    archive(config, Silent())
    open_storage(config.out).remove("a.mp4/000001.parquet")
    assert [job.name for job in standing_of(config).missing] == ["a.mp4/000001.parquet"]
    object_store.asked.clear()
    assert archive(config, Silent()).outcome.made == 1
    path = stored.removeprefix("s3:/")
    assert [one for one in object_store.asked if one.startswith("PUT")] == [f"PUT {path}-people/a.mp4/000001.parquet"]


@pytest.mark.usefixtures("here")
def test_a_video_that_changed_is_not_read(stored: str) -> None:
    config = config_of(f"{stored}/a.mp4", f"{stored}-people")
    missing = archive(replace(config, plan=True), Silent()).standing.missing
    storage = open_storage(stored)
    storage.write("a.mp4", storage.read("b.mkv") or b"")
    with Worker(config) as worker, pytest.raises(SourceError, match="changed since it was planned"):
        list(worker.work(missing[0]))


def test_two_commands_at_once_make_each_frame_once(stored: str, tmp_path: Path) -> None:
    command = [*COMMAND, "archive", f"{stored}/night", f"{stored}/*.mkv", "--out", f"{stored}-people", *FAST]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for run in runs:
        _, said = run.communicate(timeout=60)
        assert run.returncode == 0, said
    merged = tmp_path / "merged.jsonl"
    put_together(config_of(stored, f"{stored}-people"), merged)
    assert [line["frame"] for line in frame_lines(merged)] == [*range(20), *range(30)]


def test_a_bucket_that_is_not_there_is_told(videos: Path, bucket: str) -> None:
    with pytest.raises(SinkError, match=r"-other/people/plan\.json': there is no such bucket"):
        archive(config_of(videos / "a.mp4", f"{bucket}-other/people"), Silent())


def test_a_source_that_is_not_there_begins_no_archive(bucket: str) -> None:
    with pytest.raises(SourceError, match=r"gone\.mp4': no such file$"):
        archive(config_of(f"{bucket}/gone.mp4", bucket), Silent())
    assert open_storage(bucket).names("") == set()


def test_sources_that_may_not_be_listed_are_told(bucket: str, object_store: ObjectStore) -> None:
    with object_store.failing(lambda _: "AccessDenied"), pytest.raises((SourceError, SinkError), match="no permission"):
        archive(config_of(f"{bucket}/videos", bucket), Silent())


@pytest.mark.parametrize("place", ["ftp://host/people", "s3://", "s3://key:secret@bucket/people"])
def test_what_is_neither_a_folder_nor_in_an_object_store_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="neither a path nor like s3://BUCKET/PATH") as refusal:
        ArchiveConfig(("a.mp4",), place)
    assert "secret" not in str(refusal.value)
    assert "memory://" not in str(refusal.value), "which is refused, too"


def test_results_are_not_merged_into_an_object_store() -> None:
    with pytest.raises(UsageError, match="merged into a file of this machine"):
        ArchiveConfig(("a.mp4",), merge="s3://bucket/all.parquet")


def test_a_folder_may_be_given_as_an_address(tmp_path: Path) -> None:
    assert ArchiveConfig(("a.mp4",), tmp_path.as_uri()).out == tmp_path


@pytest.mark.usefixtures("here")
def test_what_is_in_memory_is_worked_on_by_this_process(videos: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mkv"):
        fsspec.filesystem("memory").pipe(f"/cameras/{name}", (videos / name).read_bytes())
    on_disk = config_of(videos / "a.mp4", tmp_path / "people")
    in_memory = ArchiveConfig(("memory://cameras",), "memory://people", segment_seconds=1)
    merged = [tmp_path / name for name in ("disk.jsonl", "memory.jsonl")]
    archive(replace(on_disk, merge=str(merged[0])), Silent())
    summary = archive(replace(in_memory, merge=str(merged[1])), Silent())
    assert summary.standing.is_complete
    assert summary.outcome.made > 1
    rows = [[(row["frame"], row["people"]) for row in frame_lines(path)] for path in merged]
    assert rows[0]
    assert rows[0] == rows[1][: len(rows[0])]
    analyze(AnalyzeConfig(("memory://people",), jobs=2, results=(str(tmp_path / "tracks.jsonl"),)))
    assert len(frame_lines(tmp_path / "tracks.jsonl")) == len(rows[1])
    assert archive(in_memory, Silent()).outcome.made == 0


@pytest.mark.usefixtures("here")
def test_what_fails_in_memory_is_given_up(videos: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/changed/a.mp4", (videos / "a.mp4").read_bytes())
    config = ArchiveConfig(("memory://changed",), "memory://changed people", plan=True)
    archive(config, Silent())
    memory.pipe("/changed/a.mp4", b"another file")
    assert archive(replace(config, sources=(), plan=False, retries=1), Silent()).outcome.failed


@pytest.mark.parametrize("others", [{"jobs": 2}, {"cluster": "local"}])
def test_what_other_processes_do_not_see_is_refused(others: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="only this process sees"):
        ArchiveConfig(("memory://a.mp4",), **others)
