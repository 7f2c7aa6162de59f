"""Results as text that other programs read."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os

import numpy as np
import pytest

from humandetect.media.frames import DetectedFrame
from humandetect.media.sinks.text_formats import FORMATS, Coco, CocoDataset, Csv, JsonLines, Mot
from tests.builders import detected, frame, people

BOX = [1.234, 2.0, 30.006, 40.5]


def result(*boxes: list[float], scores: list[float] | None = None, **options: object) -> DetectedFrame:
    return DetectedFrame(frame(**options), people(boxes, scores))  # type: ignore[arg-type]


def tracked(number: int) -> DetectedFrame:
    found = result(BOX)
    found.detections.tracker_id = np.array([number])
    return found


def coco(*results: DetectedFrame) -> list[dict[str, object]]:
    form = Coco()
    found = json.loads(form.head + "".join(form.text(one) for one in results) + form.tail)
    assert isinstance(found, list)
    return found


def test_json_line_of_a_frame() -> None:
    line = JsonLines().text(result(BOX, [0, 0, 5, 5], scores=[0.93214, 0.5], index=7))
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "source": "clip.mp4",
        "frame": 7,
        "time_seconds": 0.7,
        "people": [
            {"box": [1.23, 2.0, 30.01, 40.5], "score": 0.9321, "track_id": None},
            {"box": [0.0, 0.0, 5.0, 5.0], "score": 0.5, "track_id": None},
        ],
    }


def test_json_line_of_a_frame_without_people() -> None:
    assert json.loads(JsonLines().text(result()))["people"] == []


def test_only_kept_boxes_are_marked_in_json() -> None:
    kept = dataclasses.replace(result(BOX), detected=False)
    assert json.loads(JsonLines().text(kept))["detected"] is False
    assert "detected" not in json.loads(JsonLines().text(result(BOX)))


def test_track_ids_are_numbers_where_there_are_any() -> None:
    assert json.loads(JsonLines().text(tracked(12)))["people"][0]["track_id"] == 12
    assert Csv().text(tracked(12)).split(",")[3] == "12"
    assert Mot().text(tracked(12)).split(",")[1] == "12"


@pytest.mark.parametrize(
    "name", ["caf\udce9.mp4", "new\nline.mp4", 'quote".mp4', "com,ma.mp4", "ünï.mp4", "rtsp://host/a?b"]
)
def test_any_name_gives_one_valid_line(name: str) -> None:
    readable = os.fsencode(name).decode("utf-8", "replace")
    line = JsonLines().text(result(BOX, source=name)).encode()
    assert line.count(b"\n") == 1
    assert json.loads(line)["source"] == readable
    rows = list(csv.reader(io.StringIO(Csv().text(result(BOX, source=name)).encode().decode(), newline="")))
    assert [row[0] for row in rows] == [readable]
    assert coco(result(BOX, source=name))[0]["source"] == readable


def test_json_never_holds_what_json_does_not_know() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        JsonLines().text(result(BOX, scores=[float("nan")]))


def test_csv_has_a_row_a_person_under_its_heading() -> None:
    form = Csv()
    rows = list(csv.DictReader(io.StringIO(form.head + form.text(result(BOX, BOX, index=3)) + form.text(result()))))
    assert len(rows) == 2
    assert rows[0] == {
        "source": "clip.mp4", "frame": "3", "time_seconds": "0.3", "track_id": "",
        "x1": "1.23", "y1": "2.0", "x2": "30.01", "y2": "40.5", "score": "0.9",
    }  # fmt: skip


def test_coco_results_are_what_evaluators_load() -> None:
    assert coco(result([10, 20, 30, 60], index=4)) == [
        {
            "image_id": 4, "category_id": 1, "bbox": [10.0, 20.0, 20.0, 40.0], "score": 0.9,
            "source": "clip.mp4", "frame": 4,
        }
    ]  # fmt: skip


def test_coco_results_are_valid_without_people_and_with_many() -> None:
    assert coco() == []
    assert coco(result(), result()) == []
    assert len(coco(result(BOX, BOX), result(), result(BOX))) == 3


def test_coco_images_named_by_number_have_that_id() -> None:
    found = coco(result(BOX, source="val/000000000139.jpg"), result(BOX, source="val/000000000285.JPG"))
    assert [entry["image_id"] for entry in found] == [139, 285]
    assert coco(result(BOX, source="0001.mp4", index=5))[0]["image_id"] == 5


def test_no_two_images_of_a_run_share_an_id() -> None:
    names = ["000001.jpg", "000005.jpg", "a/000005.jpg", "bus.jpg", "shop.jpg", "000006.jpg"]
    found = coco(*(result(BOX, source=name, index=index) for index, name in enumerate(names)))
    ids = [entry["image_id"] for entry in found]
    assert ids[:2] == [1, 5]
    assert len(set(ids)) == len(names)


def test_a_coco_dataset_has_images_and_annotations_that_belong_together() -> None:
    form = CocoDataset()
    results = [result(BOX, BOX, source="a.mp4", index=0), result(source="a.mp4", index=1), result(BOX, source="7.jpg")]
    dataset = json.loads(form.head + "".join(map(form.text, results)) + form.tail)
    assert dataset["categories"] == [{"id": 1, "name": "person"}]
    height, width = results[0].frame.image.shape[:2]
    assert dataset["images"] == [
        {"id": 0, "file_name": "a.mp4#0", "width": width, "height": height},
        {"id": 1, "file_name": "a.mp4#1", "width": width, "height": height},
        {"id": 7, "file_name": "7.jpg", "width": width, "height": height},
    ]
    assert [(entry["id"], entry["image_id"]) for entry in dataset["annotations"]] == [(1, 0), (2, 0), (3, 7)]
    assert dataset["annotations"][0]["bbox"] == [1.23, 2.0, 28.78, 38.5]
    empty = CocoDataset()
    assert json.loads(empty.head + empty.tail)["images"] == []


def test_csv_has_a_row_for_an_empty_frame_where_that_is_wanted() -> None:
    form = Csv(empty_rows=True)
    rows = list(csv.DictReader(io.StringIO(form.head + form.text(result(index=3)) + form.text(result(BOX, index=4)))))
    assert [(row["frame"], row["score"]) for row in rows] == [("3", ""), ("4", "0.9")]


def test_coco_frames_of_further_sources_count_on() -> None:
    found = coco(
        result(BOX, source="a.mp4", index=0),
        result(source="a.mp4", index=1),
        result(BOX, source="b.mp4", index=0),
        result(BOX, source="b.mp4", index=1),
        result(BOX, source="c.jpg", index=2),
    )
    assert [entry["image_id"] for entry in found] == [0, 2, 3, 4]


def test_frames_of_a_source_given_twice_count_on() -> None:
    frames = [result(BOX, source="a.mp4", index=index) for index in (5, 6, 5, 6)]
    assert [entry["image_id"] for entry in coco(*frames)] == [5, 6, 7, 8]
    still = Mot()
    assert [still.text(result(BOX, source="a.jpg")).split(",")[0] for _ in range(3)] == ["1", "2", "3"]


def test_mot_rows_count_frames_from_one() -> None:
    assert Mot().text(result(BOX, index=0)) == "1,-1,1.23,2.0,28.78,38.5,0.9,-1,-1,-1\n"
    assert Mot().text(result()) == ""


def test_mot_takes_a_folder_of_images_as_one_sequence() -> None:
    form = Mot()
    lines = [form.text(result(BOX, source=f"{number:06d}.jpg")) for number in (1, 2, 3)]
    assert [line.split(",")[0] for line in lines] == ["1", "2", "3"]


@pytest.mark.parametrize("ending", FORMATS)
def test_a_day_of_frames_is_written_piece_by_piece(ending: str) -> None:
    form = FORMATS[ending]()
    sizes = {len(form.text(detected(index, [BOX]))) for index in range(100, 200)}
    assert max(sizes) < 300  # each piece is a frame's own, whatever came before
