"""What watches `watch`: dashboard and alerts name only figures that it tells, and the unit starts what there is."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from humandetect.watch.base import State
from humandetect.watch.metrics import DeliveryFigures, RecordingFigures, WatchCollector, watch_registry
from tests.deploy.files import DEPLOY, load
from tests.watch.web.cameras import FakeCameras

if TYPE_CHECKING:
    from pathlib import Path

(RULES,) = load(DEPLOY / "prometheus" / "watch.rules.yaml")
(RULES_TEST,) = load(DEPLOY / "prometheus" / "watch.rules.test.yaml")
PROMTOOL = shutil.which("promtool")
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "watch.json").read_text(encoding="utf-8"))
EXPRESSIONS = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


Promtool = Callable[[dict[str, Any]], None]


@pytest.fixture
def promtool(tmp_path: Path) -> Promtool:
    """Hold the alerts to tests."""
    if PROMTOOL is None:
        pytest.skip("no promtool: apt-get install prometheus")

    def run(tests: dict[str, Any]) -> None:
        path = tmp_path / "test.yaml"
        rules = [str(DEPLOY / "prometheus" / name) for name in tests["rule_files"]]
        path.write_text(yaml.safe_dump({**tests, "rule_files": rules}), encoding="utf-8")
        ended = subprocess.run([PROMTOOL, "test", "rules", path], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    return run


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """Return the labels of every figure by its name."""
    cameras = FakeCameras("door")
    cameras.step("door", dropped={"late": 1}, reconnects={"timeout": 1})
    collector = WatchCollector(
        cameras,
        recordings=lambda: RecordingFigures(1, {"space": 1}),
        deliveries=lambda: DeliveryFigures({("mqtt", "sent"): 1}, {"mqtt": 1}, {"events": 1}),
    )
    samples = [sample for metric in watch_registry(collector).collect() for sample in metric.samples]
    return {sample.name: set(sample.labels) | {"instance"} for sample in samples}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_dashboard_and_alerts_name_figures_and_labels_that_are_told(expression: str, told: dict[str, set[str]]) -> None:
    names = re.findall(r"\b(?:humandetect|process)_\w+", expression)
    assert names
    assert set(names) <= set(told)
    for name, selection in re.findall(r"\b((?:humandetect|process)_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)[=!]", selection)) <= told[name]
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert all(set(labels.split(", ")) <= told[name] for name in names)


def test_every_figure_of_cameras_is_on_the_dashboard(told: dict[str, set[str]]) -> None:
    shown = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    assert {name for name in told if name.startswith("humandetect_") and name not in shown} == set()


def test_states_that_are_asked_for_exist() -> None:
    asked = re.findall(r'state[=!]~?"([^"]+)"', " ".join(EXPRESSIONS))
    assert asked
    assert {state for states in asked for state in states.split("|")} <= set(get_args(State))


def test_labels_in_texts_of_alerts_are_left_by_their_expressions(told: dict[str, set[str]]) -> None:
    for rule in (rule for group in RULES["groups"] for rule in group["rules"]):
        wanted = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = re.search(r"by \(([^)]*)\)", rule["expr"])
        (name, *_) = re.findall(r"humandetect_\w+", rule["expr"])
        assert wanted <= (set(kept[1].split(", ")) if kept else told[name])


def test_each_alert_fires_when_it_should_and_not_before(promtool: Promtool) -> None:
    tested = RULES_TEST["tests"]
    fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fired == {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
    promtool(RULES_TEST)


@pytest.mark.parametrize(("state", "fires"), [("lost", True), ("waiting", True), ("live", False), ("late", False)])
def test_what_is_told_of_a_lost_camera_is_an_alert(state: State, fires: bool, promtool: Promtool) -> None:
    cameras = FakeCameras("door")
    cameras.change("door", state=state)
    figures = {
        f'{sample.name}{{instance="a", camera="door", state="{sample.labels["state"]}"}}': sample.value
        for metric in watch_registry(WatchCollector(cameras)).collect()
        for sample in metric.samples
        if sample.name == "humandetect_camera_state"
    }
    alert = {
        "exp_labels": {"severity": "warning", "instance": "a", "camera": "door"},
        "exp_annotations": {"summary": "door has not been seen for two minutes"},
    }
    case = {"alertname": "CameraLost", "eval_time": "3m", "exp_alerts": [alert] * fires}
    series = [{"series": name, "values": f"{value:g}x5"} for name, value in figures.items()]
    promtool({**RULES_TEST, "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": [case]}]})


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_unit_starts_again_and_writes_only_where_it_keeps_things() -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    text = (DEPLOY / "humandetect-watch.service").read_text(encoding="utf-8").replace("\\\n", " ")
    parser.read_string(text)
    service = parser["Service"]
    assert (service["Restart"], service["ProtectSystem"]) == ("on-failure", "strict")
    assert service["RestartForceExitStatus"] == "SIGHUP"  # a reload before it listens, to systemd a good end
    words = service["ExecStart"].replace("%%", "%").split()
    assert [word for word in words if word.startswith("/var/")] == [
        "/var/lib/humandetect/data", "/var/lib/humandetect/recordings",
    ]  # fmt: skip
    assert service["StateDirectory"] == "humandetect"
