"""Results files as the frames that they were, and files that are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.analytics.saved import SavedResults, SavedSource
from humandetect.errors import SourceError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

BEGIN: dict[str, Any] = {
    "source": "a.mp4", "kind": "video", "size": [640, 360], "every": 1, "score": 0.5, "results_score": 0.1,
    "track_scores": [0.5, 0.3], "settings": {"model": "m 1"}, "started": None, "humandetect": "0.1.0",
}  # fmt: skip
STRONG: dict[str, Any] = {"box": [1.0, 2.0, 3.0, 4.0], "score": 0.5, "track_id": None}
WEAK: dict[str, Any] = {"box": [5.0, 6.0, 7.0, 8.0], "score": 0.4999, "track_id": 3}


def line(frame: int = 0, **said: Any) -> dict[str, Any]:
    return {"source": "a.mp4", "frame": frame, "time_seconds": frame / 10, "people": [STRONG, WEAK], **said}


def write(path: Path, *lines: Any, end: str = "\n") -> SavedResults:
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines) + end, "utf-8")
    return SavedResults(path)


def first(saved: SavedResults) -> SavedSource:
    return next(iter(saved))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


def test_who_is_a_person_is_a_matter_of_the_score(path: Path) -> None:
    """A box that continued a track is among the people of a run with tracks, and was none before."""
    provenance, frames = first(write(path, BEGIN, line()))
    (frame,) = frames
    assert provenance.size == (640, 360)
    assert frame.frame.image.shape == (360, 640, 3)
    assert not frame.frame.has_pixels
    assert frame.detections.xyxy.tolist() == [STRONG["box"]]
    assert frame.weak.xyxy.tolist() == [WEAK["box"]]


def test_without_a_score_the_weak_are_those_that_say_so(path: Path) -> None:
    _, frames = first(write(path, {**BEGIN, "score": None}, line(people=[STRONG, WEAK, {**WEAK, "weak": True}])))
    (frame,) = frames
    assert (len(frame.detections), len(frame.weak)) == (2, 1)


def test_kept_and_failed_frames_are_told_apart(path: Path) -> None:
    _, frames = first(write(path, BEGIN, line(), line(1, detected=False), line(2, error="away", people=[])))
    assert [(frame.detected, frame.failure) for frame in frames] == [(True, None), (False, None), (False, "away")]


def test_each_line_about_a_source_begins_one(path: Path) -> None:
    saved = write(path, BEGIN, line(), line(1), {**BEGIN, "source": "b.mp4"}, line(source="b.mp4"), BEGIN, line())
    assert saved.sources() == ["a.mp4", "b.mp4", "a.mp4"]
    assert [(each.provenance.source, len(list(each.frames))) for each in saved] == [
        ("a.mp4", 2), ("b.mp4", 1), ("a.mp4", 1),
    ]  # fmt: skip


def test_a_source_whose_frames_nobody_took_is_passed_over(path: Path) -> None:
    saved = write(path, BEGIN, line(), {**BEGIN, "source": "b.mp4"}, line(source="b.mp4"))
    assert [each.provenance.source for each in saved] == ["a.mp4", "b.mp4"]


def test_a_last_line_that_was_cut_is_left_out_with_a_warning(path: Path) -> None:
    saved = write(path, BEGIN, line(), json.dumps(line(1))[:40], end="")
    assert [len(list(each.frames)) for each in saved] == [1]
    assert "r.jsonl:3" in saved.warnings[0]
    assert "did not end" in saved.warnings[0]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line()], "does not say how the results were made: detect again with --results-score"),
        ([BEGIN, "no json", line()], r"r\.jsonl:2 is no line of results"),
        ([BEGIN, "[1, 2]", line()], r"r\.jsonl:2 is no line of results"),
        ([{"event": "crossing"}, line()], r"r\.jsonl:1 is no line of results: there is no 'size'"),
        ([BEGIN, line(people=[{"box": [1, 2], "score": 1}])], "r.jsonl:2"),
        ([BEGIN, line(people=[{"box": [1, 2, 3, 4]}])], "there is no 'score'"),
        ([BEGIN, json.dumps(line(time_seconds=float("nan")))], "time_seconds nan"),
        ([BEGIN, line(people=[{"box": [1, 2, float("nan"), 4], "score": 1}])], "expected x1 <= x2, y1 <= y2"),
        ([BEGIN, line(people=[{"box": [9, 2, 3, 4], "score": 1}])], "expected x1 <= x2, y1 <= y2"),
        ([BEGIN, line(people=[{"box": [1, 2, 3, 4], "score": 90}])], "with score 90.0"),
        ([BEGIN, line(source="b.mp4")], "r.jsonl:2 is .* of 'b.mp4', and stands among those of 'a.mp4'"),
        ([BEGIN, line(time_seconds=1e300)], "time_seconds 1e"),
        (["[" * 10_000 + "]" * 10_000, line()], r"r\.jsonl:1"),
        ([], "has no line of results"),
        ([{**BEGIN, "started": "9999-12-31T23:59:59+00:00"}, line()], "expected a year from 1970 to 9000"),
        ([{**BEGIN, "size": [0, 0]}, line()], "a picture of 0 x 0"),
        ([{**BEGIN, "track_scores": 0.5}, line()], r"r\.jsonl:1"),
        ([{**BEGIN, "started": "soon"}, line()], "Invalid isoformat string: 'soon'"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(path: Path, lines: list[Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        [list(each.frames) for each in write(path, *lines)]


def test_pictures_of_a_folder_have_names_of_their_own(path: Path) -> None:
    pictures = [line(source="shop/a.jpg"), line(source="shop/b.jpg")]
    _, frames = first(write(path, {**BEGIN, "source": "shop", "kind": "image"}, *pictures))
    assert [frame.frame.source for frame in frames] == ["shop/a.jpg", "shop/b.jpg"]


def test_a_score_that_was_rounded_to_more_than_1_is_no_fault(path: Path) -> None:
    _, frames = first(write(path, BEGIN, line(people=[{**STRONG, "score": 1.0039}])))
    assert len(list(frames)) == 1


def test_a_byte_order_mark_is_no_fault(path: Path) -> None:
    saved = write(path, BEGIN, line())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [each.provenance.source for each in saved] == ["a.mp4"]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"only \.jsonl, \.ndjson, \.parquet"):
        SavedResults(tmp_path / "r.csv")
    with pytest.raises(SourceError, match="No such file"):
        list(SavedResults(tmp_path / "none.jsonl"))
    (tmp_path / "r.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(UsageError, match="UTF-8"):
        list(SavedResults(tmp_path / "r.jsonl"))
