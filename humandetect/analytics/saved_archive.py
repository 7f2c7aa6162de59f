"""Results of `archive`, put together again: the frames of each video in order, whoever detected in which of them."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from humandetect.analytics.saved import SavedSource, frame_of, provenance_of
from humandetect.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from humandetect.media.frames import DetectedFrame, Provenance

PLAN = "plan.json"


class Files(Protocol):
    """Where an archive lies."""

    @property
    def place(self) -> str: ...
    @property
    def address(self) -> Path | str: ...
    def names(self, folder: str, /) -> set[str]: ...
    def read(self, name: str, /) -> bytes | None: ...


class SavedArchive:
    """An archive, read part by part. Videos that are not complete are left out, and named."""

    def __init__(self, files: Files) -> None:
        """Raises UsageError where there is no plan that can be read."""
        self.path, self.address = files.place, files.address
        self._files = files
        self.warnings: list[str] = []
        """What was left out; complete after the last source."""
        try:
            plan = files.read(PLAN)
            if plan is None:
                raise UsageError(f"there is no archive in {files.place}: it has no {PLAN}")
            self._videos: list[dict[str, Any]] = json.loads(plan)["videos"]
        except OSError as error:
            raise SourceError(f"cannot read {f'{files.place}/{PLAN}'!r}: {error.strerror}") from error
        except (LookupError, TypeError, ValueError) as error:
            raise UsageError(f"{files.place}/{PLAN} is no plan of an archive: {error}") from error

    def sources(self) -> list[str]:
        return [str(video["source"]) for video in self._videos]

    @property
    def frames(self) -> int | None:
        """How many there are once it is complete; None where the plan cannot tell."""
        counted = [sum(segment["frames"] for segment in video["segments"]) for video in self._videos]
        return sum(counted) if all(counted) else None

    def __len__(self) -> int:
        return len(self._videos)

    def __iter__(self) -> Iterator[SavedSource]:
        """Yield the sources in order. Raises UsageError for a part that makes no sense."""
        yield from filter(None, map(self.source, range(len(self))))

    def source(self, number: int) -> SavedSource | None:
        """Return one of the sources; None if it is left out."""
        video = self._videos[number]
        there = self._files.names(video["folder"])
        parts = [f"{number:06d}.parquet" for number in range(max(1, len(video["segments"])))]
        missing = sum(part not in there for part in parts)
        if missing:
            self.warnings.append(
                f"{video['source']!r} is left out: {missing} of its {len(parts)} parts are not there yet"
            )
            return None
        names = [f"{video['folder']}/{part}" for part in parts]
        provenance = self._made(names[0])
        return SavedSource(provenance, self._frames(names, provenance))

    def _made(self, part: str) -> Provenance:
        from humandetect.media.parquet_columns import MADE_KEY, pa, pq

        try:
            footer = json.loads((pq.read_schema(self._opened(part)).metadata or {})[MADE_KEY.encode()])
            return provenance_of(footer)
        except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
            raise self._damaged(part, error) from error

    def _frames(self, parts: Sequence[str], provenance: Provenance) -> Iterator[DetectedFrame]:
        from humandetect.media.parquet_columns import PART, pa, pq

        for part in parts:
            try:
                with pq.ParquetFile(self._opened(part)) as file:
                    for batch in file.iter_batches(batch_size=1024, columns=PART.names):
                        for row in _rows(batch):
                            yield frame_of(row, provenance)
            except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
                raise self._damaged(part, error) from error

    def _opened(self, part: str) -> io.BytesIO:
        try:
            data = self._files.read(part)
        except OSError as error:
            raise SourceError(f"cannot read {f'{self._files.place}/{part}'!r}: {error.strerror or error}") from error
        return io.BytesIO(data or b"")

    def _damaged(self, part: str, error: Exception) -> UsageError:
        return UsageError(f"{self._files.place}/{part} is damaged: {error}: remove it, and `archive` makes it again")


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    """Yield what lines of JSON would say; numbers are rounded to what they were before they became float32.

    Frames that could not be decoded are left out, as `detect` leaves them out.
    """
    people = batch["people"]
    boxes = people.flatten()
    xyxy = np.round(boxes.field("box").flatten().to_numpy().astype(np.float64).reshape(-1, 4), 2).tolist()
    scores = np.round(boxes.field("score").to_numpy().astype(np.float64), 4).tolist()
    weak = boxes.field("weak").to_pylist()
    ends = people.value_lengths().to_numpy().cumsum().tolist()
    columns = (batch[name].to_pylist() for name in ("source", "frame", "time_seconds", "detected"))
    begin = 0
    for source, frame, seconds, looked, end in zip(*columns, ends, strict=True):
        found = [{"box": xyxy[n], "score": scores[n], "weak": weak[n]} for n in range(begin, end)]
        begin = end
        if looked:
            yield {"source": source, "frame": frame, "time_seconds": seconds, "people": found}
