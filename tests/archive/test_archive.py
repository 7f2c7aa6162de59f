"""`archive`: the rows of plain `detect`, each once, whatever ended on the way."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from humandetect.archive.plan import find_plan, make_plan
from humandetect.config import ArchiveConfig
from humandetect.errors import UsageError
from humandetect.media.images import encode_jpeg
from humandetect.storage import FolderStorage
from tests.archive.clips import B_FRAMES, OPEN_GOP, TEN, write_people
from tests.builders import picture
from tests.command_line import COMMAND, error_line, frame_lines, humandetect, invoke
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

FAST = ("--size", "small", "--segment", "1", "--jobs", "2")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "other").mkdir()
    write_people(folder / "a.mp4", frames=24, steps=(100,), options=OPEN_GOP)
    write_people(folder / "b.mkv", frames=26, steps=(80, 100, 250), options=B_FRAMES)
    write_people(folder / "other" / "a.mp4", frames=8, steps=(100,), options=TEN)
    return folder


@pytest.fixture(scope="module")
def plain(videos: Path) -> Path:
    """What detect says of the same videos."""
    results = videos.parent / "plain.jsonl"
    run = invoke(
        "detect", videos, "--recursive", "--size", "small", "--precision", "f32",
        "--results", results, "--results-score", "0.1",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return results


@pytest.fixture(scope="module")
def done(videos: Path) -> Path:
    """An archive of them."""
    out = videos.parent / "done"
    run = invoke("archive", videos, "--recursive", "--out", out, *FAST)
    assert run.returncode == 0, run.stderr
    return out


def parts(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.name != "plan.json")


def merged(out: Path) -> bytes:
    file = out.parent / f"{out.name}.jsonl"
    run = invoke("archive", "--out", out, *FAST, "--merge", file)
    assert run.returncode == 0, run.stderr
    return file.read_bytes()


def test_merged_it_is_what_detect_writes(done: Path, plain: Path) -> None:
    assert merged(done) == plain.read_bytes()


def test_so_it_is_by_a_ray_that_is_started_here(videos: Path, plain: Path, tmp_path: Path) -> None:
    file = tmp_path / "merged.jsonl"
    here = ("--cluster", "local", *FAST, "--jobs", "1")
    run = humandetect("archive", videos, "--recursive", "--out", tmp_path / "out", *here, "--merge", file)
    assert run.returncode == 0, run.stderr
    assert file.read_bytes() == plain.read_bytes()


def test_each_segment_is_a_part_and_sources_of_one_name_have_folders_of_their_own(done: Path) -> None:
    assert parts(done) == [
        "a.mp4/000000.parquet", "a.mp4/000001.parquet", "a.mp4/000002.parquet", "a.mp4_2/000000.parquet",
        "b.mkv/000000.parquet", "b.mkv/000001.parquet", "b.mkv/000002.parquet",
    ]  # fmt: skip


def test_again_it_makes_only_what_is_missing(done: Path, plain: Path) -> None:
    before = {name: (done / name).stat().st_mtime_ns for name in parts(done)}
    (done / "b.mkv" / "000001.parquet").unlink()
    assert invoke("archive", "--out", done, *FAST, "--status").returncode == 1
    run = invoke("archive", "--out", done, *FAST)
    assert run.returncode == 0, run.stderr
    assert "1 part" in run.stderr
    changed = [name for name in parts(done) if before[name] != (done / name).stat().st_mtime_ns]
    assert changed == ["b.mkv/000001.parquet"]
    assert merged(done) == plain.read_bytes()


def test_analyze_finds_the_events_that_detect_finds(done: Path, plain: Path, tmp_path: Path) -> None:
    told = []
    for saved in (done, plain):
        events = tmp_path / f"{saved.name}.events.jsonl"
        run = invoke("analyze", saved, "--zone", "all=0%,0%,100%,0%,100%,100%,0%,100%", "--events", events)
        assert run.returncode == 0, run.stderr
        told.append(events.read_bytes())
    assert told[0] == told[1] != b""


def by_pandas(pd: Any, pattern: str) -> tuple[int, int]:
    table = pd.concat(map(pd.read_parquet, Path("/").glob(pattern[1:])))
    return len(table), int(table["people"].map(len).sum())


def by_polars(pl: Any, pattern: str) -> tuple[int, int]:
    table = pl.read_parquet(pattern)
    return len(table), table["people"].list.len().sum()


def by_duckdb(duckdb: Any, pattern: str) -> tuple[int, int]:
    people = duckdb.sql(f"SELECT source, frame, unnest(people, recursive := true) FROM '{pattern}'")  # noqa: S608
    return duckdb.sql(f"FROM '{pattern}'").shape[0], people.shape[0]


@pytest.mark.parametrize(("name", "read"), [("pandas", by_pandas), ("polars", by_polars), ("duckdb", by_duckdb)])
def test_others_read_all_parts_as_one_table(
    name: str, read: Callable[[Any, str], tuple[int, int]], done: Path, plain: Path
) -> None:
    frames = frame_lines(plain)
    assert read(pytest.importorskip(name), f"{done}/*/*.parquet") == (
        len(frames), sum(len(frame["people"]) for frame in frames),
    )  # fmt: skip


def test_a_killed_worker_and_a_killed_command_cost_nothing(videos: Path, plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*COMMAND, "archive", str(videos), "--recursive", "--out", str(out), *FAST]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    eventually(lambda: any(out.rglob("*.parquet")))
    workers = psutil.Process(run.pid).children()
    workers[0].kill()
    run.kill()
    run.wait()
    psutil.wait_procs(workers, timeout=60)
    again = invoke("archive", videos, "--recursive", "--out", out, *FAST, "--jobs", "1")
    assert again.returncode == 0, again.stderr
    assert merged(out) == plain.read_bytes()
    assert not list(out.rglob(".*"))


def test_a_killed_worker_alone_is_replaced(videos: Path, plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*COMMAND, "archive", str(videos), "--recursive", "--out", str(out), *FAST]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    eventually(lambda: len(psutil.Process(run.pid).children()) == 2)
    psutil.Process(run.pid).children()[0].kill()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert merged(out) == plain.read_bytes()


@pytest.mark.usefixtures("traced")
def test_ctrl_c_is_exit_130_and_the_next_run_goes_on(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*COMMAND, "archive", str(videos), "--recursive", "--out", str(out), *FAST]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    eventually(lambda: any(out.rglob("*.parquet")))
    workers = psutil.Process(run.pid).children()
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "interrupted: what is complete stays, and the same command goes on" in said
    assert not psutil.wait_procs(workers, timeout=60)[1]


def test_a_file_that_changed_is_given_up_and_the_rest_is_made(tmp_path: Path) -> None:
    good, bad = (write_people(tmp_path / name, frames=20, options=TEN) for name in ("good.mp4", "bad.mp4"))
    out = tmp_path / "out"
    assert invoke("archive", good, bad, "--out", out, *FAST, "--plan").returncode == 0
    write_people(bad, frames=30, options=TEN)
    run = invoke("archive", "--out", out, *FAST, "--jobs", "1", "--retries", "1")
    assert run.returncode == 1
    assert "'bad.mp4'" in run.stderr or str(bad) in run.stderr
    assert "changed since it was planned" in run.stderr
    assert parts(out) == ["failed/bad.mp4_000000.json", "good.mp4/000000.parquet"]
    note = json.loads((out / "failed" / "bad.mp4_000000.json").read_text())
    assert (note["source"], note["tries"]) == (str(bad), 2)


@pytest.mark.parametrize(("option", "value"), [("--segment", "2"), ("--score", "0.9"), ("--precision", "bf16")])
def test_another_command_on_the_same_archive_is_refused(option: str, value: str, done: Path) -> None:
    options = dict(zip(FAST[::2], FAST[1::2], strict=True)) | {option: value}
    run = invoke("archive", "--out", done, *(word for pair in options.items() for word in pair))
    assert run.returncode == 2
    assert option.removeprefix("--") in error_line(run)
    assert value in error_line(run)


def test_other_sources_are_refused(done: Path, videos: Path) -> None:
    run = invoke("archive", videos / "a.mp4", "--out", done, *FAST)
    assert run.returncode == 2
    assert "b.mkv" in error_line(run)


def test_another_file_by_the_same_name_is_another_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_people(tmp_path / folder / "a.mp4", frames=10)
        monkeypatch.chdir(tmp_path / folder)
        run = invoke("archive", "a.mp4", "--out", tmp_path / "out", "--plan")
    assert run.returncode == 2
    assert f"without '{tmp_path}/y/a.mp4'; with '{tmp_path}/x/a.mp4'" in error_line(run)


def test_a_picture_more_is_another_source(tmp_path: Path) -> None:
    for names in (("a.jpg", "b.jpg"), ("c.jpg",)):
        for name in names:
            (tmp_path / name).write_bytes(encode_jpeg(picture(64, 48)))
        run = invoke("archive", tmp_path, "--out", tmp_path / "out", "--plan")
    assert run.returncode == 2
    assert f"without '{tmp_path}/c.jpg': choose" in error_line(run)


def test_what_cannot_be_read_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="read again"):
        make_plan(ArchiveConfig(sources=("rtsp://camera/stream",), out=tmp_path))


def test_an_unreadable_source_is_told_and_the_others_are_planned(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    write_people(tmp_path / "good.mp4", frames=10)
    out = tmp_path / "out"
    run = invoke("archive", tmp_path, "--out", out, "--plan")
    assert run.returncode == 1
    assert "bad.mp4" in error_line(run)
    assert "planned without it" in error_line(run)
    plan = find_plan(FolderStorage(out))
    assert plan
    assert list(plan.unreadable) == [str(tmp_path / "bad.mp4")]
    assert [video.folder for video in plan.videos] == ["good.mp4"]


def test_a_name_that_is_not_there_begins_no_archive(tmp_path: Path) -> None:
    run = invoke("archive", tmp_path / "gone.mp4", "--out", tmp_path / "out")
    assert run.returncode == 1
    assert "gone.mp4': no such file" in error_line(run)
    assert not (tmp_path / "out").exists()


def test_a_plan_is_read_as_it_was_written(videos: Path, tmp_path: Path) -> None:
    plan = make_plan(ArchiveConfig(sources=(str(videos),), out=tmp_path))
    storage = FolderStorage(tmp_path)
    storage.create("plan.json", plan.as_json())
    assert find_plan(storage) == plan


def test_every_source_has_a_folder_of_its_own_whatever_it_is_called(tmp_path: Path) -> None:
    names = ["a.mp4", "x/a.mp4", "a.mp4_2", "y/a.mp4", "failed", "plan.json", "z/failed", "w/A.mp4", "人" * 83]
    videos = []
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        videos.append(str(write_people(tmp_path / "any.mp4", frames=5).rename(tmp_path / name)))
    plan = make_plan(ArchiveConfig(sources=tuple(videos), out=tmp_path / "out"))
    folders = [video.folder for video in plan.videos]
    assert folders[:4] == ["a.mp4", "a.mp4_2", "a.mp4_2_2", "a.mp4_3"]
    assert folders[4:] == ["failed_2", "plan.json_2", "failed_3", "A.mp4_4", "人" * 33], "disks take 255 bytes"
