"""How fast models are on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from humandetect.bench import model_speed
from humandetect.bench.model_speed import SETUPS, USUAL, LeftOut, Setup, Speed, SpeedCache, Trial, measure, trials_of
from humandetect.models.find import bundled, find_model
from humandetect.models.metadata import ModelFolder, ModelMetadata
from tests.builders import frame
from tests.engines.models import Kind, saved_model
from tests.models.model_folders import make_model

if TYPE_CHECKING:
    from pathlib import Path

SPEED = Speed(12.5, "openvino", 1.0)


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    return ModelFolder("tiny", "1", make_model(tmp_path / "tiny" / "1"), ModelMetadata())


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_every_engine_is_measured_and_its_figure_kept(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_speed, "LONGEST_SECONDS", 0.1)
    trial = Trial(saved_model(tmp_path / "model", Kind(hw=(40, 60))), setup, "default")
    ((measured, result),) = measure([trial], [frame(0)], seconds=10)
    assert measured == trial
    assert isinstance(result, Speed)
    assert result.images_per_second > 0
    assert result.engine.startswith(f"{setup.engine} ")
    assert SpeedCache().load(trial) == result


def test_what_does_not_fit_is_left_out_and_told(model: ModelFolder) -> None:
    began = time.monotonic()
    results = list(measure(trials_of([model]), [frame(0)], seconds=1))
    assert time.monotonic() - began < 20
    assert results
    assert all(isinstance(result, LeftOut) and "--seconds" in result.reason for _, result in results)


def test_a_model_that_an_engine_cannot_take_is_left_out_with_the_reason(model: ModelFolder) -> None:
    ((_, result),) = measure([Trial(model, USUAL, "default")], [frame(0)], seconds=60)
    assert isinstance(result, LeftOut)
    assert str(model.path) in result.reason


def test_the_figures_that_are_listed_come_first() -> None:
    models = [find_model(str(bundled(f"models/{name}"))) for name in ("human_detection", "movenet_multipose")]
    trials = trials_of(models)
    assert [(trial.model, trial.setup, trial.size) for trial in trials[:2]] == [
        (model, USUAL, "default") for model in models
    ]
    assert [trial.size for trial in trials if trial.model == models[0] and trial.setup == USUAL] == [
        "default", "small", "far",
    ]  # fmt: skip


def test_an_engine_is_given_only_what_it_takes(tmp_path: Path) -> None:
    model = ModelFolder("yolo", "", tmp_path / "yolo.onnx", ModelMetadata())
    assert {trial.setup.engine for trial in trials_of([model])} == {"openvino"}


def test_a_figure_of_another_file_engine_or_size_is_not_shown(model: ModelFolder) -> None:
    trial = Trial(model, USUAL, "default")
    SpeedCache().save(trial, SPEED)
    assert SpeedCache().load(trial) == SPEED
    assert SpeedCache().load(Trial(model, USUAL, "small")) is None
    assert SpeedCache().load(Trial(model, Setup("openvino", "f32"), "default")) is None
    (model.path / "saved_model.pb").write_bytes(b"rebuilt")
    assert SpeedCache().load(trial) is None


@pytest.mark.parametrize(
    ("what", "other"),
    [("machine", {"cpu": "another", "cpus": 2}), ("versions", {"openvino": "another"})],
)
def test_a_figure_of_another_machine_or_version_is_not_shown(
    model: ModelFolder, monkeypatch: pytest.MonkeyPatch, what: str, other: dict[str, object]
) -> None:
    trial = Trial(model, USUAL, "default")
    SpeedCache().save(trial, SPEED)
    monkeypatch.setattr(model_speed, what, lambda: other)
    assert SpeedCache().load(trial) is None
