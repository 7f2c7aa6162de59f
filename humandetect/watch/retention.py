"""Deletes recordings: oldest first over all cameras, and never what is being written or is not ours."""

from __future__ import annotations

import bisect
import logging
import shutil
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from humandetect.media.sinks.atomic_files import reason_of
from humandetect.watch.segments import files_in, finish_remains, started_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.config.recording import RecordConfig

Reason = Literal["age", "size", "space"]

_LOOK_AGAIN_SECONDS = 600.0
"""Somebody may have deleted or added files; a look at a hundred thousand costs two seconds."""

logger = logging.getLogger(__name__)


class _Kept(NamedTuple):
    started: float
    path: Path
    bytes: int


class Retention:
    """Keeps a folder of recordings within its limits; shared by all cameras, from any thread."""

    def __init__(
        self,
        folder: Path,
        config: RecordConfig,
        *,
        clock: Callable[[], float] = time.time,
        disk: Callable[[Path], tuple[int, int]] = lambda folder: shutil.disk_usage(folder)[::2],
    ) -> None:
        """`disk` returns the size of the disk and what is free of it, in bytes."""
        self.deleted: Counter[Reason] = Counter()
        self._folder, self._config = folder, config
        self._clock, self._disk = clock, disk
        self._kept: list[_Kept] = []
        self._looked: float | None = None
        self._trouble: str | None = None
        """So that it is said once, and not by each camera at each try."""
        self._lock = threading.Lock()

    def add(self, path: Path) -> None:
        """Tell of a file that is complete now."""
        with self._lock, suppress(OSError):
            if (started := started_at(path)) is not None:
                bisect.insort(self._kept, _Kept(started, path, path.stat().st_size))

    @property
    def kept_bytes(self) -> int:
        """Of all recordings that are complete, as far as is known."""
        with self._lock:
            return sum(kept.bytes for kept in self._kept)

    def make_room(self) -> None:
        """Delete what is too much. Never raises: what cannot be deleted is logged."""
        with self._lock:
            try:
                trouble = self._make_room()
            except OSError as error:
                self._looked = None  # what comes back may be another disk, or have files that were cut off
                trouble = f"cannot look for old recordings in {self._folder}: {reason_of(error)}"
            if trouble and trouble != self._trouble:
                logger.warning("%s", trouble)
            self._trouble = trouble

    def _make_room(self) -> str | None:
        """Return why not all was deleted that should have been. Raises OSError."""
        self._look()
        total = sum(kept.bytes for kept in self._kept)
        size, free = self._disk(self._folder)
        stubborn: list[str] = []
        gone = 0
        for kept in self._kept:
            reason = self._reason(kept, total=total, free=free, size=size)
            if reason is None:
                break
            gone += 1
            try:
                if _delete(kept.path):
                    self.deleted[reason] += 1
                    free += kept.bytes
            except OSError as error:
                stubborn.append(f"cannot delete the old recording {kept.path}: {reason_of(error)}")
            total -= kept.bytes
        del self._kept[:gone]
        others = f" (and {len(stubborn) - 1} more)" if len(stubborn) > 1 else ""
        return stubborn[0] + others if stubborn else None

    def _look(self) -> None:
        now = time.monotonic()
        if self._looked is not None and now - self._looked <= _LOOK_AGAIN_SECONDS:
            return
        if self._looked is None:
            finish_remains(self._folder)
        self._kept = sorted(_recordings(self._folder))
        self._looked = now

    def _reason(self, oldest: _Kept, *, total: int, free: int, size: int) -> Reason | None:
        keep, most = self._config.keep_seconds, self._config.max_bytes
        if keep is not None and self._clock() - oldest.started > keep:
            return "age"
        if most is not None and total > most:
            return "size"
        return "space" if free < self._config.min_free_bytes(size) else None


def _recordings(folder: Path) -> Iterator[_Kept]:
    for entry in files_in(folder):
        path = Path(entry)
        if (started := started_at(path)) is not None:
            with suppress(OSError):
                yield _Kept(started, path, entry.stat(follow_symlinks=False).st_size)


def _delete(path: Path) -> bool:
    """Delete a file, and the folder of its day with the last one; tell whether it was there. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):  # others are in it
        path.parent.rmdir()
    return True
