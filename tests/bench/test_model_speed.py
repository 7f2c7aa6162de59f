"""`models bench`: bounded in time, kept for this machine and this very model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from humandetect.bench import model_speed
from humandetect.bench.machine import machine
from humandetect.bench.model_speed import Speed, keep, known_speed, measure
from humandetect.models.metadata import checksum
from tests.engines.models import Kind, saved_model

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.models.metadata import ModelFolder


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return saved_model(tmp_path / "model", Kind(hw=(40, 60)))


def test_every_installed_engine_is_measured_and_the_fastest_is_remembered(model: ModelFolder) -> None:
    speeds = list(measure([model], seconds=4))
    assert {speed.engine for speed in speeds} == {"openvino", "tensorflow"}
    assert all(speed.images_per_second and speed.images_per_second > 10 for speed in speeds)
    assert known_speed(model) is None
    keep(speeds)
    assert known_speed(model) == max(speeds, key=lambda speed: speed.images_per_second or 0)


def test_what_has_no_time_left_says_so(model: ModelFolder) -> None:
    began = time.monotonic()
    speeds = list(measure([model], seconds=0.1))
    assert time.monotonic() - began < 5
    assert [speed.images_per_second for speed in speeds] == [None, None]
    keep(speeds)
    assert known_speed(model) is None


def test_the_speed_of_another_machine_or_of_a_changed_model_is_not_shown(model: ModelFolder) -> None:
    known = Speed(model.name, "openvino", "default", 50.0, "openvino 1", checksum(model.path), "another CPU")
    keep([known])
    assert known_speed(model) is None
    here = str(machine()["cpu"])
    keep([Speed(model.name, "openvino", "default", 60.0, "openvino 1", "0" * 64, here)])
    assert known_speed(model) is None
    keep([Speed(model.name, "openvino", "default", 70.0, "openvino 1", known.checksum, here)])
    found = known_speed(model)
    assert found is not None
    assert found.images_per_second == 70


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", '[{"model": "synthetic"}]', '[{"of": "a newer version"}]'])
def test_a_damaged_file_is_as_none(model: ModelFolder, content: str) -> None:
    path = model_speed._path()
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    assert known_speed(model) is None
    keep([Speed(model.name, "openvino", "default", 1.0)])


def test_a_model_that_an_engine_cannot_run_is_left_out_with_a_word(
    model: ModelFolder, caplog: pytest.LogCaptureFixture
) -> None:
    (model.path / "saved_model.pb").write_bytes(b"no model")
    assert list(measure([model], seconds=4)) == []
    assert "synthetic in openvino at size default is left out" in caplog.text
