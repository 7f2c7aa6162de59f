"""The report and the heatmap as outputs of a run: whole, or as NAME.partial.EXT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.media.sinks.atomic_files import PendingFile, sink_error
from humandetect.media.sinks.base import Sink
from humandetect.media.sinks.text import ResultsSink
from humandetect.reporting.page import HEAD, NOTHING, TAIL, section

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.analytics.report import SourceReport
    from humandetect.media.frames import DetectedFrame


class ReportSink(ResultsSink):
    """One page for all sources of a run; it takes their reports, by `add`, and nothing of frames."""

    picture = "clean"  # not to be written: the stage that reports looks at it

    def __init__(self, path: Path) -> None:
        super().__init__(path, _ReportPage(), ending=path.suffix)
        self._empty = True

    def add(self, report: SourceReport) -> None:
        """Write the section of a source that has ended."""
        self.append(section(report))
        self._empty = False

    def write(self, result: DetectedFrame) -> None:
        """Take nothing of a frame."""

    def close(self, *, complete: bool = True) -> Path | None:
        if complete and self._empty:
            self.append(NOTHING)
            self._empty = False
        return super().close(complete=complete)


class _ReportPage:
    head, tail = HEAD, TAIL

    def text(self, result: DetectedFrame) -> str:  # noqa: ARG002
        return ""


class HeatmapSink(Sink):
    """The heatmap of one source as PNG, drawn once the source has ended."""

    picture = "clean"  # as above

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._pending: PendingFile | None = PendingFile(path)
        self._report: SourceReport | None = None
        self._written: Path | None = None

    def add(self, report: SourceReport) -> None:
        """Take the report of the source, which has ended."""
        self._report = report

    def write(self, result: DetectedFrame) -> None:
        """Take nothing of a frame."""

    def close(self, *, complete: bool = True) -> Path | None:
        pending, self._pending = self._pending, None
        if pending is None:
            return self._written
        try:
            if self._report is not None:
                from humandetect.reporting.heat_file import write_heatmap  # matplotlib is slow to import

                write_heatmap(self._report.heatmap, pending.path)
            self._written = pending.finish(complete=complete and self._report is not None)
        except OSError as error:
            raise sink_error(self._path, error) from error
        finally:
            pending.discard()
        return self._written
