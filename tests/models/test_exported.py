"""What exporters say of a model is read wherever they put it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import ModelError
from humandetect.models.exported import labels_of, picture_of, read_exported, size_of, stride_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "size"),
    [("[384, 640]", (384, 640)), ("(320, 320)", (320, 320)), ("640", (640, 640)), ("[0, 1]", None), ("big", None)],
)
def test_a_size_is_a_pair_or_a_side(text: str, size: tuple[int, int] | None) -> None:
    assert size_of({"imgsz": text}) == size


def test_nothing_said_is_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"no archive")
    said = read_exported(tmp_path / "model.tflite")
    assert (said, labels_of(said), size_of(said), stride_of(said)) == ({}, {}, None, None)


def test_a_file_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("names: {0: person, 1: it's}\nstride: 32\n", encoding="utf-8")
    said = read_exported(tmp_path / "model.xml")
    assert labels_of(said) == {0: "person", 1: "it's"}
    assert stride_of(said) == 32
    assert read_exported(tmp_path) == said


@pytest.mark.parametrize(
    ("mean", "keep_ratio", "picture"),
    [
        ([0.0, 0.0, 0.0], False, {"keep_aspect": False, "scaling": "0..1"}),
        ([0.485, 0.456, 0.406], True, {"keep_aspect": True, "scaling": "imagenet"}),
        ("null", True, {"keep_aspect": True, "scaling": "0..1"}),
        (0.5, True, {"keep_aspect": True, "scaling": "0..1"}),
    ],
)
def test_what_paddledetection_writes_beside_a_model(
    mean: object, keep_ratio: bool, picture: dict[str, object], tmp_path: Path
) -> None:
    steps = f"Preprocess:\n- {{type: Resize, keep_ratio: {keep_ratio}}}\n- {{type: NormalizeImage, mean: {mean}}}\n"
    (tmp_path / "infer_cfg.yml").write_text(f"arch: DETR\n{steps}label_list:\n- helmet\n- person\n", encoding="utf-8")
    said = read_exported(tmp_path / "model.onnx")
    assert labels_of(said) == {0: "helmet", 1: "person"}
    assert picture_of(said) == picture


def test_rt_detr_of_ultralytics_is_trained_on_stretched_pictures() -> None:
    assert picture_of({"description": "Ultralytics rtdetr-l model trained on coco.yaml"}) == {"keep_aspect": False}
    assert picture_of({"description": "Ultralytics YOLO11n model trained on coco.yaml"}) == {}


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("names: [", encoding="utf-8")
    with pytest.raises(ModelError, match=r"metadata\.yaml"):
        read_exported(tmp_path / "model.xml")


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("temp_meta.txt", "{'names': {0: 'person'}, 'imgsz': [64, 96]}", {0: "person"}),
        ("metadata.json", '{"names": {"0": "person"}}', {0: "person"}),
        ("labelmap.txt", "???\nperson\n\ndog\n", {0: "person", 2: "dog"}),
    ],
)
def test_an_archive_at_the_end_of_a_tflite_model(tmp_path: Path, name: str, text: str, labels: dict[int, str]) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"the model")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, text)
    assert labels_of(read_exported(path)) == labels
