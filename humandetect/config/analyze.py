"""What `analyze` asks of which results."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from humandetect.config.counting import CountingConfig
from humandetect.config.fields import Group, Opt, check, require


@dataclass(frozen=True, slots=True)
class AnalyzeConfig:
    """One run of `analyze`."""

    files: Annotated[
        tuple[Path, ...],
        Opt(
            "What `detect --results` or `feed --results` wrote, as .jsonl or .parquet, or the folder of an archive.",
            "Input",
            metavar="RESULTS",
            argument=True,
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
