"""What disks, shares, clocks and people do to an archive: each a clear line, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from humandetect.archive import worker
from humandetect.archive.plan import NAME
from humandetect.archive.run import archive, standing_of
from humandetect.config import ArchiveConfig, DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import MissingExtra, SinkError, UsageError
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import files
from humandetect.pipeline.run import run as detect
from humandetect.storage import FolderStorage
from tests.archive.clips import TEN, write_people
from tests.archive.worker_here import Silent, work_here
from tests.builders import make_clip, picture
from tests.command_line import error_line, invoke
from tests.fakes import FakeEngine
from tests.media.clips import cut, damage, fast_start
from tests.media.gone import open_going

if TYPE_CHECKING:
    import threading
    from io import BufferedReader

    import numpy as np

    from humandetect.archive.run import ArchiveSummary
    from humandetect.engines.base import RawDetections

PARTS = ["a.mkv/000000.parquet", "a.mkv/000001.parquet", "a.mkv/000002.parquet"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("videos") / "a.mkv", frames=75, options=TEN)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    work_here(monkeypatch)


def make(out: Path, *videos: Path, retries: int = 1, **options: Any) -> ArchiveSummary:
    sources = tuple(map(str, videos))
    config = ArchiveConfig(sources=sources, out=out, segment_seconds=1, jobs=1, retries=retries, **options)
    return archive(config, Silent())


def files_in(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.name != NAME)


def test_missing_packages_are_one_line_before_the_plan(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"^archive needs more: pip install 'humandetect\[archive\]'$"):
        make(tmp_path / "out", video)
    assert not (tmp_path / "out" / NAME).exists()


def test_nothing_disturbs_it(video: Path, tmp_path: Path) -> None:
    assert make(tmp_path / "out", video).standing.is_complete
    assert files_in(tmp_path / "out") == PARTS


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_of_a_video_that_is_cut_off_it_is_said_how_much_is_missing_whenever_it_is_looked_at(
    name: str, tmp_path: Path
) -> None:
    write = fast_start if name == "a.mp4" else make_clip
    video = cut(write(tmp_path / name, frames=50, codec="mpeg4", width=320, height=240), 0.3)
    first, again = make(tmp_path / "out", video).standing, make(tmp_path / "out", video).standing
    later = standing_of(ArchiveConfig(out=tmp_path / "out"))
    assert first.is_complete
    said, *more = {line for standing in (first, again, later) for line in standing.warnings()}
    assert not more
    assert said.startswith(repr(str(video)))
    assert "frames could be read: the file is cut off" in said


def test_what_a_folder_has_besides_is_said_by_later_runs_too(video: Path, tmp_path: Path) -> None:
    (tmp_path / "videos" / "inner").mkdir(parents=True)
    (tmp_path / "videos" / video.name).write_bytes(video.read_bytes())
    first, again = (make(tmp_path / "out", tmp_path / "videos").standing.warnings() for _ in range(2))
    assert [*first] == [*again] == [f"{str(tmp_path / 'videos')!r}: 1 folder in it not read: --recursive does"]


def test_of_many_warnings_the_first_are_told_and_how_many_more(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out", video)
    for number in range(7):
        note = b'{"source": "b.avi", "warnings": ["it is cut off"]}'
        FolderStorage(tmp_path / "out").write(f"warned/b.avi_{number:06d}.json", note)
    read, names = FolderStorage.read, []

    def noted(storage: FolderStorage, name: str) -> bytes | None:
        names.append(name)
        return read(storage, name)

    monkeypatch.setattr(FolderStorage, "read", noted)
    told = invoke("archive", "--out", tmp_path / "out", "--status").stderr.splitlines()
    assert told == ["3 of 3 parts of 1 source", *["warning: 'b.avi': it is cut off"] * 5, "warning: 2 more like these"]
    assert len([name for name in names if name.startswith("warned")]) == 5


def test_pictures_keep_the_names_they_were_given_and_a_damaged_one_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = Path("pictures")
    pictures.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (pictures / name).write_bytes(encode_jpeg(picture(320, 240)))
    (pictures / "b.jpg").write_bytes((pictures / "b.jpg").read_bytes()[:700])
    standing = make(tmp_path / "out", pictures).standing
    assert standing.is_complete
    assert len(warnings := [*standing.warnings()]) == 1
    assert re.search("'pictures': cannot read '.*b.jpg': a damaged image", warnings[0])
    rows = pq.read_table(tmp_path / "out" / "pictures" / "000000.parquet")
    assert rows["source"].to_pylist() == ["pictures/a.jpg", "pictures/c.jpg"]


def test_many_pictures_are_parts_that_are_made_alone_and_come_together_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humandetect.archive.plan.PICTURES_A_PART", 2)
    monkeypatch.chdir(tmp_path)
    pictures, out = [Path("pictures", f"{name}.jpg") for name in "abcde"], tmp_path / "out"
    pictures[0].parent.mkdir()
    for one in pictures:
        one.write_bytes(encode_jpeg(picture(320, 240)))
    assert make(out, Path("pictures"), plan=True).standing.parts == 3
    (out / "pictures").mkdir()
    pictures[4].write_bytes(encode_jpeg(picture(320, 242)))
    first = make(out, Path("pictures"))
    assert (first.outcome.made, [job.name for job, _ in first.outcome.failed]) == (2, ["pictures/000002.parquet"])
    assert "changed since it was planned" in first.outcome.failed[0][1]
    (out / NAME).unlink()  # as a new plan, of which two parts are there
    again = make(out, Path("pictures"), retry_failed=True, merge=str(tmp_path / "all.jsonl"))
    assert (again.outcome.made, again.standing.is_complete) == (1, True)
    sources = [json.loads(line)["source"] for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert sources == ["pictures", *map(str, pictures)]


def test_a_picture_that_went_with_its_share_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "pictures" / name).write_bytes(encode_jpeg(picture(320, 240)))

    regular = files._regular

    def all_but_one(path: Path) -> BufferedReader:
        if path.name == "b.jpg":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return regular(path)

    monkeypatch.setattr(files, "_regular", all_but_one)
    (_, reason), *more = make(tmp_path / "out", tmp_path / "pictures").outcome.failed
    assert "b.jpg': Stale file handle" in reason
    assert not more


def test_pictures_of_here_are_found_from_anywhere_beside_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        Path(name).write_bytes(encode_jpeg(picture(320, 240)))
    make(tmp_path / "out", tmp_path / "a.jpg", Path("b.jpg"), plan=True)
    monkeypatch.chdir("/")
    assert make(tmp_path / "out").standing.is_complete


def test_after_damage_rows_are_those_of_detect_and_parts_say_what_was_not_decoded(tmp_path: Path) -> None:
    video = damage(write_people(tmp_path / "a.mp4", options=TEN), every=7)
    plain, merged = tmp_path / "plain.jsonl", tmp_path / "merged.jsonl"
    config = DetectConfig((str(video),), results=(str(plain),), results_score=0.1)
    with Detector(FakeEngine()) as detector:
        detect(config, detector=detector)
    summary = make(tmp_path / "out", video, merge=str(merged))
    assert summary.standing.is_complete
    assert merged.read_bytes() == plain.read_bytes()
    tables = [pq.read_table(part) for part in sorted((tmp_path / "out").rglob("*.parquet"))]
    looked = [row for table in tables for row in table["detected"].to_pylist()]
    assert (len(looked), looked.count(False)) == (60, summary.outcome.missing)
    assert summary.outcome.missing > 0


@pytest.mark.skipif(sys.platform == "darwin", reason="its disks have only names in UTF-8")
def test_names_may_be_any_bytes(video: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mkv")
    Path(odd).write_bytes(video.read_bytes())
    assert make(tmp_path / "out", Path(odd)).standing.is_complete
    assert pq.read_table(tmp_path / "out" / "caf.mkv" / "000000.parquet")["source"][0].as_py().endswith("/caf�.mkv")


@pytest.mark.skipif(sys.platform == "darwin", reason="its disks have only names in UTF-8")
def test_no_name_makes_a_hidden_folder(video: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mkv")
    Path(odd).write_bytes(video.read_bytes())
    assert make(tmp_path / "out", Path(odd), plan=True).standing.plan.videos[0].folder == "mkv"


def test_a_group_of_pictures_for_all_of_a_video_is_one_segment(tmp_path: Path) -> None:
    long = write_people(tmp_path / "long.mkv", frames=75, options={"g": "1000", "bf": "0", "sc_threshold": "0"})
    assert make(tmp_path / "out", long).outcome.frames == 75
    assert files_in(tmp_path / "out") == ["long.mkv/000000.parquet"]


def test_a_full_disk_ends_it_and_with_room_the_same_command_goes_on(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out", video, plan=True)
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse(errno.ENOSPC))
        with pytest.raises(SinkError, match=r"cannot write .*out.*: the disk is full"):
            make(tmp_path / "out", video)
    assert files_in(tmp_path / "out") == []
    assert make(tmp_path / "out", video).standing.is_complete


def test_where_parts_cannot_be_written_it_ends_and_no_video_is_given_up(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FolderStorage.write

    def small_ones(storage: FolderStorage, name: str, data: bytes) -> None:
        if name.endswith(".parquet"):
            raise SinkError("the disk is full but for a few notes")
        write(storage, name, data)

    with monkeypatch.context() as full:
        full.setattr(FolderStorage, "write", small_ones)
        with pytest.raises(SinkError, match="full but for a few notes"):
            make(tmp_path / "out", video)
    assert files_in(tmp_path / "out") == []
    assert make(tmp_path / "out", video).standing.is_complete


def test_a_source_beside_the_parts_of_its_archive_is_read(video: Path) -> None:
    for _ in range(2):
        assert make(video.parent, video, plan=True).standing.parts == len(PARTS)


def test_an_archive_may_lie_in_the_folder_of_its_sources(video: Path, tmp_path: Path) -> None:
    source = tmp_path / video.name
    source.write_bytes(video.read_bytes())
    for _ in range(2):
        assert make(tmp_path, tmp_path).standing.is_complete
    assert source.read_bytes() == video.read_bytes()


def test_an_archive_among_its_sources_is_none_of_them(video: Path, tmp_path: Path) -> None:
    out, recursive = tmp_path / "people", SourceConfig(recursive=True)
    (tmp_path / video.name).write_bytes(video.read_bytes())
    make(out, tmp_path, source=recursive, plan=True)
    (out / video.name).mkdir()
    (out / video.name / "annotated.mp4").write_bytes(video.read_bytes())
    assert make(out, tmp_path, source=recursive, plan=True).standing.parts == len(PARTS)


@pytest.mark.parametrize("place", ["a.mkv", "failed"])
def test_nothing_is_merged_into_the_parts(place: str, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, video)
    part = out / place / "000000.parquet"
    before = part.read_bytes() if part.exists() else None
    with pytest.raises(UsageError, match="lies among the parts of the archive"):
        make(out, merge=str(part))
    assert (part.read_bytes() if part.exists() else None) == before
    assert make(out, merge=str(out / "all.parquet")).merged == out / "all.parquet"


@pytest.mark.parametrize("question", ["--plan", "--status"])
def test_a_question_does_nothing_of_what_is_asked_beside_it_or_stands_in_a_file(
    question: str, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "out", video)
    for act in (("--merge", "all.csv"), ("--retry-failed",)):
        refused = invoke("archive", "--out", "out", question, *act)
        assert refused.returncode == 2
        assert error_line(refused) == f"error: {act[0]} means nothing with {question}: leave one of them out"
    said = '[archive]\nmerge = "all.csv"\nretry-failed = true\nsegment = 1\n'
    Path("humandetect.toml").write_text(said, encoding="utf-8")
    asked = invoke("archive", "--out", "out", question)
    assert asked.returncode == 0, asked.stderr
    assert not Path("all.csv").exists()


def test_a_source_that_is_given_twice_is_made_so_often_and_told(video: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.mkv"
    link.symlink_to(video)
    standing = make(tmp_path / "out", video, Path(os.path.relpath(video)), link, plan=True).standing
    assert [*standing.warnings()] == [f"{str(video)!r} is given 3 times: its people count as often"]
    assert len(standing.missing) == 3 * len(PARTS)


def test_so_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(picture(320, 240)))
    warnings = make(tmp_path / "out", tmp_path, tmp_path, plan=True).standing.plan.warnings
    assert warnings == (f"{str(tmp_path / 'a.jpg')!r} is given 2 times: its people count as often",)


def test_where_nothing_may_be_written_it_says_so_before_it_works(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EACCES))
    with pytest.raises(SinkError, match=r"cannot write .*plan\.json.: no right to write there"):
        make(tmp_path / "out", video)
    assert files_in(tmp_path / "out") == []


def test_a_file_is_no_folder_for_results(video: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for out in (file, file / "out"):
        with pytest.raises(SinkError, match=f"cannot write '{out}/plan.json': '{file}' is no folder"):
            make(out, video)


def refuse(number: int) -> Any:
    """Return what fails as the system does."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_share_that_goes_away_costs_what_it_has_and_with_it_back_the_rest_is_made(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out", video, plan=True)
    with monkeypatch.context() as going:
        going.setattr("humandetect.media.sources.segments.open_file", open_going)
        outcome = make(tmp_path / "out", video).outcome
    assert outcome.missing == 0, "no frame is one that cannot be decoded"
    assert outcome.made + len(outcome.failed) == len(PARTS)
    assert {reason for _, reason in outcome.failed} == {"reading failed: Stale file handle"}
    assert make(tmp_path / "out", video, retry_failed=True).standing.is_complete
    assert files_in(tmp_path / "out") == PARTS


