"""Files of a recording: packets as they came, under a hidden name until a file is complete.

Names are of the wall clock, `DOOR/2026-11-26/10-21-00.mp4`, as people look for them. In the hour that the end of summer
time repeats they have the offset, too; a name that is taken gets a number.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import struct
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from humandetect.watch.layout import TICK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from humandetect.watch.layout import Layout

    AnyPacket = av.Packet[Any]

_BOX = struct.Struct(">I4sQ")
"""The head of a box of MP4: its length, its kind, and its length where the first is 1."""
_LEAST_BOX = 8
_DISAGREE_SECONDS = 10.0
"""From here on a camera's clock is not believed: it was set, or runs wild."""
_BACK_SECONDS = 1.0
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)/(\d\d)-(\d\d)-(\d\d)([+-]\d{4})?(?:_\d+)?\.(?:mp4|mov|mkv)")


class SegmentFile:
    """A file that grows under a hidden name. Raises OSError, or what libav raises, from all that writes."""

    def __init__(self, folder: Path, name: str, *, layout: Layout, started: datetime) -> None:
        """`name` is relative to the folder of recordings, and is given a number where it is taken."""
        self.bytes = 0
        self._started = started
        wished = folder / name
        for above in (wished.parent.parent, wished.parent):  # not `folder`: a disk that is not mounted is no place
            above.mkdir(exist_ok=True)
        self.path, self._lock = _reserve(wished)
        """The name when it is complete."""
        try:
            self._out, self._streams = layout.open(_hidden(self.path))
        except BaseException:
            _hidden(self.path).unlink(missing_ok=True)
            os.close(self._lock)
            raise
        self._clocks = {index: _FileClock() for index in self._streams}
        self._offset: float | None = None

    def write(self, packet: AnyPacket, arrived: datetime) -> None:
        """Write a packet at its time in this file; it is not of use to others afterwards."""
        stream = self._streams.get(index := packet.stream_index)
        if stream is None or packet.time_base is None:
            return
        clock, base = self._clocks[index], stream.time_base or TICK
        stamp = packet.dts if packet.dts is not None else packet.pts
        source = None if stamp is None else float(stamp * packet.time_base)
        if clock.offset is None:  # sound keeps its distance to the pictures
            clock.offset = self._offset
        dts = clock.ticks(source, (arrived - self._started).total_seconds(), base)
        if self._offset is None:
            self._offset = clock.offset
        shown_after = 0 if packet.pts is None or packet.dts is None else packet.pts - packet.dts
        scale = packet.time_base / base
        packet.duration = round((packet.duration or 0) * scale)
        packet.dts, packet.pts = dts, dts + max(round(shown_after * scale), 0)
        packet.time_base, packet.stream = base, stream
        size = packet.size
        self._out.mux_one(packet)
        self.bytes += size

    def close(self) -> Path | None:
        """Give it its name and return that, or None where nothing was written; without its end it plays, too."""
        hidden, plays = _hidden(self.path), self.bytes > 0
        try:
            try:
                self._out.close()
            except (OSError, av.error.FFmpegError):
                _cut_broken_end(hidden)
                plays = _plays(hidden)
            if plays:
                hidden.rename(self.path)
                return self.path
            hidden.unlink()
            return None
        finally:
            os.close(self._lock)


class _FileClock:
    """Turns a camera's stamps into increasing ticks of a file."""

    def __init__(self) -> None:
        self.offset: float | None = None
        """From the camera's clock to the file's, in seconds."""
        self._last: int | None = None
        self._source: float | None = None
        self._arrived = self._expected = 0.0

    def ticks(self, source: float | None, arrived: float, base: Fraction) -> int:
        """`arrived`, in seconds of the file by this machine's clock, counts where a stamp is missing or wild."""
        expected = self._advance(source, arrived)
        at = expected
        if source is not None:
            if self.offset is None or self._is_wild(source + self.offset, expected, base):
                self.offset = expected - source
            at = source + self.offset
        ticks = round(at / float(base))
        self._last = max(ticks, 0 if self._last is None else self._last + 1)
        return self._last

    def _advance(self, source: float | None, arrived: float) -> float:
        """Return when it came, as if nobody had set this machine's clock meanwhile."""
        passed = arrived - self._arrived
        step = None if source is None or self._source is None else source - self._source
        if step is not None and 0 <= step <= _DISAGREE_SECONDS and not 0 <= passed <= _DISAGREE_SECONDS:
            passed = step
        self._arrived, self._source = arrived, source
        self._expected += max(passed, 0)
        return self._expected

    def _is_wild(self, at: float, expected: float, base: Fraction) -> bool:
        before = at if self._last is None else float(self._last * base)
        return abs(at - expected) > _DISAGREE_SECONDS or at < before - _BACK_SECONDS


