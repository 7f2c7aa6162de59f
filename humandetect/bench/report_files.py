"""The report in files: JSON, CSV, Markdown, and the picture."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from io import StringIO
from typing import TYPE_CHECKING

from humandetect.errors import SinkError, UsageError
from humandetect.media.sinks.atomic_files import sink_error

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.bench.figures import BenchReport

PLOT_ENDINGS = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report goes. None: not there."""

    json: Path | None = None
    csv: Path | None = None
    markdown: Path | None = None
    plot: Path | None = None

    def check(self) -> None:
        """Find before minutes are spent what cannot be written after them. Raises UsageError and SinkError."""
        if self.plot is not None and self.plot.suffix.lower() not in PLOT_ENDINGS:
            raise UsageError(f"--plot {str(self.plot)!r} must end in {' or '.join(PLOT_ENDINGS)}")
        paths = self._paths()
        if len({path.absolute() for path in paths}) < len(paths):
            raise UsageError("two outputs have the same name: choose different ones")
        for path in paths:
            if path.is_dir():
                raise SinkError(f"{str(path)!r} is a folder: name a file in it")
            if not path.absolute().parent.is_dir():
                raise SinkError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}")

    def write(self, report: BenchReport, *, compared_with: BenchReport | None = None) -> list[Path]:
        """Write what was asked for; return where. Raises SinkError."""
        from humandetect.bench.tables import markdown

        if self.json is not None:
            _write(self.json, json.dumps(asdict(report), indent=2) + "\n")
        if self.csv is not None:
            _write(self.csv, as_csv(report))
        if self.markdown is not None:
            _write(self.markdown, markdown(report, compared_with=compared_with))
        if self.plot is not None:
            from humandetect.bench.plot import plot

            try:
                plot(report, self.plot, format=self.plot.suffix[1:].lower())
            except OSError as error:
                raise sink_error(self.plot, error) from error
        return self._paths()

    def _paths(self) -> list[Path]:
        return [path for path in (self.json, self.csv, self.markdown, self.plot) if path is not None]


def as_csv(report: BenchReport) -> str:
    """Return one row a load and target."""
    rows = [_flat(row) for row in asdict(report)["figures"]]
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows({**row, "interrupted": report.interrupted} for row in rows)
    return text.getvalue()


def _flat(row: dict[str, object]) -> dict[str, object]:
    """Make columns of what holds several values."""
    flat: dict[str, object] = {"interrupted": False}
    for name, value in row.items():
        if name == "stages_ms_per_image" and isinstance(value, dict):
            flat |= {f"{stage}_ms_per_image": spent for stage, spent in value.items()}
        elif isinstance(value, dict):
            flat[name] = "; ".join(f"{count} x {kind}" for kind, count in value.items())
        elif isinstance(value, list):
            flat[name] = " ".join(map(str, value))
        else:
            flat[name] = value
    return flat


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise sink_error(path, error) from error
