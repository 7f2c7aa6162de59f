"""What a run counts while it goes on, and what it says in the end."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from humandetect.errors import HumanDetectError
    from humandetect.media.frames import DetectedFrame

LATE_SECONDS = 2.0
"""From which delay on a live source is told of."""


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What was found in one source."""

    name: str
    frames: int
    people_most: int
    people_mean: float
    tracks: int = 0
    lines: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How many crossed each line, `in` and `out`."""


@dataclass(frozen=True, slots=True, repr=False)
class RunSummary:
    """What a run did, lost and wrote."""

    engine: str = ""
    frames: int = 0
    detected_frames: int = 0
    dropped_frames: int = 0
    """Frames of live sources that came faster than they could be handled."""
    failed_frames: int = 0
    """Frames that a server did not answer; they are in the output as they were."""
    people_most: int = 0
    people_mean: float = 0.0
    tracks: int = 0
    """With `track`: ids given. Who is lost and found again may have two."""
    seconds: float = 0.0
    """From the first frame read to the last result written; start-up is not in it."""
    outputs: tuple[Path, ...] = ()
    pictures: Mapping[Path, int] = field(default_factory=dict)
    """How many image files there are in an output, crops too."""
    sources: tuple[SourceSummary, ...] = ()
    warnings: tuple[str, ...] = ()
    failures: tuple[HumanDetectError, ...] = ()
    """Inputs that could not be read, or what ended the run early."""
    interrupted: bool = False
    stopped: bool = False
    """A signal ended a live source, which is its normal end."""

    def __repr__(self) -> str:
        """Say what matters; all of it is in `as_dict()`."""
        told = [f"{counted(self.frames, 'frame')} in {self.seconds:.1f} s", f"people_most={self.people_most}"]
        told += [f"outputs={[str(path) for path in self.outputs]}"]
        told += [f"failures={list(self.failures)}"] if self.failures else []
        return f"RunSummary({', '.join(told)}{', interrupted' if self.interrupted else ''})"

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = asdict(replace(self, failures=()))
        plain["outputs"] = [str(path) for path in self.outputs]
        plain["pictures"] = {str(path): count for path, count in self.pictures.items()}
        plain["failures"] = [str(failure) for failure in self.failures]
        rounded = {"people_mean": round(self.people_mean, 3), "seconds": round(self.seconds, 3)}
        return plain | rounded | {"fps": round(self.fps, 2)}


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C or a signal ended a run; what was finished is kept, and `summary` says where."""

    def __init__(self, summary: RunSummary) -> None:
        super().__init__("interrupted")
        self.summary = summary


@dataclass(slots=True)
class RunRecord:
    """What a run has counted and written so far."""

    engine: str = ""
    frames: int = 0
    detected_frames: int = 0
    dropped_frames: int = 0
    failed_frames: int = 0
    first_failure: str = ""
    people: int = 0
    people_most: int = 0
    tracks: int = 0
    began: float | None = None
    outputs: list[Path] = field(default_factory=list)
    pictures: dict[Path, int] = field(default_factory=dict)
    sources: list[SourceSummary] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[HumanDetectError] = field(default_factory=list)
    interrupted: bool = False
    stopped: bool = False
    _source_frames: int = 0
    _source_people: int = 0
    _source_most: int = 0
    _source_tracks: int = 0
    _source_behind: float = 0.0

    def begin(self, *, engine: str) -> None:
        self.engine = engine
        self.began = time.perf_counter()

    def add(self, result: DetectedFrame) -> None:
        count = len(result.detections)
        self._source_frames += 1
        self._source_people += count
        self._source_most = max(self._source_most, count)
        if result.detections.tracker_id is not None:
            self._source_tracks = max(self._source_tracks, *result.detections.tracker_id.tolist(), 0)
        self.frames += 1
        self.detected_frames += result.detected
        self.people += count
        self.people_most = max(self.people_most, count)
        if result.failure is not None:
            self.failed_frames += 1
            self.first_failure = self.first_failure or f"frame {result.frame.index}: {result.failure}"

    def behind(self, seconds: float) -> None:
        """Take how late the frames of a live source come."""
        self._source_behind = max(self._source_behind, seconds)

    def add_output(self, path: Path | None, *, pictures: int = 0) -> None:
        """Note where a sink wrote, and how many image files; several may write into one folder."""
        if path is None:
            return
        if path not in self.outputs:
            self.outputs.append(path)
        if pictures:
            self.pictures[path] = self.pictures.get(path, 0) + pictures

    def end_source(
        self,
        name: str,
        *,
        lines: Mapping[str, Mapping[str, int]] | None = None,
        dropped: int = 0,
        warnings: Sequence[str] = (),
        failures: Sequence[HumanDetectError] = (),
    ) -> None:
        """Take over what a source says at its end."""
        frames = self._source_frames
        if frames:
            mean = round(self._source_people / frames, 3)
            self.sources.append(SourceSummary(name, frames, self._source_most, mean, self._source_tracks, lines or {}))
        self.tracks += self._source_tracks
        self._source_frames = self._source_people = self._source_most = self._source_tracks = 0
        self.dropped_frames += dropped
        self.warnings += warnings
        if dropped:
            self.warnings.append(
                f"{name!r}: {counted(dropped, 'frame')} dropped: they came faster than they were handled"
            )
        if self._source_behind >= LATE_SECONDS:
            self.warnings.append(
                f"{name!r}: frames came up to {self._source_behind:.1f} s late: the way to the camera carries less "
                "than it sends; let it send smaller pictures"
            )
        self._source_behind = 0.0
        self.failures += failures

    def join(self, other: RunRecord) -> None:
        """Take over what another process has counted, whose sources have ended."""
        for name in ("frames", "detected_frames", "dropped_frames", "failed_frames", "people", "tracks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.people_most = max(self.people_most, other.people_most)
        self.first_failure = self.first_failure or other.first_failure
        self.sources += other.sources
        self.warnings += other.warnings
        self.failures += other.failures

    def summary(self) -> RunSummary:
        return RunSummary(
            engine=self.engine,
            frames=self.frames,
            detected_frames=self.detected_frames,
            dropped_frames=self.dropped_frames,
            failed_frames=self.failed_frames,
            people_most=self.people_most,
            people_mean=self.people / self.frames if self.frames else 0.0,
            tracks=self.tracks,
            seconds=time.perf_counter() - self.began if self.began is not None else 0.0,
            outputs=tuple(self.outputs),
            pictures=self.pictures,
            sources=tuple(self.sources),
            warnings=(*self.warnings, *self._lost()),
            failures=tuple(self.failures),
            interrupted=self.interrupted,
            stopped=self.stopped,
        )

    def _lost(self) -> list[str]:
        if not self.failed_frames:
            return []
        lost = counted(self.failed_frames, "frame")
        return [f"{lost} not answered, which the output has as they were; first {self.first_failure}"]
