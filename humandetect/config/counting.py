"""What is counted in a run: lines, zones, and where events and counts are written."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from humandetect.config.fields import check
from humandetect.config.option import Opt, require

FIRST_YEAR, END_YEAR = 1970, 9000
"""Of a wall clock that can be believed, and that months can be added to."""


@dataclass(frozen=True, slots=True)
class CountingConfig:
    """Lines and zones to count at; all of it needs tracks."""

    scene: Annotated[
        Path | None,
        Opt("Lines and zones to count at (TOML); they need tracks, which they imply.", "Counting", metavar="FILE"),
    ] = None
    line: Annotated[
        tuple[str, ...],
        Opt("Count who crosses a line, in pixels or percent. Repeatable.", "Counting", metavar="NAME=X1,Y1,X2,Y2"),
    ] = ()
    zone: Annotated[
        tuple[str, ...],
        Opt("Count who is in a polygon. Repeatable.", "Counting", metavar="NAME=X1,Y1,X2,Y2,X3,Y3,..."),
    ] = ()
    events: Annotated[
        str | None,
        Opt(
            "What happened, as .jsonl, .csv or .parquet; - is JSON lines on stdout, each when it is certain.",
            "Counting",
            metavar="FILE",
            variable=None,
        ),
    ] = None
    counts: Annotated[
        Path | None,
        Opt("Sums per interval and line or zone, as .csv or .parquet.", "Counting", metavar="FILE", variable=None),
    ] = None
    per_seconds: Annotated[
        float, Opt("Length of an interval of --counts.", "Counting", needs=("counts", "report")), Ge(1), Le(86_400)
    ] = 60.0
    event_crops: Annotated[
        Path | None,
        Opt("A picture of whom each event is about, into this folder.", "Counting", metavar="DIR", variable=None),
    ] = None
    started: Annotated[
        str | None,
        Opt(
            "Wall clock at the start of each file, as 2026-11-26T09:30:00; live sources have their own.",
            "Counting",
            metavar="TIME",
            variable=None,
        ),
    ] = None
    heatmap: Annotated[
        Path | None,
        Opt(
            "Where people stood and for how long, as .png; a folder for several sources.",
            "Counting",
            metavar="FILE",
            variable=None,
        ),
    ] = None
    report: Annotated[
        Path | None,
        Opt(
            "One page of charts, tables and the heatmap, as .html; implies --track.",
            "Counting",
            metavar="FILE",
            variable=None,
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self)
        events = self.events
        require(
            events in (None, "-") or str(events).lower().endswith((".jsonl", ".csv", ".parquet")),
            f"events are written as .jsonl, .csv, .parquet or - (stdout), got {events!r}",
        )
        require(
            self.counts is None or self.counts.suffix.lower() in (".csv", ".parquet"),
            f"counts are written as .csv or .parquet, got {self.counts}",
        )
        require(
            self.heatmap is None or self.heatmap.suffix.lower() in (".png", ""),
            f"a heatmap is written as .png, got {self.heatmap}",
        )
        require(
            self.report is None or self.report.suffix.lower() in (".html", ".htm"),
            f"a report is written as .html, got {self.report}",
        )
        require(
            self.started is None or self.started_at is not None,
            f"expected a date and time between 1970 and 9000, such as 2026-11-26T09:30:00 or "
            f"2026-11-26T09:30:00+01:00, got {self.started!r}",
        )

    def require_places(self) -> None:
        """Raise UsageError where something is to be written of lines and zones, and there are none."""
        require(self.wanted or self.counts is None, "--counts needs what to count at: --line, --zone or --scene")
        require(
            self.wanted or not self.event_crops, "--event-crops needs where things happen: --line, --zone or --scene"
        )
        require(self.wanted or self.events is None, "--events needs where things happen: --line, --zone or --scene")

    @property
    def started_at(self) -> datetime | None:
        """`started` with its zone, this machine's where it names none; None where it is no time."""
        try:
            at = datetime.fromisoformat(self.started or "")
        except ValueError:
            return None
        if not FIRST_YEAR <= at.year < END_YEAR:
            return None
        return at if at.tzinfo else at.astimezone()

    @property
    def writes(self) -> bool:
        """Whether anything is written of what is counted."""
        return any((self.events, self.counts, self.heatmap, self.report, self.event_crops))

    @property
    def wanted(self) -> bool:
        """Whether anything is counted."""
        return bool(self.scene or self.line or self.zone)
