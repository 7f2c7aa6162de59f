"""What `analyze` asks of which results."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from humandetect.config.counting import CountingConfig
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt, require


@dataclass(frozen=True, slots=True)
class AnalyzeConfig:
    """One run of `analyze`."""

    files: Annotated[
        tuple[Path | str, ...],
        Opt(
            "What `detect --results` or `feed --results` wrote, as .jsonl or .parquet, or the folder of an archive; or "
            "the watch.sqlite of `watch`.",
            "Input",
            metavar="RESULTS",
            argument=True,
            object_stores=True,
        ),
    ]
    results: Annotated[
        tuple[str, ...],
        Opt(
            "The same results with ids, as of `detect --results`. Repeatable.", "Output", metavar="FILE", variable=None
        ),
    ] = ()
    background: Annotated[
        Path | None,
        Opt("Picture of the place, behind the heatmap: results have none.", "Input", metavar="PICTURE", variable=None),
    ] = None
    jobs: Annotated[
        int | None, Opt("Workers, a process each.", "Load", unset="one a CPU", auto=True), Ge(1), Le(1024)
    ] = None
    """At the videos of an archive."""
    counting: Annotated[CountingConfig, Group(without=("event_crops",))] = field(default_factory=CountingConfig)

    def __post_init__(self) -> None:
        check(self)
        counting = self.counting
        wanted = (*self.results, counting.events, counting.counts, counting.heatmap, counting.report)
        require(
            self.background is None or bool(counting.heatmap or counting.report),
            "--background is behind the heatmap: give --heatmap or --report",
        )
        require(counting.event_crops is None, "--event-crops needs pictures, which results have not: give it to detect")
        require(any(wanted), "nothing was asked: give --events, --counts, --report, --heatmap or --results")
        if self.reads_store:
            self._require_stored()
        else:
            counting.require_places()

    @property
    def reads_store(self) -> bool:
        """Whether events and counts are there already, and only have to be written."""
        return any(str(path).lower().endswith(".sqlite") for path in self.files)

    def _require_stored(self) -> None:
        """Raise UsageError for what cannot be made of a store."""
        counting = self.counting
        require(len(self.files) == 1, "the watch.sqlite of `watch` is read alone: give no other results with it")
        require(
            not (self.results or counting.heatmap or self.background),
            "the watch.sqlite of `watch` has events and counts, and no boxes: it gives --events, --counts and "
            "--report; for the rest, keep results with `detect --results`",
        )
        require(
            not (counting.wanted or counting.started),
            "the events of a watch.sqlite were made by the scene and the clock of `watch`: leave out --scene, "
            "--line, --zone and --started",
        )
        require(
            counting.per_seconds % 60 == 0,
            f"counts are stored by the minute: --per must be whole minutes, got {counting.per_seconds:g} s",
        )
