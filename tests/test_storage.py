"""Files of an archive: whole or not there, and never changed."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import SinkError
from humandetect.storage import FolderStorage

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read_and_named(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "new")
    storage.write("a/1", b"one")
    assert storage.read("a/1") == b"one"
    assert storage.names("a") == {"1"}
    assert storage.read("a/2") is None
    assert storage.names("b") == set()


def test_of_two_that_create_one_does(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    assert [storage.create("plan", data) for data in (b"first", b"second")] == [True, False]
    assert storage.read("plan") == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_where_nothing_can_be_written_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot write"):
        FolderStorage(tmp_path / "file").write("a/1", b"")


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    living = FolderStorage._written(tmp_path / "a" / "2", b"")
    killed = living.with_name(living.name.replace(f".{os.getpid()}.", f".{dead_process()}."))
    killed.touch()
    storage = FolderStorage(tmp_path)
    storage.sweep(["a"])
    assert living.exists()
    assert not killed.exists()
    assert storage.names("a") == set()


def dead_process() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid
