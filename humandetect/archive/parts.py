"""The results of one segment as bytes of Parquet, and the frames that they say."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

from humandetect import __version__
from humandetect.media.frames import people_in
from humandetect.media.parquet_columns import MADE_KEY, PART, pa, pq
from humandetect.media.sinks.text_formats import provenance_record, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import supervision as sv

    from humandetect.archive.jobs import Job
    from humandetect.media.frames import DetectedFrame, Provenance


TABLE_ROWS = 1000


class PartRows:
    """Collects the frames of a segment, which is hours long where there is one key frame: some 200 bytes each."""

    def __init__(self, job: Job, provenance: Provenance, *, model_sha256: str) -> None:
        self._job, self._provenance, self._model_sha256 = job, provenance, model_sha256
        self.numbers: set[int] = set()
        self._rows: list[dict[str, Any]] = []
        self._tables: list[pa.Table] = []

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, result: DetectedFrame) -> None:
        frame = result.frame
        source = frame.source.removeprefix(self._job.video.base)  # one of several pictures
        people = [*_boxes(result.detections, weak=False), *_boxes(result.weak, weak=True)]
        self._add(source, frame.index, frame.written_seconds, detected=True, people=people)

    def add_absent(self, number: int, seconds: float) -> None:
        """Take a frame that could not be decoded: nobody looked at it."""
        self._add(self._provenance.source, number, round(seconds, 6), detected=False, people=[])

    def as_bytes(self) -> bytes:
        """Return the whole file; its footer says how it was made."""
        self._pack()
        table = pa.concat_tables(self._tables).sort_by("frame")  # those that could not be decoded came last
        segment = self._job.segment
        footer = {
            **provenance_record(self._provenance),
            "segment": segment.number if segment else 0,
            "host": platform.node(),
            "model_sha256": self._model_sha256,
            "humandetect": __version__,
        }
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({MADE_KEY: json.dumps(footer)}), sink, compression="zstd")
        return bytes(sink.getvalue())

    def _add(self, source: str, number: int, seconds: float, *, detected: bool, people: list[dict[str, Any]]) -> None:
        self.numbers.add(number)
        where = {"source": readable(source), "frame": number, "time_seconds": seconds}
        self._rows.append({**where, "detected": detected, "people": people})
        if len(self._rows) == TABLE_ROWS:
            self._pack()

    def _pack(self) -> None:
        self._tables.append(pa.Table.from_pylist(self._rows, PART))
        self._rows.clear()


def _boxes(detections: sv.Detections, *, weak: bool) -> Iterator[dict[str, Any]]:
    for person in people_in(detections):
        yield {"box": person.box, "score": person.score, "weak": weak}
