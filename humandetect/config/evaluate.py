"""What `eval` holds against what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from humandetect.config.fields import check
from humandetect.config.option import Opt, require


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """One run of `eval`."""

    results: Annotated[
        Path,
        Opt(
            "What `detect --results` wrote: .jsonl, .parquet, .csv, .coco.json or .mot.txt.",
            "Input",
            metavar="RESULTS",
            argument=True,
        ),
    ]
    truth: Annotated[
        Path,
        Opt(
            "The people really there: gt.txt of MOTChallenge, or a COCO dataset as .json.",
            "Input",
            metavar="FILE",
            variable=None,
        ),
    ]
    events: Annotated[
        Path | None, Opt("Events of these results, as JSON lines.", "Input", metavar="FILE", variable=None)
    ] = None
    truth_events: Annotated[
        Path | None, Opt("The events that really happened, as JSON lines.", "Input", metavar="FILE", variable=None)
    ] = None
    scene: Annotated[
        Path | None,
        Opt(
            "Lines and zones (TOML): events of the true tracks, and of those of RESULTS, where no file has them.",
            "Input",
            metavar="FILE",
            variable=None,
        ),
    ] = None
    within_seconds: Annotated[
        float, Opt("An event is right if it is so near to a true one.", "Checks", variable=None), Ge(0), Le(3600)
    ] = 1.0
    every: Annotated[int, Opt("Judge each Nth frame of a video only.", "Checks", metavar="N", variable=None), Ge(1)] = 1
    json: Annotated[bool, Opt("Print the figures as JSON on stdout.", "Output", variable=None)] = False

    def __post_init__(self) -> None:
        check(self)
        both = (self.events is None) == (self.truth_events is None)
        require(
            both or self.scene is not None,
            "--events and --truth-events go together: what was counted, and what really happened; or give the --scene",
        )
