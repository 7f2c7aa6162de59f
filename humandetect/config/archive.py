"""What `archive` does with many videos, where its results go, and how often it tries."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from humandetect.addresses import is_in_memory
from humandetect.config.detect import SourceConfig
from humandetect.config.engine import EngineConfig, ScoreField
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt, require

_WHOLE = (
    "start_seconds",
    "duration_seconds",
    "limit",
    "open_timeout_seconds",
    "read_timeout_seconds",
    "rtsp_transport",
)


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """One archive: many videos, and the folder of their results."""

    sources: Annotated[
        tuple[str, ...],
        Opt(
            "Videos, folders, globs, also of object stores; not needed for an archive that was begun.",
            "Input",
            metavar="SOURCE",
            argument=True,
        ),
    ] = ()
    out: Annotated[
        Path | str,
        Opt(
            "Folder of the results, or its address in an object store: s3://BUCKET/PATH.", "Output",
            metavar="DIR", variable=None, object_stores=True,
        ),
    ] = Path("archive")  # fmt: skip
    segment_seconds: Annotated[
        float, Opt("Cut videos into segments of so long.", "Load", variable="ARCHIVE_SEGMENT"), Ge(1), Le(86_400)
    ] = 60.0
    jobs: Annotated[
        int | None, Opt("Workers, a process each.", "Load", unset="one a CPU", auto=True), Ge(1), Le(1024)
    ] = None
    cluster: Annotated[
        str | None,
        Opt(
            "Work on a Ray cluster: its address, or `local` to start Ray here.", "Load",
            metavar="ADDRESS", unset="processes of this machine",
        ),
    ] = None  # fmt: skip
    retries: Annotated[int, Opt("Begin a segment again so often before it is given up.", "Load"), Ge(0), Le(100)] = 3
    plan: Annotated[bool, Opt("Plan only, and say what there is to do.", "Checks", variable=None)] = False
    status: Annotated[bool, Opt("Say how far an archive is; it may be worked on.", "Checks", variable=None)] = False
    retry_failed: Annotated[
        bool, Opt("Begin again with what was given up.", "Load", variable=None, not_with=("plan", "status"))
    ] = False
    merge: Annotated[
        str | None,
        Opt(
            "Write all results into one file, .parquet, .jsonl or .csv, as of `detect --results`.", "Output",
            metavar="FILE", variable=None, not_with=("plan", "status"),
        ),
    ] = None  # fmt: skip
    video: Annotated[bool, Opt("Write annotated videos, too, as of `detect -o`.", "Output")] = False
    score: ScoreField = None
    source: Annotated[SourceConfig, Group(without=_WHOLE)] = field(default_factory=SourceConfig)
    engine: Annotated[EngineConfig, Group()] = field(default_factory=lambda: EngineConfig(precision="f32"))
    """In float32, unless told otherwise: no part may depend on the CPU that made it."""

    def __post_init__(self) -> None:
        check(self)
        asked = [name for name in ("plan", "status") if getattr(self, name)]
        require(len(asked) < 2, "--plan and --status are two questions: ask one")
        require(
            self.jobs is None or self.cluster in (None, "local"),
            "--jobs is for this machine: a cluster has as many workers as CPUs",
        )
        require(
            not self.in_memory or (self.cluster is None and self.jobs in (None, 1)),
            "what is in memory:// only this process sees, which is the one worker: leave out --cluster and --jobs",
        )
        require(
            self.merge is None or "://" not in self.merge,
            "results are merged into a file of this machine: give a path to --merge, and copy it from there",
        )
        wanted = (".parquet", ".jsonl", ".csv")
        require(
            self.merge is None or self.merge.lower().endswith(wanted),
            f"results are merged into .parquet, .jsonl or .csv, got {self.merge!r}",
        )

    @property
    def in_memory(self) -> bool:
        """Whether only this process sees what is read or written."""
        return any(map(is_in_memory, (self.out, *self.sources)))
