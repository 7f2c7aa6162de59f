"""Compiled models are kept for the next run, and never in the way of this one."""

from __future__ import annotations

import errno
import os
import tempfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.engines import compiled_cache as compiled
from humandetect.engines.compiled_cache import CompiledCache

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    CompiledCache(tmp_path / "new" / "folder").save("a", b"compiled")
    cache = CompiledCache(tmp_path / "new" / "folder")
    assert cache.load("a") == b"compiled"
    assert cache.load("b") is None


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100])
def test_a_damaged_file_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    cache = CompiledCache(tmp_path)
    cache.save("a", b"compiled")
    next(tmp_path.iterdir()).write_bytes(content)
    assert cache.load("a") is None
    cache.save("a", b"again")
    assert cache.load("a") == b"again"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = CompiledCache(tmp_path / "file" / "folder")
    cache.save("a", b"compiled")
    assert cache.load("a") is None


def test_what_was_not_used_for_longest_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "KEEP_BYTES", 300)
    cache = CompiledCache(tmp_path)
    for age, key in enumerate(["used", "unused"]):
        cache.save(key, b"x" * 100)
        for path in tmp_path.iterdir():
            os.utime(path, (1000 - age, 1000 - age))
    cache.load("used")
    cache.save("new", b"x" * 100)
    assert cache.load("unused") is None
    assert cache.load("used")
    assert cache.load("new")


def test_one_model_larger_than_the_limit_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "KEEP_BYTES", 10)
    cache = CompiledCache(tmp_path)
    cache.save("large", b"x" * 100)
    assert cache.load("large")


def test_no_other_file_is_left_behind(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    cache.save("a", b"compiled")
    cache.save("a", b"compiled")
    assert [path.suffix for path in tmp_path.iterdir()] == [".blob"]


@pytest.mark.parametrize("failing", ["write", "close", "replace"])
def test_a_full_disk_is_no_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def temporary_file(**options: Any) -> Any:
        file = tempfile.NamedTemporaryFile(**options)  # noqa: SIM115  the caller closes it
        setattr(file, failing, full)
        return file

    if failing == "replace":
        monkeypatch.setattr(type(tmp_path), "replace", full)
    else:
        monkeypatch.setattr(compiled, "tempfile", SimpleNamespace(NamedTemporaryFile=temporary_file))
    cache = CompiledCache(tmp_path)
    cache.save("a", b"compiled")
    assert cache.load("a") is None
    assert list(tmp_path.iterdir()) == []
