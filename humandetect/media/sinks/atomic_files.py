"""Result files that stand under their own name only when they are complete."""

from __future__ import annotations

import errno
import glob
import itertools
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from humandetect.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path

_FULL = "the disk is full: free some space or write somewhere else"
_READ_ONLY = "no right to write there: choose another folder"
_FIXES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: "the disk quota is used up: free some space or write somewhere else",
    errno.EFBIG: "the file grew beyond the size limit of the disk or the process: write somewhere else",
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EROFS: _READ_ONLY,
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


def sink_error(path: Path, error: Exception) -> SinkError:
    """Say why `path` cannot be written and what helps. Takes OSError and PyAV's errors."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        reason = f"the folder {str(path.parent)!r} does not exist: create it first"
    elif number == errno.ENOTDIR:
        reason = f"{str(next(above for above in path.parents if above.exists()))!r} is no folder"
    else:
        reason = reason_of(error)
    return SinkError(f"cannot write {str(path)!r}: {reason}")


def reason_of(error: Exception) -> str:
    """Say in a few words what stopped the writing, and what helps where that is known."""
    return _FIXES.get(getattr(error, "errno", None) or 0) or getattr(error, "strerror", None) or str(error)


QUIET_SECONDS = 30.0
"""What nobody has written to for so long, nobody writes any more."""


class PendingFile:
    """A file that grows beside its target under a hidden name until it is complete.

    Raises SinkError at once where the target could not be written. After `kill -9` only the hidden
    file is left; an older file under the target's name stays untouched until `finish`.
    """

    def __init__(self, target: Path, *, ending: str | None = None) -> None:
        if target.is_dir():
            raise SinkError(f"cannot write {str(target)!r}: it is a folder; name a file in it")
        # A link keeps pointing where it does: the file behind it is the one to replace.
        self._target = target.resolve() if target.is_symlink() else target
        if self._target.exists() and not self._target.is_file():  # replacing a device would break the machine
            raise SinkError(f"cannot write {str(target)!r}: it is a device or a pipe; name a file")
        self._ending = target.suffix if ending is None else ending
        # Cut, because the hidden name is longer than the target's, which may be as long as the disk allows.
        self.path = self._target.with_name(f".{self._stem[:50]}.{secrets.token_hex(4)}.part{self._ending}").absolute()
        """Where to write meanwhile. Exists and is empty; absolute, as FFmpeg reads `a:b.mp4` as a protocol."""
        try:
            _create(self.path)
        except OSError as error:
            raise sink_error(target, error) from error

    def beside(self) -> Path:
        """Return a name for a second version of it, hidden too."""
        return self.path.with_name(f"{self.path.name}.2")

    def remains(self, worth: str) -> list[str]:
        """Tell of what earlier runs left of the same file when they were killed, if nobody writes to it now."""
        beside = f".{glob.escape(self._stem[:50])}.{'[0-9a-f]' * 8}.part{glob.escape(self._ending)}"
        told = []
        for path in sorted(self._target.parent.glob(beside)):
            with suppress(OSError):
                if path.stat().st_size and time.time() - path.stat().st_mtime > QUIET_SECONDS:
                    told.append(f"an earlier run left {path}, {worth}")
        return told

    @property
    def _stem(self) -> str:
        return self._target.name.removesuffix(self._ending)

    def finish(self, *, complete: bool) -> Path | None:
        """Give the file its name and return it; None: it was to be partial, was empty, and is removed.

        That is the target's name, or else NAME.partial.EXT, NAME.partial_2.EXT ..., the first one that is free.
        """
        if not complete and self.path.stat().st_size == 0:
            self.discard()
            return None
        try:
            final = self._target if complete else self._reserve_partial()
            self.path.replace(final)
        except OSError as error:
            self.discard()
            raise sink_error(self._target, error) from error
        return final

    def _reserve_partial(self) -> Path:
        """Create the first partial file that is not there yet: no earlier one is lost, nor an input of that name."""
        for number in itertools.count(1):
            partial = "partial" if number == 1 else f"partial_{number}"
            path = self._target.with_name(f"{self._stem}.{partial}{self._ending}")
            with suppress(FileExistsError):
                _create(path)
                return path
        raise AssertionError("endless names ended")

    def discard(self) -> None:
        """Remove what was written."""
        self.path.unlink(missing_ok=True)


def _create(path: Path) -> None:
    """Make an empty file. Raises FileExistsError where there is one."""
    # Not by tempfile: its files are private (0600), a result follows the user's umask.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def make_folder(folder: Path) -> None:
    """Make a folder for results, with those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {str(folder)!r}: {error.strerror or error}") from error
