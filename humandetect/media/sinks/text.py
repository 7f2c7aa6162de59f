"""Where results go: text files in several formats, stdout, and the people cut out as pictures."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from humandetect.errors import SinkError, UsageError
from humandetect.media.sinks.atomic_files import ClosingSink, PendingFile, reason_of, sink_error, write_image
from humandetect.media.sinks.names import stem_of
from humandetect.media.sinks.text_formats import FORMATS, JsonLines

if TYPE_CHECKING:
    from humandetect.media.frames import DetectedFrame, Frame
    from humandetect.media.sinks.atomic_files import Picture
    from humandetect.media.sinks.text_formats import Format


class Sink(Protocol):
    """Where results go."""

    @property
    def picture(self) -> Picture: ...

    warnings: list[str]
    """What was lost or changed, for people; complete after `close`."""

    def write(self, result: DetectedFrame) -> None:
        """Take the next result. Raises SinkError."""
        ...

    def close(self, *, complete: bool = True) -> Path | None:
        """Finish and return where the result is; None: nothing was written. May be called twice.

        Incomplete, what there is stays as NAME.partial.EXT.
        """
        ...


def open_results(path_or_dash: str) -> Sink:
    """Return the sink for a file, its format chosen by the ending, or for `-`, JSON lines on stdout."""
    if path_or_dash == "-":
        return StdoutSink()
    for ending, kind in FORMATS.items():
        if path_or_dash.lower().endswith(ending):
            return ResultsSink(Path(path_or_dash), kind(), ending=path_or_dash[-len(ending) :])
    raise UsageError(f"cannot write results to {path_or_dash!r}: the name must end in {', '.join(FORMATS)}, or be -")


class ResultsSink(ClosingSink):
    """Writes results as text, each frame at once, under a hidden name until complete."""

    picture = "none"

    def __init__(self, path: Path, form: Format, *, ending: str) -> None:
        super().__init__()
        self._path = path
        self._format = form
        self._pending = PendingFile(path, ending=ending)
        self._file = self._pending.path.open("wb", buffering=0)
        self._size = 0
        self._frames = 0
        self._closed = False
        self._written: Path | None = None

    def write(self, result: DetectedFrame) -> None:
        """Append the result and hand it to the system, so that a crash costs no line."""
        text = self._format.text(result)
        self._append(text if self._frames else self._format.head + text)
        self._frames += 1

    def close(self, *, complete: bool = True) -> Path | None:
        if self._closed:
            return self._written
        self._closed = True
        try:
            if complete and not self._frames:
                self._append(self._format.head)
            if complete or self._frames:
                self._append(self._format.tail)
        except SinkError:  # incomplete, every line so far is still worth keeping
            if complete:
                self._pending.discard()
                raise
        finally:
            with suppress(OSError):
                self._file.close()
        self._written = self._pending.finish(complete=complete)
        return self._written

    def _append(self, text: str) -> None:
        left = memoryview(text.encode())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            with suppress(OSError):  # half a line would spoil the whole ones before it
                self._file.truncate(self._size)
                self._file.seek(self._size)
            raise sink_error(self._path, error) from error
        self._size = self._file.tell()


class StdoutSink(ClosingSink):
    """Writes JSON lines to stdout, each at once.

    A reader that goes away (`| head`) raises BrokenPipeError: no failure of ours, the command ends quietly.
    """

    picture = "none"

    def __init__(self) -> None:
        super().__init__()
        if sys.stdout is None:
            raise SinkError("cannot write to stdout: it is closed; write to a file instead")
        self._format = JsonLines()

    def write(self, result: DetectedFrame) -> None:
        try:
            # Bytes: a terminal's encoding may not know a name's characters.
            sys.stdout.buffer.write(self._format.text(result).encode())
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SinkError(f"cannot write to stdout: {reason_of(error)}") from error

    def close(self, *, complete: bool = True) -> Path | None:  # noqa: ARG002  every line written is complete
        return None


class CropsSink(ClosingSink):
    """Writes each detected person as NAME_frame000123_1.jpg; boxes that were only kept from earlier frames are not."""

    picture = "clean"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._names: dict[str, tuple[str, int]] = {}
        """For each source its name here and its latest frame's index."""
        self._taken: set[str] = set()
        self._written = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot make the folder {str(folder)!r}: {error.strerror or error}") from error

    def write(self, result: DetectedFrame) -> None:
        """Write the crops of one frame, clipped to the picture."""
        if not result.detected:
            return
        frame = result.frame
        name = self._name_of(frame)
        height, width = frame.image.shape[:2]
        for number, (left, top, right, bottom) in enumerate(result.detections.xyxy.round().astype(int).tolist(), 1):
            crop = frame.image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            if crop.size:
                write_image(self._folder / f"{name}_frame{frame.index:06d}_{number}.jpg", crop)
                self._written = True

    def close(self, *, complete: bool = True) -> Path | None:  # noqa: ARG002  every crop written is complete
        return self._folder if self._written else None

    def _name_of(self, frame: Frame) -> str:
        """Return the source's stem, with a number where another source of the run has it, or this one once before."""
        name, latest = self._names.get(frame.source, ("", -1))
        if not name or frame.index <= latest:  # an index that does not rise is the same source given once more
            stem = stem_of(frame.source)
            names = chain([stem], (f"{stem}_{number}" for number in count(2)))
            name = next(name for name in names if name not in self._taken)
            self._taken.add(name)
        self._names[frame.source] = name, frame.index
        return name
