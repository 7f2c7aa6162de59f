"""Where an archive's results lie: named files that appear whole or not at all, and are never changed."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import psutil

from humandetect.errors import SinkError
from humandetect.media.sinks.atomic_files import sink_error
from humandetect.object_stores import open_file_system, open_object, plainly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

_NODE = re.sub(r"[^\w-]", "-", platform.node())
"""Part of the names of files that are being written: whether their writer lives, only its machine knows."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What shares and cards say that know no hard links."""


class Storage(Protocol):
    """Names are relative, with `/`. What exists is complete: that is all the state there is."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def address(self) -> Path | str:
        """What opens it from another folder."""
        ...

    def names(self, folder: str) -> set[str]:
        """Return the names, from there, of all files in and below a folder, without those that are being written."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a file; None if there is none, or its name is only taken yet."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a long file, to be read from anywhere in it. Raises OSError."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole. Raises SinkError."""
        ...

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Give the path of an empty file to fill; with the end of the block it is there whole. Raises SinkError."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; tell whether it was written."""
        ...

    def remove(self, name: str) -> None: ...

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove what writers of this machine that were killed have left in folders."""
        ...


def _unless_there_is_none(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _name(hidden: Path, path: Path) -> None:
    """Give a file its name, which outlives a power cut as what it names does."""
    hidden.replace(path)
    _keep_name(path)


def _keep_name(path: Path) -> None:
    """Have the disk keep a name, and that of its folder, which may be new; not all systems and shares can."""
    for folder in path.parents[:2]:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def open_storage(place: Path | str) -> Storage:
    """Open a folder, or what is at an address in an object store. Raises SinkError and MissingExtra."""
    return ObjectStorage(place) if isinstance(place, str) else FolderStorage(place)


class FolderStorage:
    """A folder of this machine, or of a network share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> str:
        return str(self.folder)

    @property
    def address(self) -> Path:
        return self.folder.absolute()

    def names(self, folder: str) -> set[str]:
        top = self.folder / folder
        return {
            Path(path, name).relative_to(top).as_posix()
            for path, _, names in os.walk(top, onerror=_unless_there_is_none)
            for name in names
            if not name.startswith(".")
        }

    def read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes() or None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> BinaryIO:
        return (self.folder / name).open("rb")

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        try:
            _name(self._written(path, data), path)
        except OSError as error:
            raise sink_error(path, error) from error

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        path = self.folder / name
        try:
            hidden = self._written(path, b"").absolute()  # FFmpeg reads `a:b.mp4` as a protocol
            try:
                yield hidden
                with hidden.open("rb+") as file:
                    os.fsync(file.fileno())
                _name(hidden, path)
            finally:
                hidden.unlink(missing_ok=True)
        except OSError as error:
            raise sink_error(path, error) from error

    def create(self, name: str, data: bytes) -> bool:
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise SinkError(f"cannot write {str(path)!r}: {str(self.folder)!r} is no folder") from error
        except OSError as error:
            raise sink_error(path, error) from error
        try:
            written = self._written(path, data)
            try:
                os.link(written, path)  # fails where there is one, on network shares too
                _keep_name(path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                path.open("xb").close()  # takes the name, for an instant, by a file that is none yet
                _name(written, path)
            finally:
                written.unlink(missing_ok=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise sink_error(path, error) from error
        return True

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self.folder / name).unlink()

    def sweep(self, folders: Iterable[str]) -> None:
        for folder in folders:
            for left in (self.folder / folder).glob(f".*.{_NODE}.*.part"):
                if not psutil.pid_exists(int(left.name.split(".")[-3])):
                    left.unlink(missing_ok=True)

    def _written(self, path: Path, data: bytes) -> Path:
        """Return a hidden file beside `path` with all of the data safe on the disk."""
        try:
            path.parent.mkdir(exist_ok=True)  # no parents: where a share was, this machine's own disk would be filled
        except FileNotFoundError as error:
            raise SinkError(f"cannot write {str(path)!r}: {str(self.folder)!r} is gone: is it on a share?") from error
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


class ObjectStorage:
    """A place in an object store: a file is one request, which makes all of it or nothing."""

    def __init__(self, address: str) -> None:
        """Raises SinkError and MissingExtra."""
        self.place = self.address = address.rstrip("/")
        with self._told("open"):
            self._system, self._root = open_file_system(self.place)

    def names(self, folder: str) -> set[str]:
        top = self._path(folder)
        with suppress(FileNotFoundError), self._told("list", folder, unless=FileNotFoundError):
            return {name.removeprefix(f"{top}/") for name in self._system.find(top)}  # a request for 1,000 files
        return set()

    def read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError), self._told("read", name, unless=FileNotFoundError):
            return bytes(self._system.cat_file(self._path(name)))
        return None

    def open(self, name: str) -> BinaryIO:
        return open_object(f"{self.place}/{name}")

    def write(self, name: str, data: bytes) -> None:
        with self._told("write", name):
            self._system.pipe_file(self._path(name), data)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            path.touch()
            yield path
            with self._told("write", name):
                self._system.put_file(str(path), self._path(name))

    def create(self, name: str, data: bytes) -> bool:
        with suppress(FileExistsError), self._told("write", name, unless=FileExistsError):
            self._system.pipe_file(self._path(name), data, mode="create")
            return True
        return self.read(name) == data  # then it was made by a try before, whose answer was lost

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), self._told("remove", name, unless=FileNotFoundError):
            self._system.rm_file(self._path(name))

    def sweep(self, folders: Iterable[str]) -> None:
        """Nothing is ever left."""

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextmanager
    def _told(self, what: str, name: str = "", *, unless: type[OSError] | tuple[()] = ()) -> Iterator[None]:
        try:
            with plainly():
                yield
        except unless:
            raise
        except OSError as error:
            raise SinkError(f"cannot {what} {f'{self.place}/{name}'.rstrip('/')!r}: {error}") from error
