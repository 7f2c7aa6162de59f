"""Tracks in a run: who walks a known path keeps one id, from the detector to every result."""

from __future__ import annotations

import csv
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from humandetect.analytics.recorded import read_results
from humandetect.config import DetectConfig, SourceConfig
from humandetect.detection.detector import Detector, open_detector
from humandetect.engines.base import RawDetections
from humandetect.models.find import bundled
from humandetect.pipeline.python_api import analyze, detect_frames, detect_video
from humandetect.pipeline.run import run
from tests.builders import make_clip
from tests.fakes import INFO
from tests.pipeline.test_run import rows, write_picture

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.pipeline.summary import RunSummary

WEAK_FROM, MISSED_FROM, BACK_FROM, SECOND_FROM, FRAMES = 8, 12, 14, 5, 20


class Street:
    """An engine that sees, whatever the picture, a walker, a second one who comes later, and a shadow.

    The walker is seen weakly for a while, then not at all for two frames. The shadow never has a score over 0.45.
    """

    def __init__(self) -> None:
        self.info = dataclasses.replace(INFO, parallel=1, best_batch=1)
        self._frame = 0

    def infer(self, images: np.ndarray) -> RawDetections:
        k, self._frame = self._frame, (self._frame + len(images)) % FRAMES
        walker = 0.2 if WEAK_FROM <= k < MISSED_FROM else 0 if MISSED_FROM <= k < BACK_FROM else 0.9
        boxes = [[0.05 + 0.02 * k, 0.2, 0.2 + 0.02 * k, 0.8], [0.75, 0.1, 0.95, 0.6], [0.4, 0.85, 0.5, 0.99]]
        scores = [[walker, 0.8 if k >= SECOND_FROM else 0, 0.45]]
        return RawDetections(np.array([boxes], np.float32), np.array(scores, np.float32), np.ones((1, 3), np.int32))

    def close(self) -> None:
        pass


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=FRAMES, fps=10)


def go(*sources: Path, score: float | None = None, **options: Any) -> RunSummary:
    config = DetectConfig(sources=tuple(map(str, sources)), track=True, **options)
    return run(config, detector=Detector(Street(), score=score))


def ids(path: Path) -> list[list[int | None]]:
    return [[person["track_id"] for person in row["people"] if "weak" not in person] for row in rows(path)]


def test_everybody_keeps_one_id_and_has_none_until_seen_twice(clip: Path, tmp_path: Path) -> None:
    summary = go(clip, results=(str(tmp_path / "out.jsonl"),))
    found = ids(tmp_path / "out.jsonl")
    assert found[0] == [1]
    assert found[SECOND_FROM] == [1, None]
    assert found[SECOND_FROM + 1 : WEAK_FROM] == [[1, 2]] * (WEAK_FROM - SECOND_FROM - 1)
    assert found[WEAK_FROM:MISSED_FROM] == [[2, 1]] * (MISSED_FROM - WEAK_FROM), "weak boxes continue a track"
    assert found[MISSED_FROM:BACK_FROM] == [[2]] * (BACK_FROM - MISSED_FROM)
    assert found[BACK_FROM:] == [[1, 2]] * (FRAMES - BACK_FROM), "who comes back is who was missed"
    assert (summary.tracks, summary.sources[0].tracks, summary.people_most) == (2, 2, 2)
    assert not summary.warnings


def test_without_track_nobody_has_an_id(clip: Path, tmp_path: Path) -> None:
    summary = run(DetectConfig((str(clip),), results=(str(tmp_path / "out.jsonl"),)), detector=Detector(Street()))
    assert {number for line in ids(tmp_path / "out.jsonl") for number in line} == {None}
    assert summary.tracks == 0


def test_ids_stand_in_every_format_that_has_room_for_them(clip: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"out{ending}" for ending in (".jsonl", ".csv", ".mot.txt")]
    go(clip, results=tuple(map(str, files)))
    in_json = [number for line in ids(files[0]) for number in line]
    in_csv = [row["track_id"] for row in csv.DictReader(files[1].read_text().splitlines())]
    in_mot = [int(line.split(",")[1]) for line in files[2].read_text().splitlines()]
    assert in_csv == ["" if number is None else str(number) for number in in_json]
    assert in_mot == [-1 if number is None else number for number in in_json]


def test_who_is_missed_is_marked_held_beside_the_people_and_is_none_of_them(clip: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"out{ending}" for ending in (".jsonl", ".csv", ".parquet", ".mot.txt", ".coco.json")]
    summary = go(clip, results=tuple(map(str, files)), results_score=0.1)
    held = {row["frame"]: row["held"] for row in rows(files[0]) if "held" in row}
    assert list(held) == list(range(MISSED_FROM, BACK_FROM))
    assert [(box["track_id"], box["held"]) for frame in held.values() for box in frame] == [(1, True)] * 2
    walker = np.array([0.05 + 0.02 * MISSED_FROM, 0.2, 0.2 + 0.02 * MISSED_FROM, 0.8]) * [64, 48, 64, 48]
    assert held[MISSED_FROM][0]["box"] == pytest.approx(walker, abs=2)
    assert summary.people_mean * FRAMES == FRAMES - 2 + FRAMES - SECOND_FROM
    for file in files:
        seen = {(row.frame, person.track_id) for row in read_results(file) for person in row.people}
        assert not {(frame, 1) for frame in held} & seen, file.name
    for saved in (files[0], files[2]):
        analyze(saved, results=tmp_path / "again.jsonl")
        assert {row["frame"]: row["held"] for row in rows(tmp_path / "again.jsonl") if "held" in row} == held


