"""Results of a run: files in several formats, or lines on stdout."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from humandetect.errors import SinkError, UsageError
from humandetect.media.sinks.atomic_files import PendingFile, reason_of, sink_error
from humandetect.media.sinks.base import Sink
from humandetect.media.sinks.text_formats import FORMATS, Csv, JsonLines

if TYPE_CHECKING:
    from humandetect.media.frames import DetectedFrame, Provenance
    from humandetect.media.sinks.base import PictureKind
    from humandetect.media.sinks.parquet import ParquetResults
    from humandetect.media.sinks.text_formats import Format

    RunSink: TypeAlias = "ResultsSink | StdoutSink | ParquetResults"
    """Takes the results of all sources of a run."""


def open_results(path_or_dash: str, *, empty_rows: bool = False, weakest_score: float | None = None) -> RunSink:
    """Return the sink for a file, its format chosen by the ending, or for `-`, JSON lines on stdout.

    JSON lines, Parquet and CSV have weak boxes too, from `weakest_score` on.
    """
    if path_or_dash == "-":
        return StdoutSink(JsonLines(weakest_score=weakest_score))
    if path_or_dash.lower().endswith(".parquet"):
        from humandetect.media.sinks.parquet import ParquetResults

        return ParquetResults(Path(path_or_dash), weakest_score=weakest_score)
    for ending, kind in FORMATS.items():
        if path_or_dash.lower().endswith(ending):
            form = _format(kind, empty_rows=empty_rows, weakest_score=weakest_score)
            return ResultsSink(Path(path_or_dash), form, ending=path_or_dash[-len(ending) :])
    endings = ", ".join((*FORMATS, ".parquet"))
    raise UsageError(f"cannot write results to {path_or_dash!r}: the name must end in {endings}, or be -")


def _format(kind: type[Format], *, empty_rows: bool, weakest_score: float | None) -> Format:
    if kind is JsonLines:
        return JsonLines(weakest_score=weakest_score)
    return Csv(empty_rows=empty_rows, weakest_score=weakest_score) if kind is Csv else kind()


class ResultsSink(Sink):
    """Writes results as text, each frame at once, under a hidden name until complete."""

    picture: PictureKind = "none"

    def __init__(self, path: Path, form: Format, *, ending: str) -> None:
        super().__init__()
        self._path = path
        self._format = form
        self._pending = PendingFile(path, ending=ending)
        self.warnings += self._pending.remains("whose lines are whole: keep it, or delete it unless that run goes on")
        self._file = self._pending.path.open("wb", buffering=0)
        self._size = 0
        self._frames = 0
        self._closed = False
        self._written: Path | None = None

    def begin(self, provenance: Provenance) -> None:
        """Take how the next source's results are made."""
        _begin(self._format, provenance)

    def write(self, result: DetectedFrame) -> None:
        """Append the result and hand it to the system, so that a crash costs no line."""
        self.append(self._format.text(result))

    def append(self, text: str) -> None:
        """Write text, the first after the head."""
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


class StdoutSink(Sink):
    """Writes JSON lines to stdout, each at once.

    A reader that goes away (`| head`) raises BrokenPipeError: no failure of ours, the command ends quietly.
    """

    picture = "none"

    def __init__(self, form: Format) -> None:
        super().__init__()
        if sys.stdout is None:
            raise SinkError("cannot write to stdout: it is closed; write to a file instead")
        self._format = form

    def begin(self, provenance: Provenance) -> None:
        """As of ResultsSink."""
        _begin(self._format, provenance)

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


def _begin(form: Format, provenance: Provenance) -> None:
    if isinstance(form, JsonLines):  # no other format has room for it
        form.begin(provenance)