def segment_name(camera: str, started: datetime, ending: str) -> str:
    """Return the name of a file, relative to the folder of recordings; `started` has a zone, any."""
    local = started.astimezone()
    is_repeated = local.replace(tzinfo=None).astimezone().utcoffset() != local.utcoffset()
    return f"{camera}/{local:%Y-%m-%d}/{local:%H-%M-%S}{f'{local:%z}' if is_repeated else ''}{ending}"


def started_at(path: Path) -> float | None:
    """Return when a file of a recording began, as seconds since 1970, by its name; None: it is none of ours."""
    found = _NAME.fullmatch(f"{path.parent.name}/{path.name}")
    if not found:
        return None
    day, hours, minutes, seconds, offset = found.groups(default="")
    try:  # not by strptime, which is half of what a look at a hundred thousand files costs
        return datetime.fromisoformat(f"{day}T{hours}:{minutes}:{seconds}{offset}").timestamp()
    except (ValueError, OverflowError):
        return None


def files_in(folder: Path, *, depth: int = 2) -> Iterator[os.DirEntry[str]]:
    """Yield the files that lie as recordings do, whatever they are, and follow no link. Raises OSError."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if depth and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):  # gone meanwhile, or not ours to look into
                    yield from files_in(Path(entry), depth=depth - 1)
            elif not depth and entry.is_file(follow_symlinks=False):
                yield entry


def finish_remains(folder: Path) -> list[Path]:
    """Give files of killed processes, in the folder of recordings, their names; remove those that show nothing."""
    finished = []
    for path in sorted(Path(entry) for entry in files_in(folder) if entry.name.startswith(".")):
        target = path.with_name(path.name[1:])
        if started_at(target) is None:
            continue
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # who writes still holds it
                _cut_broken_end(path)
                if not _plays(path):
                    path.unlink()
                    continue
                target = next(name for name in _numbered(target) if not name.exists())
                path.rename(target)
                finished.append(target)
            finally:
                os.close(descriptor)
    return finished


def _cut_broken_end(path: Path) -> None:
    """Cut an MP4 after the last second that is whole: half a picture stops decoders."""
    if path.suffix == ".mkv":  # its clusters say where they begin, and decoders go on there
        return
    size, whole, end = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while len(head := file.read(_BOX.size)) == _BOX.size:
            length, kind, long_length = _BOX.unpack(head)
            length = long_length if length == 1 else length
            end += length
            if length < _LEAST_BOX or end > size:
                break
            if kind != b"moof":  # the list of a second, which is nothing without it
                whole = end
            file.seek(end)
    os.truncate(path, whole)


def _plays(path: Path) -> bool:
    try:
        with av.open(str(path)) as container:
            return any(packet.size for packet in container.demux(video=0))
    except (OSError, IndexError, av.error.FFmpegError):
        return False


def _reserve(wished: Path) -> tuple[Path, int]:
    """Make the hidden file of the first free name, locked as long as the descriptor is open."""
    for path in _numbered(wished):
        if path.exists():
            continue
        with suppress(FileExistsError):
            descriptor = os.open(_hidden(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return path, descriptor
            os.close(descriptor)  # who finishes remains took it for one before it was locked
    raise AssertionError("endless names ended")


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_stem(f"{path.stem}_{number}")


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}")