def test_a_video_that_changes_while_it_is_read_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_people(tmp_path / "a.mp4", frames=75, options=TEN)
    make(tmp_path / "out", video, plan=True)

    class Cutting(FakeEngine):
        def infer(self, images: np.ndarray) -> RawDetections:
            os.truncate(video, 20_000)
            return super().infer(images)

    monkeypatch.setattr(worker, "load_engine", lambda _: Cutting())
    outcome = make(tmp_path / "out", video).outcome
    assert (outcome.made, outcome.missing) == (0, 0), "no frame is one that cannot be decoded"
    assert {reason for _, reason in outcome.failed} == {
        f"{str(video)!r} changed since it was planned: choose another --out"
    }


def test_a_source_that_is_gone_is_named(video: Path, tmp_path: Path) -> None:
    gone = tmp_path / "b.mkv"
    gone.write_bytes(video.read_bytes())
    make(tmp_path / "out", video, gone, plan=True)
    gone.unlink()
    outcome = make(tmp_path / "out").outcome
    assert (outcome.made, len(outcome.failed)) == (3, 3)
    assert {reason for _, reason in outcome.failed} == {f"cannot read {str(gone)!r}: No such file or directory"}


def test_clocks_that_disagree_do_not_matter(video: Path, tmp_path: Path) -> None:
    make(tmp_path / "out", video)
    for name, seconds in zip(PARTS, (0, 1e9, 5e9), strict=True):
        os.utime(tmp_path / "out" / name, (seconds, seconds))
    (tmp_path / "out" / PARTS[1]).unlink()
    assert make(tmp_path / "out", video).outcome.made == 1


