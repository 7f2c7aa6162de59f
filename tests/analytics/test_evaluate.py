"""Figures are those that are known by hand, and what they leave out is said."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING

import pytest

from humandetect.analytics.evaluate import evaluate, score_boxes, score_tracks
from humandetect.analytics.recorded import RecordedPerson
from humandetect.config import EvalConfig
from humandetect.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FRAMES = range(10)
Pictures = dict[int, list[RecordedPerson]]


def person(x: float, track_id: int | None = None, *, score: float = 1.0, ignored: bool = False) -> RecordedPerson:
    return RecordedPerson((x, 0, x + 10, 20), score, track_id, ignored)


def walk(first: int, second: int) -> Pictures:
    """Two people who walk side by side."""
    return {frame: [person(frame, first), person(100 + frame, second)] for frame in FRAMES}


def mot(path: Path, rows: Sequence[tuple[int, int, float]]) -> Path:
    """Write rows of frame, id and left edge."""
    path.write_text("".join(f"{frame},{track_id},{x},0,10,20,1,-1,-1,-1\n" for frame, track_id, x in rows))
    return path


Line = tuple[str, int, list[tuple[float, int | None]]]


def json_lines(path: Path, lines: Sequence[Line]) -> Path:
    """Write lines of source, frame, and left edges with ids."""
    path.write_text(
        "".join(
            json.dumps(
                {
                    "source": source,
                    "frame": frame,
                    "people": [{"box": [x, 0, x + 10, 20], "score": 0.9, "track_id": one} for x, one in people],
                }
            )
            + "\n"
            for source, frame, people in lines
        )
    )
    return path


def test_perfect_boxes_and_tracks_have_full_figures() -> None:
    boxes, tracks = score_boxes(walk(1, 2), walk(7, 8)), score_tracks(walk(1, 2), walk(7, 8))
    assert tracks is not None
    assert [boxes.ap, boxes.ap50, tracks.mota, tracks.idf1, tracks.hota] == pytest.approx([1] * 5)
    assert (tracks.id_switches, tracks.people, tracks.tracks) == (0, 2, 2)


def test_ids_that_are_swapped_half_way_cost_what_papers_say() -> None:
    """20 boxes and 2 switches; each identity is right for half its life, so 5 of 15 associations are."""
    tracks = score_tracks(walk(1, 2), {frame: walk(*((7, 8) if frame < 5 else (8, 7)))[frame] for frame in FRAMES})
    assert tracks is not None
    assert (tracks.mota, tracks.idf1, tracks.hota) == pytest.approx((0.9, 0.5, math.sqrt(1 / 3)))
    assert tracks.id_switches == 2


def test_a_false_box_before_the_true_ones_halves_precision() -> None:
    """One true box found after one false: precision is 1/2 at every recall."""
    boxes = score_boxes({0: [person(0)]}, {0: [person(50, score=0.9), person(0, score=0.8)]})
    assert (boxes.ap, boxes.ap50) == pytest.approx((0.5, 0.5))


def test_a_box_on_somebody_ignored_is_neither_hit_nor_miss() -> None:
    truth = {0: [person(0), person(50, ignored=True)]}
    assert score_boxes(truth, {0: [person(50, score=0.9), person(0, score=0.8)]}).ap == pytest.approx(1)


def test_nothing_found_is_0_and_nobody_with_an_id_has_no_score_of_tracks() -> None:
    nobody: Pictures = {frame: [] for frame in FRAMES}
    assert score_boxes(walk(1, 2), nobody).ap50 == 0
    assert score_tracks(walk(1, 2), nobody) is None
    assert score_tracks({0: [person(0)]}, {0: [person(0, 1)]}) is None


def test_frames_count_from_1_in_motchallenge_and_from_0_in_json_lines(tmp_path: Path) -> None:
    truth = mot(tmp_path / "gt.txt", [(frame + 1, 1, 30 * frame) for frame in range(4)])
    results = json_lines(tmp_path / "r.jsonl", [("a.mp4", frame, [(30 * frame, 5)]) for frame in range(4)])
    same = mot(tmp_path / "r.mot.txt", [(frame + 1, 5, 30 * frame) for frame in range(4)])
    for path in (results, same):
        found = evaluate(EvalConfig(path, truth))
        assert found.tracks is not None
        assert (found.boxes.ap, found.tracks.mota) == pytest.approx((1, 1))


def test_it_is_said_how_many_frames_have_no_truth_and_where_the_truth_has_nobody(tmp_path: Path) -> None:
    truth = mot(tmp_path / "gt.txt", [(1, 1, 0), (4, 1, 0)])
    results = json_lines(tmp_path / "r.jsonl", [("a.mp4", frame, [(0, None)]) for frame in range(6)])
    found = evaluate(EvalConfig(results, truth))
    assert (found.frames, found.frames_without_people, found.frames_without_truth) == (4, 2, 2)
    assert found.tracks is None


def test_every_judges_only_the_frames_that_were_detected(tmp_path: Path) -> None:
    truth = mot(tmp_path / "gt.txt", [(frame + 1, 1, 30 * frame) for frame in range(5)])
    kept = json_lines(tmp_path / "r.jsonl", [("a.mp4", frame, [(60 * (frame // 2), 1)]) for frame in range(5)])
    assert evaluate(EvalConfig(kept, truth)).boxes.ap < 0.7
    found = evaluate(EvalConfig(kept, truth, every=2))
    assert (found.frames, found.boxes.ap) == pytest.approx((3, 1))


def coco(path: Path, *names: str) -> Path:
    images = [{"id": 10 + number, "file_name": name} for number, name in enumerate(names)]
    people = [
        {"id": image["id"], "image_id": image["id"], "category_id": 1, "bbox": [image["id"], 0, 10, 20]}
        for image in images
    ]
    categories = [{"id": 1, "name": "person"}]
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
    return path


def test_pictures_are_found_by_the_names_that_a_dataset_has(tmp_path: Path) -> None:
    truth = coco(tmp_path / "t.json", "x/7.jpg", "clip.mp4#3")
    lines: list[Line] = [
        ("photos/7.jpg", 0, [(10, None)]),
        ("clip.mp4", 3, [(11, None)]),
        ("clip.mp4", 4, [(11, None)]),
    ]
    found = evaluate(EvalConfig(json_lines(tmp_path / "r.jsonl", lines), truth))
    assert (found.boxes.ap, found.frames, found.frames_without_truth) == pytest.approx((1, 2, 1))


def test_coco_results_are_found_by_the_ids_of_images(tmp_path: Path) -> None:
    path = tmp_path / "r.coco.json"
    path.write_text(json.dumps([{"image_id": 10, "category_id": 1, "bbox": [10, 0, 10, 20], "score": 0.9}]))
    assert evaluate(EvalConfig(path, coco(tmp_path / "t.json", "a.jpg"))).boxes.ap == pytest.approx(1)


def refusals(folder: Path) -> dict[str, Callable[[], EvalConfig]]:
    truth = mot(folder / "gt.txt", [(1, 1, 0)])
    pictures = coco(folder / "t.json", "a.jpg")
    foreign = folder / "r.coco.json"
    foreign.write_text('[{"image_id": 10, "bbox": [10, 0, 10, 20], "score": 0.9}]')
    lines: dict[str, list[Line]] = {
        "twice": [("a.mp4", 0, [(0, 3), (50, 3)])],
        "two": [("a.mp4", 0, []), ("b.mp4", 0, [])],
        "outside": [("a.mp4", 9, [(0, None)])],
    }
    files = {name: json_lines(folder / f"{name}.jsonl", rows) for name, rows in lines.items()}
    rows = mot(folder / "r.mot.txt", [(1, 1, 0)])
    return {
        "twice.jsonl:1: the id 3 is there twice in one frame": lambda: EvalConfig(files["twice"], truth),
        "two.jsonl:2: results of 'a.mp4' and 'b.mp4'": lambda: EvalConfig(files["two"], truth),
        "no picture of the results is among the 1 of": lambda: EvalConfig(files["outside"], truth),
        "r.mot.txt:1 names no picture": lambda: EvalConfig(rows, pictures),
        "entry 0 has no `frame`": lambda: EvalConfig(foreign, truth),
        "--every is for the frames of a video": lambda: EvalConfig(foreign, pictures, every=2),
        "--events and --truth-events go together": lambda: EvalConfig(rows, truth, events=rows),
    }


@pytest.mark.parametrize("number", range(7))
def test_what_does_not_fit_together_is_refused(number: int, tmp_path: Path) -> None:
    said, config = list(refusals(tmp_path).items())[number]
    with pytest.raises(UsageError) as caught:
        evaluate(config())
    assert said in str(caught.value)


def test_without_the_extra_the_error_has_the_command_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingExtra, match=r"pip install 'humandetect\[eval\]'"):
        score_boxes(walk(1, 2), walk(1, 2))
