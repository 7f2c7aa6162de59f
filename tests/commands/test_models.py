"""The commands about models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from humandetect.models.find import bundled
from tests.command_line import humandetect

if TYPE_CHECKING:
    from pathlib import Path


def test_models_list_shows_the_default_model() -> None:
    run = humandetect("models", "list")
    assert run.returncode == 0
    assert "human_detection" in run.stdout
    assert "Apache-2.0" in run.stdout


def test_models_list_says_what_a_model_is_not_for() -> None:
    (scope,) = [
        line for line in humandetect("models", "list").stdout.splitlines() if line.startswith("movenet_multipose: ")
    ]
    assert "surveillance or identity recognition explicitly out of scope" in scope
    assert "3 to 6 feet from a webcam" in scope


def test_models_check_finds_a_damaged_model(tmp_path: Path) -> None:
    source = bundled("models/human_detection/2")
    for path in source.rglob("*"):
        target = tmp_path / "models" / "human_detection" / "2" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.write_bytes(path.read_bytes()[:-10] if path.name == "saved_model.pb" else path.read_bytes())
    run = humandetect("models", "check", "human_detection")
    assert run.returncode == 1
    assert "FAIL" in run.stdout


def test_a_path_stays_on_its_line_where_no_terminal_is(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.symlink_to(bundled("models"))
    lines = humandetect("models", "list", "--models-dir", folder).stdout.splitlines()
    assert any(line.rstrip().endswith("human_detection/2") and str(folder) in line for line in lines), lines


def test_models_list_as_json() -> None:
    model = next(one for one in json.loads(humandetect("models", "list", "--json").stdout) if one["version"] == "2")
    assert model["name"] == "human_detection"
    assert model["input"] == {"height": 384, "width": 512}


def test_models_list_says_sizes_accuracy_and_what_was_measured(tmp_path: Path) -> None:
    bench = humandetect("models", "bench", "human_detection", "--seconds", "4", "--json", XDG_CACHE_HOME=str(tmp_path))
    assert bench.returncode == 0, bench.stderr
    sizes = {row["size"] for row in json.loads(bench.stdout) if row["engine"] == "openvino"}
    assert sizes == {"small", "default", "far"}
    listed = humandetect("models", "list", XDG_CACHE_HOME=str(tmp_path)).stdout
    (line,) = [line for line in listed.splitlines() if line.startswith("human_detection")]
    assert "264x352 384x512 480x640" in line
    assert "plaza 84.9, street 79.1" in line
    assert "(openvino)" in line
    model = next(one for one in json.loads(humandetect("models", "list", "--json").stdout) if one["version"] == "2")
    assert model["sizes"]["far"] == {"height": 480, "width": 640}
    assert model["accuracy"]["small"]["plaza"] == 75.5
