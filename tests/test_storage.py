"""Files of an archive: whole or not there, and never changed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import SinkError
from humandetect.storage import FolderStorage, Storage, open_storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.object_store import ObjectStore

KINDS = ("folder", "folder without links", "s3", "memory")


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Return one where nothing is yet."""
    if request.param == "s3":
        return open_storage(f"{request.getfixturevalue('bucket')}/new/archive")
    if request.param == "memory":
        return open_storage(f"memory:/{tmp_path}")
    if request.param == "folder without links":
        monkeypatch.setattr(os, "link", refuse_to_link)
    (tmp_path / "new").mkdir()
    return open_storage(tmp_path / "new")


def refuse_to_link(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_what_is_written_is_read_and_named(storage: Storage) -> None:
    storage.write("a/1", b"one")
    assert storage.read("a/1") == b"one"
    storage.write("plan", b"plan")
    assert storage.names("a") == {"1"}
    assert storage.names("") == {"a/1", "plan"}
    assert storage.read("a/2") is None
    assert storage.names("b") == set()
    assert open_storage(storage.address).read("a/1") == b"one"


def test_of_two_that_create_one_does(storage: Storage) -> None:
    assert [storage.create("plan", data) for data in (b"first", b"second")] == [True, False]
    assert storage.read("plan") == b"first"
    assert storage.names("") == {"plan"}


@pytest.mark.skipif(sys.platform != "linux", reason="tells which folder a descriptor is by /proc")
@pytest.mark.parametrize("write", [FolderStorage.create, FolderStorage.write])
def test_names_outlive_a_power_cut_as_well_as_what_they_name(
    write: Callable[[FolderStorage, str, bytes], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe: dict[str, set[str]] = {}

    def fsync(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").resolve()
        if place.is_dir():
            safe[place.name] = {path.name for path in place.iterdir()}

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "new").mkdir()
    write(FolderStorage(tmp_path / "new"), "a", b"one")
    assert "a" in safe["new"]
    assert safe[tmp_path.name] == {"new"}


def test_a_long_file_is_there_whole_or_not_at_all(storage: Storage) -> None:
    with pytest.raises(ValueError, match="half"):
        write_half(storage)
    assert storage.names("a") == set()
    with storage.writing("a/1") as path:
        path.write_bytes(b"whole")
        assert storage.names("a") == set()
    with storage.open("a/1") as file:
        assert file.seek(1) == 1
        assert file.read() == b"hole"


def write_half(storage: Storage) -> None:
    with storage.writing("a/1") as path:
        path.write_bytes(b"half")
        raise ValueError("half")


def test_what_is_removed_is_gone_and_may_be_gone_before(storage: Storage) -> None:
    storage.write("a/1", b"one")
    storage.remove("a/1")
    storage.remove("a/1")
    assert storage.names("a") == set()


def test_a_name_that_is_taken_is_no_file_until_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "plan").touch()
    storage = FolderStorage(tmp_path)
    assert storage.read("plan") is None
    assert not storage.create("plan", b"second")


def test_to_write_create_or_list_files_of_an_object_store_is_one_request(
    bucket: str, object_store: ObjectStore
) -> None:
    storage = open_storage(bucket)
    object_store.asked.clear()
    storage.write("a/1", b"one")
    storage.create("plan", b"plan")
    storage.names("")
    path = bucket.removeprefix("s3:/")
    assert object_store.asked == [f"PUT {path}/a/1", f"PUT {path}/plan", f"GET {path}"]


def test_a_creation_whose_answer_was_lost_is_a_creation(bucket: str, object_store: ObjectStore) -> None:
    storage = open_storage(bucket)
    storage.create("plan", b"plan")
    assert storage.create("plan", b"plan")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("AccessDenied", "no permission"),
        ("QuotaExceeded", "the bucket is full: make room"),
        ("InvalidAccessKeyId", "the access key"),
    ],
)
def test_what_an_object_store_refuses_is_told(fault: str, words: str, bucket: str, object_store: ObjectStore) -> None:
    storage = open_storage(bucket)
    with object_store.failing(lambda _: fault), pytest.raises(SinkError, match=f"cannot write '{bucket}/a': .*{words}"):
        storage.write("a", b"")


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OSError, match="Stale file handle"):
        FolderStorage(tmp_path).names("")


def test_where_nothing_can_be_written_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot write"):
        FolderStorage(tmp_path / "file").write("a/1", b"")


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    living = storage._written(tmp_path / "a" / "2", b"")
    killed = living.with_name(living.name.replace(f".{os.getpid()}.", f".{dead_process()}."))
    killed.touch()
    storage.sweep(["a"])
    assert living.exists()
    assert not killed.exists()
    assert storage.names("a") == set()


def dead_process() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_a_folder_that_is_gone_is_not_made_again_by_who_writes_into_it(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "share" / "people")
    storage.create("plan", b"plan")
    shutil.rmtree(tmp_path / "share")
    with pytest.raises(SinkError, match=r"people/a/1.*people' is gone"):
        storage.write("a/1", b"one")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("is_link", [False, True])
def test_what_is_no_folder_holds_nothing_and_is_told(is_link: bool, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.symlink_to(tmp_path / "nowhere") if is_link else place.touch()
    storage = FolderStorage(place)
    assert storage.read("plan") is None
    with pytest.raises(SinkError, match=r"cannot write .*plan': .*place' is no folder"):
        storage.create("plan", b"plan")
