"""Files in object stores: read in blocks, listed, and what goes wrong with them in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from humandetect import object_stores
from humandetect.errors import MissingExtra
from humandetect.object_stores import list_objects, open_file_system, open_object, stamp_of_object
from humandetect.storage import open_storage
from tests.object_store import LOST

if TYPE_CHECKING:
    from tests.object_store import ObjectStore


def put(address: str, data: bytes = b"") -> str:
    folder, _, name = address.rpartition("/")
    open_storage(folder).write(name, data)
    return address


def test_only_the_blocks_that_are_read_are_fetched(
    bucket: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_stores, "_BLOCK_BYTES", 1000)
    address = put(f"{bucket}/video", bytes(range(256)) * 40)
    object_store.asked.clear()
    with open_object(address) as file:
        file.seek(-240, 2)
        assert file.read1(1000) == bytes(range(16, 256))
        file.seek(1990)
        assert file.read(20) == bytes(number % 256 for number in range(1990, 2010))
    with open_object(address) as again:
        again.seek(1000)
        assert again.read1(1) == bytes([1000 % 256])
    assert [asked.split()[0] for asked in object_store.asked] == ["HEAD", "GET", "GET", "GET", "HEAD"]


def test_a_file_that_was_written_again_is_read_anew(bucket: str) -> None:
    address = put(f"{bucket}/video", b"before")
    stamp = stamp_of_object(address)
    with open_object(address) as file:
        assert file.read() == b"before"
    put(address, b"behind")
    assert stamp_of_object(address) != stamp
    with open_object(address) as file:
        assert file.read() == b"behind"


@pytest.mark.parametrize("scheme", ["s3", "memory"])
def test_folders_patterns_and_files_are_listed(scheme: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue("bucket") if scheme == "s3" else "memory://listed"
    a, b, c = (put(f"{root}/{name}") for name in ("door/a.mp4", "door/b.txt", "door/night/c.mp4"))
    assert list_objects(f"{root}/door") == ([a, b], [f"{root}/door/night"])
    assert list_objects(f"{root}/door/") == ([a, b], [f"{root}/door/night"])
    assert list_objects(f"{root}/door/*.mp4") == ([a], [])
    assert list_objects(f"{root}/**/*.mp4") == ([a, c], [])
    assert list_objects(a) == ([a], [])


@pytest.mark.parametrize("fault", ["SlowDown", "InternalError", LOST])
def test_what_fails_now_and_then_is_asked_again(fault: str, bucket: str, object_store: ObjectStore) -> None:
    with object_store.failing(lambda number: fault if number % 2 else None):
        address = put(f"{bucket}/file", b"data")
        with open_object(address) as file:
            assert file.read() == b"data"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("SlowDown", "slow down"),
        ("InternalError", "failed again and again"),
        (LOST, "lost"),
        ("AccessDenied", "no permission"),
        ("ExpiredToken", "the credentials ran out: get new ones"),
    ],
)
def test_what_fails_for_good_is_told_after_some_tries(
    fault: str, words: str, bucket: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of the library below, which waits longer each time
    open_file_system(bucket)[0].clear_instance_cache()
    object_store.asked.clear()
    with object_store.failing(lambda _: fault), pytest.raises(OSError, match=words):
        list_objects(bucket)
    assert len(object_store.asked) <= 10


@pytest.mark.parametrize(
    ("fault", "words"), [("AccessDenied", "are unknown there, or may not"), ("ExpiredToken", "credentials ran out, or")]
)
def test_of_a_file_that_may_not_be_looked_at_it_is_said_what_it_may_be(
    fault: str, words: str, bucket: str, object_store: ObjectStore
) -> None:
    """The answer is a number and nothing more."""
    address = put(f"{bucket}/file", b"data")
    with object_store.failing(lambda _: fault), pytest.raises(OSError, match=words):
        stamp_of_object(address)


def test_schemes_may_be_in_capitals(bucket: str) -> None:
    put(f"{bucket}/file", b"data")
    with open_object(f"S3{bucket.removeprefix('s3')}/file") as file:
        assert file.read() == b"data"


def test_a_store_that_is_not_there_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    open_file_system(bucket)[0].clear_instance_cache()
    with pytest.raises(OSError, match=r"no connection to it, .*: check the network, and AWS_ENDPOINT_URL"):
        list_objects(bucket)


def test_a_bucket_that_is_not_there_is_told(bucket: str) -> None:
    for ask in (list_objects, stamp_of_object):
        with pytest.raises(OSError, match="no such bucket: create it"):
            ask(f"{bucket}-other/folder")


def test_a_file_that_is_not_there_is_not_there(bucket: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_object(f"{bucket}/gone.mp4")


def test_missing_credentials_are_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    open_file_system(bucket)[0].clear_instance_cache()
    with pytest.raises(OSError, match="no credentials: set AWS_ACCESS_KEY_ID"):
        list_objects(bucket)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(MissingExtra, match="gs:// needs more: pip install gcsfs"):
        open_file_system("gs://bucket")
