"""Where an archive's results lie: named files that appear whole or not at all, and are never changed."""

from __future__ import annotations

import os
import platform
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import psutil

from humandetect.media.sinks.atomic_files import sink_error

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NODE = re.sub(r"[^\w-]", "-", platform.node())
"""Part of the names of files that are being written: whether their writer lives, only its machine knows."""


class Storage(Protocol):
    """Names are relative, with `/`. What exists is complete: that is all the state there is."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        ...

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder, without those that are being written; none if there is none."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a file; None if there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole. Raises SinkError."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; tell whether it was written."""
        ...

    def remove(self, name: str) -> None: ...


class FolderStorage:
    """A folder of this machine, or of a network share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> str:
        return str(self.folder)

    def names(self, folder: str) -> set[str]:
        try:
            return {path.name for path in (self.folder / folder).iterdir() if not path.name.startswith(".")}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        try:
            self._written(path, data).replace(path)
        except OSError as error:
            raise sink_error(path, error) from error

    def create(self, name: str, data: bytes) -> bool:
        path = self.folder / name
        try:
            written = self._written(path, data)
            try:
                os.link(written, path)  # fails where there is one, on network shares too
            finally:
                written.unlink()
        except FileExistsError:
            return False
        except OSError as error:
            raise sink_error(path, error) from error
        return True

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self.folder / name).unlink()

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove what writers of this machine that were killed have left in folders."""
        for folder in folders:
            for left in (self.folder / folder).glob(f".*.{_NODE}.*.part"):
                if not psutil.pid_exists(int(left.name.split(".")[-3])):
                    left.unlink(missing_ok=True)

    @staticmethod
    def _written(path: Path, data: bytes) -> Path:
        """Return a hidden file beside `path` with all of the data safe on the disk."""
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{path.name}.{_NODE}.{os.getpid()}.{secrets.token_hex(4)}.part")
        try:
            with hidden.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
        return hidden
