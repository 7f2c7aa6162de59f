"""A part of many frames: in order, whichever of them could not be decoded."""

from __future__ import annotations

import io
import json

import pytest

pytest.importorskip("pyarrow")

from humandetect.archive.jobs import Job, Video
from humandetect.archive.parts import TABLE_ROWS, PartRows
from humandetect.media.frames import Provenance
from humandetect.media.parquet_columns import MADE_KEY, pq
from tests.builders import detected

MADE = Provenance(
    source="a.mp4", kind="video", size=(64, 48), every=1, score=0.5, results_score=0.1, track_scores=(0.5, 0.3),
    settings={}, started=None, humandetect="1",
)  # fmt: skip
ABSENT = (0, 700, TABLE_ROWS + 5)


def test_frames_that_could_not_be_decoded_stand_at_their_place() -> None:
    rows = PartRows(Job(Video("a.mp4", ("a.mp4",), "video", "a.mp4", "", ()), None), MADE, model_sha256="0123")
    frames = range(TABLE_ROWS + 10)
    for number in frames:
        if number not in ABSENT:
            rows.add(detected(number, [[1.5, 2, 3, 4]] * (number % 3)))
    for number in ABSENT:
        rows.add_absent(number, number / 10)
    assert rows.numbers == set(frames)
    table = pq.read_table(io.BytesIO(rows.as_bytes()))
    assert json.loads(table.schema.metadata[MADE_KEY.encode()])["model_sha256"] == "0123"
    read = table.to_pylist()
    assert [row["frame"] for row in read] == list(frames)
    assert [row["frame"] for row in read if not row["detected"]] == list(ABSENT)
    assert [len(row["people"]) for row in read if row["detected"]] == [k % 3 for k in frames if k not in ABSENT]
    assert read[2]["people"][0]["box"] == [1.5, 2, 3, 4]
