"""People are read from every format with the same numbers, and a row that makes no sense is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from humandetect.analytics.recorded import read_results, read_truth
from humandetect.errors import SourceError, UsageError
from humandetect.media.sinks.text import open_results
from tests.builders import detected

if TYPE_CHECKING:
    from pathlib import Path

LINE = '{"source": "clip.mp4", "frame": 0, "time_seconds": 0, "people": [{"box": %s, "score": 0.9, "track_id": 1}]}\n'
IMAGE = {"id": 7, "file_name": "a/7.jpg"}
PERSON = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]}
CATEGORIES = [{"id": 3, "name": "person"}, {"id": 4, "name": "dog"}]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def dataset(path: Path, **parts: object) -> Path:
    return written(path, json.dumps({"images": [IMAGE], "categories": CATEGORIES, "annotations": [PERSON], **parts}))


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".coco.json", ".mot.txt"])
def test_what_detect_writes_is_read_with_frames_from_0(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"people{ending}"
    sink = open_results(str(path))
    for index in range(3):
        sink.write(detected(index, [[10, 10, 20 + index, 40]] if index != 1 else []))
    sink.close()
    found = {row.frame: row.people[0] for row in read_results(path) if row.people}
    assert {frame: person.box for frame, person in found.items()} == {0: (10, 10, 20, 40), 2: (10, 10, 22, 40)}
    assert {(person.score, person.track_id) for person in found.values()} == {(0.9, None)}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.jsonl", LINE % "[1, 2, 3, 4]" + '{"frame": 1', "r.jsonl:2 is no line of results"),
        ("r.jsonl", LINE % "[1, 2, 3]", "r.jsonl:1 is no line of results"),
        ("r.jsonl", LINE % "[5, 2, 3, 4]", "box 5, 2, 3, 4"),
        ("r.jsonl", LINE % "[NaN, 2, 3, 4]", "box nan, 2, 3, 4"),
        ("r.jsonl", '{"source": "clip.mp4", "people": []}', "there is no 'frame'"),
        ("r.jsonl", LINE % "[1, 2, 3, 4]" * 2, "r.jsonl:2: frame 0 of 'clip.mp4' is there twice"),
        ("r.csv", "source,frame,x1,y1,x2,y2,score,track_id\nclip.mp4,0,1,2,3,?,0.5,\n", "r.csv:2 is no row"),
        ("r.csv", "frame,x\n0,1\n", "there is no 'x1'"),
        ("r.mot.txt", "1,1,0,0,10,20,1\n0,1,0,0,10,20,1\n", "r.mot.txt:2 is no MOTChallenge row: frame 0, and frames"),
        ("r.mot.txt", "10000000000,1,0,0,10,20,1\n", "frame 10000000000, and 1000000 are the most"),
        ("r.mot.txt", "1,1,0,0,10\n", "r.mot.txt:1 is no MOTChallenge row"),
        ("r.coco.json", '[{"image_id": 1, "score": 1}]', "entry 0 is no COCO result: there is no 'bbox'"),
        ("r.coco.json", "{}", "is not COCO results, an array"),
        ("r.coco.json", "[", "is no JSON"),
        ("r.txt", "", "the name must end in .jsonl"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        list(read_results(written(tmp_path / name, text)))
    assert said in str(caught.value)


def test_a_line_about_the_run_is_no_frame(tmp_path: Path) -> None:
    rows = read_results(written(tmp_path / "r.jsonl", '{"width": 64}\n' + LINE % "[1, 2, 3, 4]"))
    assert [row.frame for row in rows] == [0]


def test_motchallenge_truth_is_read_whatever_its_eighth_column_means(tmp_path: Path) -> None:
    rows = "1,9,499,158,31,75,1,-4.1,-7.3,0\n3,9,499,158,31,75,0,-1,-1,-1\n"
    truth = read_truth(written(tmp_path / "gt.txt", rows))
    assert {frame: [one.ignored for one in people] for frame, people in truth.people.items()} == {
        0: [False],
        1: [],
        2: [True],
    }
    assert truth.people[0][0].box == (499, 158, 530, 233)


def test_coco_truth_has_people_only_and_images_where_nobody_is(tmp_path: Path) -> None:
    annotations = [PERSON, {**PERSON, "category_id": 4}, {**PERSON, "iscrowd": 1}]
    images = [IMAGE, {"id": 8, "file_name": "8.jpg"}]
    truth = read_truth(dataset(tmp_path / "t.json", annotations=annotations, images=images))
    assert {key: [one.ignored for one in people] for key, people in truth.people.items()} == {7: [False, True], 8: []}
    assert truth.image_ids == {"7.jpg": 7, "8.jpg": 8}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"annotations": [{**PERSON, "image_id": 9}]}, "annotation 0 is of image 9, which is not among the images"),
        ({"annotations": [{**PERSON, "track_id": 1}] * 2}, "annotation 1: the id 1 is there twice in one frame"),
        ({"annotations": [{}]}, "annotation 0 is no COCO annotation: there is no 'category_id'"),
        ({"annotations": []}, "has no people"),
        ({"categories": CATEGORIES[1:]}, "has no category `person`, but dog"),
        ({"annotations": None}, "is no COCO dataset"),
        ({"categories": [1]}, "is no COCO dataset"),
        ({"annotations": [{**PERSON, "image_id": [7]}]}, "annotation 0 is no COCO annotation"),
        ({"images": [{}]}, "is no COCO dataset: there is no 'file_name'"),
        ({"images": [IMAGE, {"id": 8, "file_name": "b/7.jpg"}]}, "have the same name"),
    ],
)
def test_a_coco_truth_that_makes_no_sense_is_refused(parts: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_truth(dataset(tmp_path / "t.json", **parts))
    assert said in str(caught.value)


def test_an_id_that_is_there_twice_in_a_frame_of_the_truth_is_named(tmp_path: Path) -> None:
    rows = "1,4,0,0,10,20,1\n1,4,50,0,10,20,1\n"
    with pytest.raises(UsageError, match=r"gt\.txt:2: the id 4 is there twice in one frame"):
        read_truth(written(tmp_path / "gt.txt", rows))


def test_a_file_that_is_not_there_or_no_text_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_truth(tmp_path / "gt.txt")
    (tmp_path / "gt.txt").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_truth(tmp_path / "gt.txt")
