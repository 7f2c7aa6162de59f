"""What commands say while they work; scripts have no use for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from humandetect.config.fields import check
from humandetect.config.option import Opt


@dataclass(frozen=True, slots=True)
class TalkConfig:
    """How much a command says."""

    verbose: Annotated[bool, Opt("Say what happens while it happens.", "Messages", names=("--verbose", "-v"))] = False
    debug: Annotated[bool, Opt("Log everything; show tracebacks.", "Messages")] = False


@dataclass(frozen=True, slots=True)
class QuietConfig(TalkConfig):
    """How much a command says that can say nothing."""

    quiet: Annotated[bool, Opt("Print errors only.", "Messages", names=("--quiet", "-q"))] = False


@dataclass(frozen=True, slots=True)
class SummaryConfig(QuietConfig):
    """What a run says of itself."""

    json: Annotated[bool, Opt("Print the summary as JSON on stdout.", "Output", variable=None)] = False


@dataclass(frozen=True, slots=True)
class ReportConfig(QuietConfig):
    """Where a report of `bench` goes, and what it must hold."""

    json: Annotated[Path | None, Opt("Report as JSON.", "Output", metavar="FILE", variable=None)] = None
    csv: Annotated[Path | None, Opt("Figures as CSV.", "Output", metavar="FILE", variable=None)] = None
    markdown: Annotated[Path | None, Opt("Tables as Markdown.", "Output", metavar="FILE", variable=None)] = None
    plot: Annotated[Path | None, Opt("Picture, .png or .svg.", "Output", metavar="FILE", variable=None)] = None
    compare: Annotated[
        Path | None, Opt("Show the change since an earlier --json.", "Checks", metavar="OLD.json", variable=None)
    ] = None
    fail_if: Annotated[
        tuple[str, ...],
        Opt("Exit with 1 if so: p95>120ms, images/s<50. Repeatable.", "Checks", metavar="LIMIT", variable=None),
    ] = ()

    def __post_init__(self) -> None:
        check(self)
