"""Only a complete result stands under its name."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import SinkError
from humandetect.media.sinks.atomic_files import PendingFile, sink_error

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    pending = PendingFile(target)
    pending.path.write_text("new")
    assert target.read_text() == "old"
    assert pending.finish(complete=True) == target
    assert target.read_text() == "new"
    assert names(tmp_path) == ["out.txt"]


def test_the_file_grows_hidden_in_the_same_folder_and_with_the_same_ending(tmp_path: Path) -> None:
    pending = PendingFile(tmp_path / "out.mp4")
    assert pending.path.parent == tmp_path
    assert pending.path.name.startswith(".out.")
    assert pending.path.suffix == ".mp4"


def test_partial_results_get_a_name_that_says_so(tmp_path: Path) -> None:
    pending = PendingFile(tmp_path / "out.coco.json", ending=".coco.json")
    pending.path.write_text("half")
    assert pending.finish(complete=False) == tmp_path / "out.partial.coco.json"
    assert names(tmp_path) == ["out.partial.coco.json"]


def test_an_empty_partial_result_is_removed(tmp_path: Path) -> None:
    assert PendingFile(tmp_path / "out.txt").finish(complete=False) is None
    assert names(tmp_path) == []


def test_a_partial_result_takes_the_next_free_name_and_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.partial.txt").write_text("an input, or an earlier run's")
    for text in ("second", "third"):
        pending = PendingFile(tmp_path / "out.txt")
        pending.path.write_text(text)
        pending.finish(complete=False)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "out.partial.txt": "an input, or an earlier run's",
        "out.partial_2.txt": "second",
        "out.partial_3.txt": "third",
    }


def test_a_discarded_file_is_gone_and_the_old_one_is_not(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    pending = PendingFile(target)
    pending.discard()
    pending.discard()
    assert names(tmp_path) == ["out.txt"]


def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    pending = PendingFile(link)
    pending.path.write_text("new")
    pending.finish(complete=True)
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_two_runs_with_one_target_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    assert PendingFile(target).path != PendingFile(target).path


def test_result_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        pending = PendingFile(tmp_path / "out.txt")
    finally:
        os.umask(before)
    assert pending.path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["with space.txt", "ünïcode.txt", "new\nline.txt", "-dash.txt", "%03d.txt", "a:b.txt"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    pending = PendingFile(tmp_path / name)
    assert pending.finish(complete=True) == tmp_path / name
    assert names(tmp_path) == [name]


def test_a_name_as_long_as_the_disk_allows_will_do(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 125 + ".txt")
    assert PendingFile(target).finish(complete=True) == target


def test_a_relative_target_is_answered_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    assert PendingFile(Path("out.txt")).finish(complete=True) == Path("out.txt")


def test_a_missing_folder_is_named_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"the folder '.*nowhere' does not exist: create it first"):
        PendingFile(tmp_path / "nowhere" / "out.txt")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="it is a folder"):
        PendingFile(tmp_path)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EFBIG, "size limit"),
        (errno.EROFS, "no right to write there: choose another folder"),
        (errno.EACCES, "no right to write there"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_an_error_says_what_helps(tmp_path: Path, number: int, words: str) -> None:
    message = str(sink_error(tmp_path / "out.mp4", OSError(number, os.strerror(number))))
    assert "out.mp4" in message
    assert words in message
    assert "\n" not in message


def test_a_read_only_folder_fails_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:  # chmod would not stop root
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SinkError, match="no right to write there"):
        PendingFile(tmp_path / "out.txt")


def test_a_target_that_became_a_folder_loses_no_space(tmp_path: Path) -> None:
    pending = PendingFile(tmp_path / "out.txt")
    (tmp_path / "out.txt").mkdir()
    with pytest.raises(SinkError):
        pending.finish(complete=True)
    assert names(tmp_path) == ["out.txt"]


def test_a_pipe_or_device_is_never_replaced(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.jsonl", tmp_path / "link.jsonl"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for target in (pipe, link):
        with pytest.raises(SinkError, match="device or a pipe"):
            PendingFile(target)
    assert pipe.is_fifo()
