"""Files in S3 and other object stores, reached through fsspec, and what goes wrong with them in words.

Calls that fail by a server's fault, throttling or a lost connection are repeated by those libraries, later each time.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from functools import lru_cache
from glob import has_magic
from typing import TYPE_CHECKING, Any

from humandetect.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer
    from fsspec import AbstractFileSystem

_PACKAGES = {"s3": "'humandetect[s3]'", "gs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "memory": "fsspec"}
_BLOCK_BYTES = 4 << 20
"""Asked for at once: what is read is mostly read on from there, and a request takes as long as 1 MB or more."""
_KEPT_BLOCKS = 16
"""Of a process. An index is read whenever a file is opened, and eight videos are planned side by side."""
_STAMPS = ("ETag", "etag", "LastModified", "mtime", "updated", "last_modified", "created")
"""What stores call that which changes with a file."""
_NO_CREDENTIALS = (
    "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role"
)
_NO_BUCKET = "there is no such bucket: create it, or correct its name"
_UNREACHABLE = "no connection to it, or it was lost again and again: check the network, and AWS_ENDPOINT_URL"
_FULL = "the bucket is full: make room in it, or write to another"
_FIXES = {
    "NoSuchBucket": _NO_BUCKET,
    "InvalidBucketName": _NO_BUCKET,
    "NoCredentialsError": _NO_CREDENTIALS,
    "PartialCredentialsError": _NO_CREDENTIALS,
    "AccessDenied": "no permission: these credentials may not do this there",
    "InvalidAccessKeyId": "the store does not know the access key: correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key does not fit the access key: correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials ran out: get new ones",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "QuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
    "InsufficientStorage": _FULL,
    "507": _FULL,
    "SlowDown": "it asked to slow down again and again: go on later, or with fewer workers",
    "503": "it was overloaded again and again: go on later, or with fewer workers",
    "InternalError": "it failed again and again: go on later",
    "500": "it failed again and again: go on later",
    # All that is said of a look at a file.
    "403": "no permission: these credentials are unknown there, or may not do this",
    "400": "it was refused: the credentials ran out, or AWS_DEFAULT_REGION is not that of the bucket",
    "HTTPClientError": _UNREACHABLE,
    "ConnectionError": _UNREACHABLE,
    "FSTimeoutError": _UNREACHABLE,
}


@contextmanager
def plainly() -> Iterator[None]:
    """Turn whatever those libraries raise into OSError that says what helps, besides that a file is there or is not."""
    try:
        yield
    except (FileExistsError, MissingExtra):
        raise
    except Exception as error:
        codes = [*_codes(error)]
        if "PreconditionFailed" in codes:  # of which not every store says that it was the one of no such file
            raise FileExistsError from error
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in codes:
            raise
        known = next((_FIXES[code] for code in codes if code in _FIXES), None)
        raise OSError(known or str(error).partition("\n")[0] or type(error).__name__) from error


@plainly()
def open_file_system(address: str) -> tuple[AbstractFileSystem, str]:
    """Return what reaches an address, and the path there. Raises MissingExtra and OSError."""
    scheme, _, path = address.partition("://")
    scheme = scheme.lower()
    try:
        import fsspec

        # What others have written meanwhile counts: nothing is taken from lists that were read before.
        system = fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtra(f"{scheme}:// needs more: pip install {_PACKAGES[scheme]}") from error
    return system, str(system._strip_protocol(f"{scheme}://{path}"))


def _codes(error: BaseException | None) -> Iterator[str]:
    """Yield what tells the kind of an error: the store's own codes, and names of classes."""
    while error is not None:
        told: dict[str, Any] = getattr(error, "response", None) or {}
        yield str(told.get("Error", {}).get("Code"))
        status = str(told.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        yield from [status] if status != "400" else ()  # which has many reasons, and mostly a code that tells
        yield from (kind.__name__ for kind in type(error).__mro__)
        error = error.__cause__ or error.__context__


@plainly()
def stamp_of_object(address: str) -> tuple[int, str]:
    """Return the length of a file and what changes with it. Raises OSError."""
    system, path = open_file_system(address)
    told = system.info(path)
    if told["type"] == "directory":
        raise IsADirectoryError("the folder holds no image or video")
    return int(told["size"]), next((str(told[name]) for name in _STAMPS if told.get(name)), "")


def open_object(address: str) -> io.BufferedReader:
    """Open a file, of which only what is read is fetched, a block at a time. Raises OSError."""
    return io.BufferedReader(_Blocks(address))


@plainly()
def list_objects(address: str) -> tuple[list[str], list[str]]:
    """Return files and folders: those that a pattern names, or that are in a folder, or the one file of this name.

    Raises OSError.
    """
    scheme = address.partition("://")[0]
    system, path = open_file_system(address)
    found = list(system.glob(path, detail=True).values()) if has_magic(path) else system.ls(path, detail=True)
    files, folders = (
        [f"{scheme}://{one['name'].lstrip('/')}" for one in found if (one["type"] == "directory") is are_folders]
        for are_folders in (False, True)
    )
    return [file for file in files if not file.endswith("/")], folders  # some tools make such to show a folder


@lru_cache(maxsize=_KEPT_BLOCKS)
@plainly()
def _block(address: str, stamp: tuple[int, str], number: int) -> bytes:  # noqa: ARG001  # another is another file
    system, path = open_file_system(address)
    return bytes(system.cat_file(path, start=number * _BLOCK_BYTES, end=(number + 1) * _BLOCK_BYTES))


class _Blocks(io.RawIOBase):
    """A file whose blocks are fetched when they are read."""

    def __init__(self, address: str) -> None:
        self._address, self._at = address, 0
        self._stamp = stamp_of_object(address)
        self._size = self._stamp[0]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._at >= self._size:
            return 0
        number, start = divmod(self._at, _BLOCK_BYTES)
        view = memoryview(buffer)
        data = _block(self._address, self._stamp, number)[start : start + len(view)]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