def test_another_version_than_that_of_the_plan_is_refused(video: Path, tmp_path: Path) -> None:
    make(tmp_path / "out", video, plan=True)
    plan = json.loads((tmp_path / "out" / NAME).read_text())
    plan["made"]["humandetect"] = "0.1"
    (tmp_path / "out" / NAME).write_text(json.dumps(plan))
    with pytest.raises(UsageError, match=r"humandetect '0\.1', now .*: choose another --out"):
        make(tmp_path / "out", video)


@pytest.mark.parametrize("where", ["os.fsync", "os.link", "humandetect.archive.plan.cut"])
def test_ctrl_c_while_it_plans_leaves_nothing(
    where: str, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", video)
    assert not list(tmp_path.rglob("*.*"))


def test_ctrl_c_stops_all_that_is_planned_side_by_side(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def cut(path: str, _config: object, *, seconds: float, stop: threading.Event, warnings: list[str]) -> tuple[()]:
        begun.append(path)
        if len(begun) == 1:
            raise KeyboardInterrupt
        assert stop.wait(30)
        return ()

    monkeypatch.setattr("humandetect.archive.plan.cut", cut)
    monkeypatch.setattr("humandetect.archive.plan.PLANNED_AT_ONCE", 2)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", *[video] * 9)
    assert len(begun) < 9
