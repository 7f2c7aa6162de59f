"""The commands about models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.bench import model_speed
from humandetect.models.find import bundled
from tests.command_line import error_line, invoke
from tests.models.model_folders import make_model

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.bench.model_speed import Speed


@pytest.fixture
def time_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure once, briefly; for others no time is left then."""
    real = model_speed._speed

    def measure(*given: Any, seconds: float) -> Speed:
        monkeypatch.setattr(model_speed, "SHORTEST_SECONDS", 1000.0)
        return real(*given, seconds=0.1)

    monkeypatch.setattr(model_speed, "_speed", measure)


def test_models_list_shows_the_default_model() -> None:
    run = invoke("models", "list")
    assert run.returncode == 0
    assert "human_detection" in run.stdout
    assert "Apache-2.0" in run.stdout


def test_models_list_says_what_a_model_is_not_for() -> None:
    (scope,) = [line for line in invoke("models", "list").stdout.splitlines() if line.startswith("movenet_multipose: ")]
    assert "surveillance or identity recognition explicitly out of scope" in scope
    assert "3 to 6 feet from a webcam" in scope


def test_models_list_has_a_row_for_each_size_with_what_is_known_of_it(tmp_path: Path) -> None:
    lines = invoke("models", "list", COLUMNS="40", XDG_CACHE_HOME=str(tmp_path)).stdout.splitlines()
    assert lines[0].split() == ["MODEL", "VERSION", "SIZE", "PIXELS", "PLAZA", "STREET", "SCORE", "IMAGES/S"]
    assert ["human_detection", "2", "default", "384x512", "84.9", "79.3", "0.50", "-"] in map(str.split, lines)
    assert ["movenet_multipose", "1", "far", "384x512", "89.2", "81.6", "0.35", "-"] in map(str.split, lines)
    assert all(len(line) <= 80 for line in lines[:9])


@pytest.mark.usefixtures("time_for_one")
def test_models_bench_measures_what_models_list_then_shows(tmp_path: Path) -> None:
    model = str(bundled("models/human_detection"))
    cache = str(tmp_path / "cache")
    run = invoke("models", "bench", model, "--json", XDG_CACHE_HOME=cache)
    assert run.returncode == 0, run.stderr
    figures = {(one["size"], one["setup"]): one for one in json.loads(run.stdout)["speeds"]}
    speed = figures["default", "openvino"]["images_per_second"]
    assert figures["default", "openvino"]["engine"].startswith("openvino ")
    assert any("--seconds" in one.get("left_out", "") for one in figures.values())
    listed = json.loads(invoke("models", "list", "--json", XDG_CACHE_HOME=cache).stdout)[0]["images_per_second"]
    assert listed["default"]["openvino"] == pytest.approx(speed, abs=0.01)
    row = next(
        line for line in invoke("models", "list", XDG_CACHE_HOME=cache).stdout.splitlines() if " default " in line
    )
    assert row.split()[-1] == f"{speed:.1f}"


@pytest.mark.usefixtures("time_for_one")
def test_models_bench_tells_in_a_table_what_was_left_out() -> None:
    run = invoke("models", "bench", "human_detection")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("MODEL ")
    assert "left out: human_detection 2 at " in run.stdout
    assert "machine: " in run.stdout


def test_models_bench_that_measures_nothing_fails_with_the_reason(tmp_path: Path) -> None:
    run = invoke("models", "bench", make_model(tmp_path / "broken"), "--quiet")
    assert (run.returncode, run.stdout) == (1, "")
    assert "nothing was measured; broken at default in openvino: " in error_line(run)


def test_models_bench_refuses_an_unknown_model_before_it_measures() -> None:
    run = invoke("models", "bench", "human_detection", "nobody")
    assert run.returncode == 2
    assert "no model 'nobody'" in error_line(run)


def test_models_check_looks_at_a_size_or_refuses_it() -> None:
    run = invoke("models", "check", "movenet_multipose", "--size", "256x352")
    assert "input 256x352" in run.stdout
    run = invoke("models", "check", "movenet_multipose", "--size", "250x352")
    assert run.returncode == 2
    assert "multiples of 32" in error_line(run)


def test_models_check_finds_a_damaged_model(tmp_path: Path) -> None:
    source = bundled("models/human_detection/2")
    for path in source.rglob("*"):
        target = tmp_path / "models" / "human_detection" / "2" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.write_bytes(path.read_bytes()[:-10] if path.name == "saved_model.pb" else path.read_bytes())
    run = invoke("models", "check", "human_detection")
    assert run.returncode == 1
    assert "FAIL" in run.stdout


def test_a_path_stays_on_its_line_where_no_terminal_is(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.symlink_to(bundled("models"))
    lines = invoke("models", "list", "--models-dir", folder).stdout.splitlines()
    assert any(line.rstrip().endswith("human_detection/2") and str(folder) in line for line in lines), lines


def test_a_folder_without_models_says_how_files_are_given(tmp_path: Path) -> None:
    assert "is given by its path: models check PATH" in invoke("models", "list", "--models-dir", tmp_path).stdout


def test_models_list_as_json() -> None:
    model = next(one for one in json.loads(invoke("models", "list", "--json").stdout) if one["version"] == "2")
    assert model["name"] == "human_detection"
    assert model["input"] == {"height": 384, "width": 512}
    assert model["sizes"]["far"] == {"height": 480, "width": 640}
    assert model["accuracy"]["far"] == {"plaza": 87.5, "street": 80.0}
