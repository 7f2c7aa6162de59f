"""Opens what has a path, and the pipe on stdin, without waiting for ever and without reading devices."""

from __future__ import annotations

import io
import os
import select
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from humandetect.addresses import is_object_store
from humandetect.errors import SourceError

if TYPE_CHECKING:
    from io import BufferedReader

    from _typeshed import WriteableBuffer

_BYTES_A_PIXEL = 8
_ROOM_FOR_HEADERS = 1_000_000
_READ_BYTES = 1 << 16
_JPEG, _END_AND_JPEG, _MULTI_PICTURE = b"\xff\xd8\xff", b"\xff\xd9\xff\xd8\xff", b"MPF\0"


def open_file(path: str, *, pipe_timeout_seconds: float = 0.0) -> BufferedReader:
    """Open a file, one of an object store, or a named pipe once somebody writes to it. Else raises SourceError."""
    try:
        if is_object_store(path):
            return _object(path)
        mode = Path(path).stat().st_mode
        if stat.S_ISFIFO(mode):
            return _open_fifo(path, pipe_timeout_seconds)
        if stat.S_ISREG(mode):
            return _regular(Path(path))
    except FileNotFoundError as error:
        pattern = any(mark in path for mark in "*?[")
        camera = "" if is_object_store(path) else ". For a camera use its number, e.g. 0"
        hint = "no file has a name of this pattern" if pattern else f"no such file{camera}"
        raise SourceError(hint) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise SourceError(getattr(error, "strerror", None) or str(error)) from error
    raise SourceError(_refusal(mode) if os.access(path, os.R_OK) else "Permission denied")


def open_stdin() -> BufferedReader:
    """Open stdin. Raises SourceError where a person sits at it."""
    if os.isatty(0):
        raise SourceError("nothing is piped in; give a file, or use it as in: cat clip.mkv | humandetect detect -")
    if stat.S_ISCHR(os.fstat(0).st_mode):
        raise SourceError("stdin is a device, not a file or a pipe")
    return open(0, "rb", closefd=False)


def read_image_bytes(file: BinaryIO, *, max_megapixels: float) -> bytes:
    """Read all of an image file. Raises SourceError when it is longer than any image of the allowed size."""
    most = most_bytes(max_megapixels)
    data = file.read(most + 1)
    if len(data) > most:
        raise _too_long(max_megapixels)
    return data


def _too_long(max_megapixels: float) -> SourceError:
    return SourceError(f"longer than any image of {max_megapixels:g} megapixels")


def motion_jpeg(file: BufferedReader, *, max_megapixels: float) -> BufferedReader | bytes:
    """Return a pipe again whose JPEG is followed by another, as cameras write them; else the image that it holds.

    A telephone's JPEG may hold further views of the same picture, and says so. Raises as `read_image_bytes` does.
    """
    if not file.peek(len(_JPEG)).startswith(_JPEG):
        return read_image_bytes(file, max_megapixels=max_megapixels)
    most, data = most_bytes(max_megapixels), bytearray()
    while len(data) <= most and (more := file.read1(_READ_BYTES)):
        known = max(0, len(data) - len(_END_AND_JPEG))
        data += more
        end = data.find(_END_AND_JPEG, known)
        if end >= 0 and _MULTI_PICTURE not in data[:end]:
            return io.BufferedReader(_Again(bytes(data), file))
    if len(data) > most:
        raise _too_long(max_megapixels)
    return bytes(data)


class _Again(io.RawIOBase):
    """What was read of a pipe, and then the rest of it."""

    def __init__(self, read: bytes, rest: BufferedReader) -> None:
        self._read, self._rest = memoryview(read), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer).cast("B")
        if not self._read:
            return self._rest.readinto1(room)
        size = min(len(room), len(self._read))
        room[:size], self._read = self._read[:size], self._read[size:]
        return size

    def close(self) -> None:
        self._rest.close()
        super().close()


def most_bytes(max_megapixels: float) -> int:
    """Return how long an image file of the allowed size may be."""
    return int(max_megapixels * 1e6 * _BYTES_A_PIXEL) + _ROOM_FOR_HEADERS


def _object(address: str) -> BufferedReader:
    from humandetect.object_stores import open_object

    file = open_object(address)
    if not file.peek(1):
        raise SourceError("the file is empty")
    return file


def _regular(path: Path) -> BufferedReader:
    if not path.stat().st_size:
        raise SourceError("the file is empty")
    return path.open("rb")


def _open_fifo(path: str, timeout_seconds: float) -> BufferedReader:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN | select.POLLHUP)
    if not waiting.poll(timeout_seconds * 1000):
        os.close(descriptor)
        raise SourceError(f"nobody wrote to this pipe within {timeout_seconds:g} s")
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def _refusal(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "the folder holds no image or video"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "this is a device, not a file. For a camera use its number, e.g. 0"
    return "this is not a file that can be read"
