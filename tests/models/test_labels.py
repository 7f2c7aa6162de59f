"""Names of classes, and which of them are people."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from humandetect.errors import ModelError, UsageError
from humandetect.models.labels import labels_beside, parse_names, person_classes_of, tell_nothing

MODEL = Path("model.onnx")


@pytest.mark.parametrize("text", ["{0: 'person', 1: 'dog'}", '["person", "dog"]', '{"0": "person", "1": "dog"}'])
def test_names_are_read_as_exporters_write_them(text: str) -> None:
    assert parse_names(text) == {0: "person", 1: "dog"}


@pytest.mark.parametrize("text", ["", "person", "3", "{'a': 'b'}"])
def test_other_texts_are_no_names(text: str) -> None:
    assert parse_names(text) == {}


@pytest.mark.parametrize("name", ["model.txt", "labels.txt", "coco.names"])
def test_labels_lie_beside_the_model(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("dog\nperson\n", encoding="utf-8")
    assert labels_beside(tmp_path / "model.onnx") == {0: "dog", 1: "person"}


@pytest.mark.parametrize("text", ["???\nperson\nhot dog\n", "0 person\n1 hot dog\n", "0: person\n1: hot dog"])
def test_labels_may_have_numbers_or_tensorflows_background(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(text, encoding="utf-8")
    assert labels_beside(tmp_path / "model.tflite") == {0: "person", 1: "hot dog"}


@pytest.mark.parametrize("place", ["model/labels.txt", "model/assets/classes.txt", "model/model.names", "model.txt"])
def test_labels_lie_in_the_models_folder_or_beside_it_by_its_name(place: str, tmp_path: Path) -> None:
    (tmp_path / "model/assets").mkdir(parents=True)
    (tmp_path / place).write_text("dog\nperson\n", encoding="utf-8")
    assert labels_beside(tmp_path / "model") == {0: "dog", 1: "person"}


def test_versions_share_labels(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "labels.txt").write_text("dog\nperson\n", encoding="utf-8")
    assert labels_beside(tmp_path / "3") == {0: "dog", 1: "person"}


@pytest.mark.parametrize("text", ["dog\nperson", "background\ndog\nperson", "???\ndog\nperson", "1 dog\n2 person"])
def test_classes_may_count_from_1(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(text, encoding="utf-8")
    assert labels_beside(tmp_path / "model.pb", first=1) == {1: "dog", 2: "person"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_labels_may_be_of_windows_tools(encoding: str, tmp_path: Path) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "labels.txt").write_bytes(f"{mark}dog\r\nperson\r\n".encode(encoding))
    assert labels_beside(tmp_path / "model.onnx") == {0: "dog", 1: "person"}


def test_a_label_map_says_its_numbers(tmp_path: Path) -> None:
    items = "item {\n  name: '/m/01g317'\n  id: 7\n  display_name: \"Person\"\n}\nitem { id: 9 name: 'dog' }\n"
    (tmp_path / "label_map.pbtxt").write_text(items, encoding="utf-8")
    assert labels_beside(tmp_path / "model.pb") == {7: "Person", 9: "dog"}


def test_numbers_may_leave_some_out(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\ufeff0  person\n11  stop sign\n13  bench\n", encoding="utf-8")
    assert labels_beside(tmp_path / "model.tflite") == {0: "person", 11: "stop sign", 13: "bench"}


@pytest.mark.parametrize("form", ["{}", "class{}", "class_{}", "LABEL_{}"])
def test_names_that_are_but_numbers_tell_nothing(form: str) -> None:
    assert tell_nothing({number: form.format(number) for number in range(80)})
    assert not tell_nothing({0: form.format(1)})
    assert not tell_nothing({0: "person", 1: form.format(1)})


def test_people_are_found_by_name_or_as_the_only_class_or_as_given() -> None:
    labels = {0: "helmet", 3: "Pedestrian"}
    assert person_classes_of(labels, None, model=MODEL) == {3}
    assert person_classes_of({0: "worker"}, None, model=MODEL) == {0}
    assert person_classes_of(labels, "Helmet", model=MODEL) == {0}
    assert person_classes_of(labels, "7", model=MODEL) == {7}


def test_a_name_that_no_class_has_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no class 'cat' in model\.onnx: its classes are 0 dog, 1 bird"):
        person_classes_of({0: "dog", 1: "bird"}, "cat", model=MODEL)


def test_where_nothing_tells_the_error_says_what_would() -> None:
    with pytest.raises(ModelError, match=r"which class is a person\? Its classes are no names; .*--person-class"):
        person_classes_of({}, None, model=MODEL)


def test_a_class_that_has_no_name_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert person_classes_of({0: "dog", 7: "bird"}, "9", model="odd") == {9}
    assert caplog.messages == ["odd has no name for class 9, only in 0 to 7: is --person-class right?"]
    assert caplog.records[0].levelno == logging.ERROR  # which also those see who did not ask for --verbose
