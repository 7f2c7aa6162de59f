"""Every model of the TensorFlow Object Detection API works in every engine, whatever its exporter did.

For models on a server see test_served_models.py.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from humandetect.config import EngineConfig
from humandetect.engines import ENGINES, load_engine
from humandetect.engines.detection_api import raw_detections, warm_up
from humandetect.errors import EngineError, ModelError, UsageError
from humandetect.models.metadata import ModelFolder, ModelMetadata, read_metadata
from humandetect.models.sizes import Preset
from tests.engines.models import PERSON_BOX, Kind, frozen_graph, modern_saved_model, saved_model
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.engines.base import Engine

BRIGHT = np.full((2, 40, 60, 3), 204, np.uint8)


@pytest.fixture(params=[name for name, entry in ENGINES.items() if not entry.remote])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def start(name: str, model: ModelFolder) -> Engine:
    module, _, attribute = ENGINES[name].where.partition(":")
    engine: Engine = getattr(import_module(module), attribute)(model, device="cpu", precision="f32")
    return engine


def assert_answers(engine: Engine, images: np.ndarray = BRIGHT) -> None:
    raw = engine.infer(images)
    ymin, xmin, ymax, xmax = PERSON_BOX
    np.testing.assert_allclose(raw.xyxy[:, 0], [[xmin, ymin, xmax, ymax]] * len(images), atol=1e-6)
    np.testing.assert_allclose(raw.scores, [[0.8, 0.4, 0]] * len(images), atol=1e-3)
    assert raw.class_ids[:, :2].tolist() == [[1, 18]] * len(images)
    engine.close()


@pytest.mark.parametrize(
    "kind",
    [
        Kind(),
        Kind(key="input_tensor", integers=True),
        Kind(key="image_tensor", more_outputs=True),
        Kind(batch=1),
        Kind(batch=1, scalar_count=True),
        Kind(variable=True),
    ],
    ids=str,
)
def test_saved_models_of_all_exporters_work(engine_name: str, kind: Kind, tmp_path: Path) -> None:
    engine = start(engine_name, saved_model(tmp_path / "model", kind))
    assert engine.info.input_hw is None
    assert_answers(engine)


def test_saved_models_of_tensorflow_2_work(engine_name: str, tmp_path: Path) -> None:
    assert_answers(start(engine_name, modern_saved_model(tmp_path / "model")))


@pytest.mark.parametrize("consumed", [False, True])
def test_frozen_graphs_work(engine_name: str, consumed: bool, tmp_path: Path) -> None:
    assert_answers(start(engine_name, frozen_graph(tmp_path / "graph.pb", Kind(key="image_tensor"), consumed=consumed)))


def test_full_frames_may_change_their_size(engine_name: str, tmp_path: Path) -> None:
    engine = start(engine_name, saved_model(tmp_path / "model", Kind()))
    for height, width in ((40, 60), (90, 30), (40, 60)):
        raw = engine.infer(np.full((1, height, width, 3), 204, np.uint8))
        np.testing.assert_allclose(raw.scores[0], [0.8, 0.4, 0], atol=1e-3)


def test_a_size_fixed_in_the_signature_is_the_input_size(engine_name: str, tmp_path: Path) -> None:
    engine = start(engine_name, saved_model(tmp_path / "model", Kind(hw=(40, 60))))
    assert engine.info.input_hw == (40, 60)
    assert_answers(engine)


def test_one_side_fixed_in_the_signature_needs_a_size(engine_name: str, tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", Kind(hw=(40, None)))
    with pytest.raises(UsageError, match=r"synthetic takes pictures of 40xANY only"):
        start(engine_name, model)
    assert_answers(start(engine_name, replace(model, metadata=ModelMetadata(Preset((40, 60))))))


def test_the_metadata_sets_the_input_size_of_open_models(engine_name: str, tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", Kind())
    engine = start(engine_name, ModelFolder("m", "1", model.path, ModelMetadata(Preset((40, 60)))))
    assert engine.info.input_hw == (40, 60)
    assert_answers(engine)


def test_models_work_by_path(engine_name: str, tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", Kind())
    assert_answers(load_engine(EngineConfig(engine=engine_name, device="cpu", model=str(model.path))))  # type: ignore[arg-type]


def test_a_model_that_fails_on_whole_pictures_is_to_be_given_a_size() -> None:
    with pytest.raises(EngineError, match="the fake engine broke"):
        warm_up(FakeEngine(fail_after=0), "people")
    whole = FakeEngine(fail_after=0)
    whole.info = replace(whole.info, size=None)
    with pytest.raises(ModelError, match=r"people may not take pictures as they are .*: say a size with"):
        warm_up(whole, "people")


@pytest.mark.parametrize("number", [float("nan"), -1.0])
def test_a_number_of_rows_that_is_none_is_no_empty_answer(number: float) -> None:
    one = {"detection_boxes": np.zeros((2, 3, 4)), "detection_scores": np.full((2, 3), 0.9)}
    two = {"detection_classes": np.full((2, 3), 0.99), "num_detections": np.array([2.0, number])}
    raw = raw_detections([{**one, **two}])
    np.testing.assert_allclose(raw.scores, [[0.9, 0.9, 0], [np.nan] * 3], atol=1e-6)
    assert raw.class_ids.tolist() == [[1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Kind(without="detection_scores"), "lacks the outputs detection_scores"),
        (Kind(key="picture"), "no image input; expected one of inputs, .* the model has picture"),
        (Kind(input_type=tf.float32), r"expected an input of uint8 images .* takes float32 \(\?, \?, \?, 3\)"),
        (Kind(flat_boxes=True), "do not have the shapes"),
    ],
    ids=["output missing", "input missing", "float input", "odd boxes"],
)  # fmt: skip
def test_other_models_are_refused_with_the_reason(engine_name: str, kind: Kind, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=reason):
        start(engine_name, saved_model(tmp_path / "model", kind))


@pytest.mark.parametrize(
    ("file", "text", "people"),
    [
        ("labels.txt", "helmet\nperson\n", {2}),
        ("assets.extra/humandetect.json", '{"labels": {"1": "helmet", "2": "person"}}', {2}),
        (
            "assets.extra/humandetect.json",
            '{"labels": {"1": "helmet", "2": "person"}, "person_classes": [1, 2]}',
            {1, 2},
        ),
    ],
)
def test_labels_name_the_people(engine_name: str, file: str, text: str, people: set[int], tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", Kind())
    (model.path / file).parent.mkdir(exist_ok=True)
    (model.path / file).write_text(text, encoding="utf-8")
    info = start(engine_name, replace(model, metadata=read_metadata(model.path))).info
    assert info.metadata.person_classes == people
    assert info.metadata.labels == {1: "helmet", 2: "person"}


def test_a_frozen_graph_of_something_else_is_refused(engine_name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lacks the outputs detection_boxes"):
        start(engine_name, frozen_graph(tmp_path / "graph.pb", Kind(without="detection_boxes")))


def _cut(path: Path) -> None:
    graph = path / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])


def _forget_variables(path: Path) -> None:
    shutil.rmtree(path / "variables")


def _forget_graph(path: Path) -> None:
    (path / "saved_model.pb").unlink()


@pytest.mark.parametrize("damage", [_cut, _forget_variables, _forget_graph])
def test_damaged_models_are_refused(engine_name: str, damage: Any, tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", Kind(variable=True))
    damage(model.path)
    with pytest.raises(ModelError, match="model"):
        start(engine_name, model)


@pytest.mark.parametrize("garbage", [b"no graph at all", b"\xd5\x17\xab" * 1000], ids=["text", "bytes"])
def test_garbage_is_no_frozen_graph(
    engine_name: str, garbage: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(garbage)
    with pytest.raises(ModelError, match=r"graph\.pb"):
        start(engine_name, ModelFolder("garbage", "", path, ModelMetadata()))
    assert capfd.readouterr() == ("", "")


def test_openvino_names_what_it_cannot_and_the_engine_that_can(tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", Kind(unknown_operation=True))
    with pytest.raises(ModelError, match=r"operations: AsString, StringLength\)\. .*--engine tensorflow can"):
        start("openvino", model)
    assert_answers(start("tensorflow", model))