def test_the_results_score_keeps_weak_boxes_that_count_for_nothing(clip: Path, tmp_path: Path) -> None:
    endings = (".jsonl", ".csv", ".mot.txt", ".coco.json")
    plain, kept = ([str(tmp_path / f"{name}{ending}") for ending in endings] for name in ("plain", "kept"))
    summary = go(clip, results=tuple(plain))
    assert go(clip, results=tuple(kept), results_score=0.1).people_mean == summary.people_mean
    weak = [person for row in rows(tmp_path / "kept.jsonl") for person in row["people"] if person.get("weak")]
    assert [(person["score"], person["track_id"]) for person in weak] == [(0.45, None)] * FRAMES
    assert ids(tmp_path / "kept.jsonl") == ids(tmp_path / "plain.jsonl")
    table = list(csv.DictReader((tmp_path / "kept.csv").read_text().splitlines()))
    assert sum(row["weak"] == "true" for row in table) == FRAMES
    assert {row["weak"] for row in table} == {"true", "false"}
    for ending in (".mot.txt", ".coco.json"):
        assert (tmp_path / f"kept{ending}").read_text() == (tmp_path / f"plain{ending}").read_text()


def test_weak_boxes_are_kept_without_tracks_too(clip: Path, tmp_path: Path) -> None:
    config = DetectConfig((str(clip),), results=(str(tmp_path / "out.jsonl"),), results_score=0.3)
    assert run(config, detector=Detector(Street())).people_most == 2
    weak = [person["score"] for row in rows(tmp_path / "out.jsonl") for person in row["people"] if person.get("weak")]
    assert weak == [0.45] * FRAMES


def test_the_score_is_what_starts_a_track(clip: Path, tmp_path: Path) -> None:
    assert go(clip, score=0.4, results=(str(tmp_path / "a.jsonl"),)).tracks == 3
    assert go(clip, score=0.85, results=(str(tmp_path / "b.jsonl"),)).tracks == 1


def test_each_source_has_ids_of_its_own_which_run_on_where_rows_name_no_source(clip: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", frames=FRAMES, fps=10)
    summary = go(clip, other, results=(str(tmp_path / "out.jsonl"), str(tmp_path / "out.mot.txt")))
    found = ids(tmp_path / "out.jsonl")
    assert found[:FRAMES] == found[FRAMES:]
    assert (summary.tracks, [source.tracks for source in summary.sources]) == (4, [2, 2])
    mot = {line.split(",")[1] for line in (tmp_path / "out.mot.txt").read_text().splitlines()}
    assert mot == {"-1", "1", "2", "3", "4"}


def test_too_few_detections_a_second_are_told(clip: Path, tmp_path: Path) -> None:
    summary = go(clip, every=5, results=(str(tmp_path / "out.jsonl"),))
    assert len(summary.warnings) == 1
    assert "2.0 detections a second are fewer than 4" in summary.warnings[0]


def test_frames_between_detections_keep_the_ids(clip: Path, tmp_path: Path) -> None:
    go(clip, every=2, results=(str(tmp_path / "out.jsonl"),))
    found = ids(tmp_path / "out.jsonl")
    assert found[::2] == found[1::2]
    assert found[0] == [1]


def test_nobody_is_followed_from_one_picture_to_the_next(tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path / name) for name in ("1.png", "2.png", "3.png")]
    assert go(*pictures, results=(str(tmp_path / "out.jsonl"),)).tracks == 0
    assert ids(tmp_path / "out.jsonl") == [[None]] * 3


def test_programs_get_the_same_ids_and_who_is_missed(clip: Path, tmp_path: Path) -> None:
    detect_video(clip, detector=Detector(Street()), track=True, results=tmp_path / "out.jsonl")
    results = list(detect_frames(clip, Detector(Street()), track=True))
    assert [[row["track_id"] for row in result.rows()] for result in results] == ids(tmp_path / "out.jsonl")
    assert [len(result.held) for result in results] == [MISSED_FROM <= k < BACK_FROM for k in range(FRAMES)]
    assert [len(result.weak) for result in results] == [1] * FRAMES
    assert results[-1].trails[2][:, 1] == pytest.approx(0.6 * 48, abs=0.01)


def test_the_bundled_clip_has_tracks_that_last() -> None:
    with open_detector(precision="f32") as detector:
        results = list(detect_frames(bundled("examples/plaza.mp4"), detector, track=True, part=SourceConfig(limit=20)))
    counts: dict[int, int] = {}
    for result in results:
        for row in result.rows():
            if row["track_id"] is not None:
                counts[row["track_id"]] = counts.get(row["track_id"], 0) + 1
    assert max(counts.values()) == 20
