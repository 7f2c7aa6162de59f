"""An archive analyzed by several processes: the bytes that one gives, and a clear end whatever happens."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

pytest.importorskip("pyarrow")

from humandetect.analytics.saved import SavedResults
from humandetect.archive.jobs import Job, Video
from humandetect.archive.parts import PartRows
from humandetect.archive.plan import NAME, Plan
from humandetect.config import AnalyzeConfig, CountingConfig
from humandetect.errors import HumanDetectError, SinkError
from humandetect.media.sources.segments import Segment
from humandetect.pipeline.analyze import analyze
from humandetect.pipeline.analyze_workers import VideoReport
from humandetect.pipeline.run import NoProgress
from humandetect.pipeline.summary import RunInterrupted
from humandetect.storage import FolderStorage
from tests.builders import make_clip
from tests.children import children_with
from tests.pipeline.test_analyze import SCENE, save
from tests.pipeline.test_stages import FRAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    import psutil

    from humandetect.pipeline.summary import RunSummary

VIDEOS, PART_FRAMES = 6, 8


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What detect saves of some videos."""
    folder = tmp_path_factory.mktemp("saved")
    clip = make_clip(folder / "clip.mp4", frames=FRAMES, fps=10)
    save(clip, results=folder / "clip.jsonl")
    lines = (folder / "clip.jsonl").read_text(encoding="utf-8")
    names = (str(clip.with_name(f"{number}.mp4")) for number in range(VIDEOS))
    (folder / "r.jsonl").write_text("".join(lines.replace(str(clip), name) for name in names), encoding="utf-8")
    return folder / "r.jsonl"


@pytest.fixture
def archive(results: Path, tmp_path: Path) -> Path:
    """The same as an archive of a few parts a video."""
    out, videos = tmp_path / "archive", []
    for number, (made, frames) in enumerate(SavedResults(results)):
        firsts = range(0, FRAMES, PART_FRAMES)
        segments = tuple(Segment(n, k, min(PART_FRAMES, FRAMES - k), k, None) for n, k in enumerate(firsts))
        videos.append(Video(made.source, (made.source,), "video", f"video{number}", "", segments))
        for job in (Job(videos[-1], segment) for segment in segments):
            rows = PartRows(job, made, model_sha256="")
            for frame in islice(frames, PART_FRAMES):
                rows.add(frame)
            (out / job.name).parent.mkdir(parents=True, exist_ok=True)
            (out / job.name).write_bytes(rows.as_bytes())
    (out / NAME).write_bytes(Plan({}, tuple(videos), {}).as_json())
    return out


def ask(saved: Path, into: Path, *, progress: NoProgress | None = None, **options: Any) -> RunSummary:
    into.mkdir(exist_ok=True)
    counting = CountingConfig(
        **SCENE, events=str(into / "events.jsonl"), counts=into / "counts.csv", report=into / "report.html"
    )
    config = AnalyzeConfig((saved,), results=(str(into / "ids.jsonl"), str(into / "ids.mot.txt")), counting=counting)
    return analyze(replace(config, **options), progress=progress)


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


class When(NoProgress):
    """Does something once frames were looked at."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.total: int | None = None
        self.seen = 0

    def start(self, _name: str, total: int | None) -> None:
        self.total = total

    def frames(self, number: int) -> None:
        self.seen += number
        self.act()


def workers() -> list[psutil.Process]:
    return children_with("humandetect.pipeline.analyze_worker")


@pytest.mark.usefixtures("traced")
def test_side_by_side_they_give_the_bytes_that_one_process_gives(archive: Path, results: Path, tmp_path: Path) -> None:
    (archive / "video1" / "000001.parquet").unlink()
    progress = When(lambda: None)
    alone = ask(archive, tmp_path / "alone", jobs=1)
    together = ask(archive, tmp_path / "together", jobs=2, progress=progress)
    expected = {
        name: content.replace(b"alone", b"together").replace(b"jobs 1", b"jobs 2")
        for name, content in outputs(tmp_path / "alone").items()
    }
    assert outputs(tmp_path / "together") == expected
    assert expected["report.html"].count(b"<h2>Where people stood") == VIDEOS - 1
    told = replace(together, seconds=0, outputs=(), pictures={})
    assert told == replace(alone, seconds=0, outputs=(), pictures={})
    assert "1 of its 3 parts are not there yet" in told.warnings[0]
    assert (progress.seen, progress.total) == ((VIDEOS - 1) * FRAMES, VIDEOS * FRAMES)
    assert not workers()


def test_a_damaged_part_is_named_and_what_came_before_it_is_kept(archive: Path, tmp_path: Path) -> None:
    part = archive / "video2" / "000001.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    for jobs in (1, 2):
        summary = ask(archive, tmp_path / f"{jobs}", jobs=jobs)
        (failure,) = summary.failures
        assert str(part) in str(failure)
        assert "remove it, and `archive` makes it again" in str(failure)
        assert (summary.frames, len(summary.sources)) == (2 * FRAMES + PART_FRAMES, 3)
        assert (tmp_path / f"{jobs}" / "events.partial.jsonl").is_file()
    assert outputs(tmp_path / "1")["events.partial.jsonl"] == outputs(tmp_path / "2")["events.partial.jsonl"]


def test_a_part_that_a_share_does_not_give_is_not_called_damaged(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, gone = FolderStorage.read, "video3/000001.parquet"

    def read_of_share(storage: FolderStorage, name: str) -> bytes | None:
        if name == gone:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(storage, name)

    monkeypatch.setattr(FolderStorage, "read", read_of_share)
    (failure,) = ask(archive, tmp_path / "asked", jobs=1).failures
    assert str(failure) == f"cannot read {str(archive / gone)!r}: Stale file handle"


def test_a_signal_ends_the_workers(archive: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    config = AnalyzeConfig((archive,), results=(str(tmp_path / "ids.jsonl"),), jobs=2)
    with pytest.raises(RunInterrupted):
        analyze(config, progress=When(stop.set), stop=stop)
    assert not workers()


def test_a_lost_worker_ends_the_run_with_its_exit_code(archive: Path, tmp_path: Path) -> None:
    def kill() -> None:
        for worker in workers():
            worker.kill()

    config = AnalyzeConfig((archive,), results=(str(tmp_path / "ids.jsonl"),), jobs=2)
    with pytest.raises(HumanDetectError, match=r"exit code -9: .* fewer --jobs"):
        raise_failures(analyze(config, progress=When(kill)))
    assert not workers()


def raise_failures(summary: RunSummary) -> None:
    """Raise what failed after the first video was written, as what fails before it is raised."""
    for failure in summary.failures:
        raise failure


class Answering:
    """A worker that answers at once."""

    def __init__(self, *_: object, **__: object) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
    def send(self, _value: object) -> None: ...
    def receive(self, _within_seconds: float) -> VideoReport:
        return VideoReport(1, b"what is to be written", done=True)


def test_where_there_is_no_room_to_wait_in_the_error_says_where(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humandetect.pipeline.analyze_workers.Child", Answering)
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda _size: full)
        with pytest.raises(SinkError, match=r"cannot write to .*: No space left on device: set TMPDIR"):
            ask(archive, tmp_path, jobs=2)
