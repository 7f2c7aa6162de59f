"""What is recorded of cameras, and how long it is kept."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le

from humandetect.config.fields import check
from humandetect.config.option import UNIT_SECONDS, Opt
from humandetect.errors import UsageError

RecordMode = Literal["always", "events"]

_BYTES = {
    f"{prefix}{suffix}": base**power
    for suffix, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate(("k", "M", "G", "T"), start=1)
}


@dataclass(frozen=True, slots=True)
class RecordConfig:
    """Where recordings go and when they are deleted."""

    record: Annotated[
        Path | None, Opt("Record all cameras into this folder, as they come, with sound.", "Output", metavar="DIR")
    ] = None
    record_mode: Annotated[
        RecordMode, Opt("Record always, or 5 s before to 10 s after each event of the scene.", "Output")
    ] = "always"
    segment_seconds: Annotated[
        float,
        Opt("Begin a new file so often, at a key frame.", "Output", variable="RECORD_SEGMENT"),
        Ge(1),
        Le(86_400),
    ] = 60.0
    keep: Annotated[
        str, Opt("Delete recordings that are older, as 12h, 7d or 4w; off keeps them.", "Output", metavar="TIME")
    ] = "7d"
    max_size: Annotated[
        str, Opt("Delete the oldest recordings over this size in all, or off.", "Output", metavar="SIZE")
    ] = "50GB"
    min_free: Annotated[
        str,
        Opt(
            "Delete the oldest recordings while less of the disk is free: a size, a share, or off.",
            "Output",
            metavar="SIZE|N%",
        ),
    ] = "5%"

    def __post_init__(self) -> None:
        check(self)
        _ = self.keep_seconds, self.max_bytes, self.min_free_bytes(0)

    @property
    def folder(self) -> Path:
        """Raises UsageError where nothing is to be recorded."""
        if self.record is None:
            raise UsageError("no folder for recordings: give --record DIR")
        return self.record

    @property
    def keep_seconds(self) -> float | None:
        """None: for ever."""
        if self.keep == "off":
            return None
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", self.keep.strip())
        if not found or not float(found[1]):
            raise UsageError(
                f"--keep must be a time such as 12h, 7d or 4w (units s, m, h, d, w), or off, got {self.keep!r}"
            )
        return float(found[1]) * UNIT_SECONDS[found[2]]

    @property
    def max_bytes(self) -> int | None:
        """None: as much as there is room for."""
        return (
            None
            if self.max_size == "off"
            else _bytes(self.max_size, "--max-size must be a size such as 50GB or 500MiB, or off")
        )

    def min_free_bytes(self, disk_bytes: int) -> int:
        """Return how much of a disk of this size stays free."""
        if self.min_free == "off":
            return 0
        share = re.fullmatch(r"(\d+(?:\.\d+)?)%", self.min_free.strip())
        if not share:
            return _bytes(self.min_free, "--min-free must be a share such as 5%, a size such as 20GB, or off")
        if float(share[1]) >= 100:
            raise UsageError(f"--min-free must be below 100%, got {self.min_free!r}: nothing could be recorded")
        return int(disk_bytes * float(share[1]) / 100)


def _bytes(text: str, expected: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(\w+)", text.strip())
    if not found or found[2] not in _BYTES or not float(found[1]):
        raise UsageError(f"{expected} (units {', '.join(_BYTES)}), got {text!r}")
    return int(float(found[1]) * _BYTES[found[2]])
