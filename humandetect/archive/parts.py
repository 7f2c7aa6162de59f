"""The results of one segment as bytes of Parquet, and the frames that they say."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

from humandetect import __version__
from humandetect.media.frames import people_in
from humandetect.media.parquet import MADE_KEY, PART, pa, pq
from humandetect.media.sinks.text_formats import provenance_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    import supervision as sv

    from humandetect.archive.plan import Job
    from humandetect.media.frames import DetectedFrame, Provenance


class PartRows:
    """Collects the frames of a segment."""

    def __init__(self, job: Job, provenance: Provenance) -> None:
        self._job, self._provenance = job, provenance
        self._rows: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def numbers(self) -> set[int]:
        return set(self._rows)

    def add(self, result: DetectedFrame) -> None:
        frame = result.frame
        people = [*_boxes(result.detections, weak=False), *_boxes(result.weak, weak=True)]
        self._rows[frame.index] = self._row(frame.index, frame.written_seconds, detected=True, people=people)

    def add_absent(self, number: int, seconds: float) -> None:
        """Take a frame that could not be decoded: nobody looked at it."""
        self._rows[number] = self._row(number, round(seconds, 6), detected=False, people=[])

    def as_bytes(self) -> bytes:
        """Return the whole file; its footer says how it was made."""
        table = pa.Table.from_pylist([self._rows[number] for number in sorted(self._rows)], PART)
        segment = self._job.segment
        footer = {
            **provenance_record(self._provenance),
            "segment": segment.number if segment else 0,
            "host": platform.node(),
            "humandetect": __version__,
        }
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({MADE_KEY: json.dumps(footer)}), sink, compression="zstd")
        return bytes(sink.getvalue())

    def _row(self, number: int, seconds: float, *, detected: bool, people: list[dict[str, Any]]) -> dict[str, Any]:
        source = self._provenance.source
        return {"source": source, "frame": number, "time_seconds": seconds, "detected": detected, "people": people}


def _boxes(detections: sv.Detections, *, weak: bool) -> Iterator[dict[str, Any]]:
    for person in people_in(detections):
        yield {"box": person.box, "score": person.score, "weak": weak}
