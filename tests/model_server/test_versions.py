"""Versions come and go in the models' folders, and no request fails for it."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from humandetect.errors import ServerError
from humandetect.model_server.registry import Registry, State
from humandetect.model_server.servable import Servable
from humandetect.model_server.served_models import ModelSettings
from humandetect.model_server.status import ServingError, invalid
from tests.model_server import served_models as models
from tests.model_server.started import Client, config_text, predict_request, serving
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def half(tmp_path: Path, versions: dict[str, float], policy: str = "") -> Iterator[tuple[Client, Path]]:
    """Serve x / 2 + the version's addend, under the name "half"."""
    base = tmp_path / "half"
    base.mkdir(exist_ok=True)
    for name, addend in versions.items():
        add(base, name, addend)
    config = tmp_path / "models.config"
    config.write_text(config_text({"half": base}, half=policy))
    with serving(config) as client:
        yield client, base


def add(base: Path, version: str, addend: float) -> None:
    """Copy aside, then rename, as deployments do."""
    models.half_plus(base.parent / f"aside-{version}", addend).rename(base / version)


def answer(client: Client) -> tuple[int, float]:
    response = client.ask("half", x=[0.0])
    return response.model_spec.version.value, response.outputs["y"].float_val[0]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", {3}),
        ("model_version_policy { latest { num_versions: 2 } }", {2, 3}),
        ("model_version_policy { all {} }", {1, 2, 3}),
        ("model_version_policy: { specific: { versions: 1, versions: 2 } },", {1, 2}),
    ],
    ids=["default", "latest", "all", "specific"],
)
def test_the_policy_decides_which_versions_answer(tmp_path: Path, policy: str, expected: set[int]) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "5").write_text("no folder")
    with half(tmp_path, {"1": 1, "2": 2, "0003": 3, "other": 9, "4b": 9}, policy) as (client, _):
        assert {number for number, state in client.states("half").items() if state == "AVAILABLE"} == expected
        assert answer(client) == (max(expected), max(expected))
        for number in expected:
            request = predict_request("half", x=[0.0])
            request.model_spec.version.value = number
            assert client.prediction.Predict(request, timeout=20).outputs["y"].float_val[0] == number


def test_a_new_version_takes_over_and_the_old_one_ends_without_a_failed_request(tmp_path: Path) -> None:
    with half(tmp_path, {"1": 1}) as (client, base):
        answers: list[tuple[int, float]] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answers.append(answer(client))

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        try:
            eventually(lambda: len(answers) > 5)
            add(base, "2", 2)
            eventually(lambda: client.states("half") == {1: "END", 2: "AVAILABLE"})
            shutil.rmtree(base / "2")
            eventually(lambda: client.states("half") == {1: "AVAILABLE", 2: "END"})
            count = len(answers)
            eventually(lambda: len(answers) > count + 5)
        finally:
            stop.set()
            for asker in askers:
                asker.join()
        assert {(1, 1.0), (2, 2.0)} == set(answers)
        assert answers[-1] == (1, 1.0)


def test_a_broken_version_is_logged_and_the_one_before_serves_until_it_is_repaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with half(tmp_path, {"1": 1}) as (client, base):
        (base / "2").mkdir()
        (base / "2" / "saved_model.pb").write_bytes(b"half copied")
        eventually(lambda: client.states("half").get(2) == "END")
        assert "version 2 of model half cannot be served" in caplog.text
        assert answer(client) == (1, 1.0)
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name, request.model_spec.version.value = "half", 2
        (entry,) = client.model.GetModelStatus(request, timeout=20).model_version_status
        assert entry.status.error_code != 0
        assert entry.status.error_message
        time.sleep(0.3)
        assert caplog.text.count("version 2 of model half cannot be served") == 1
        shutil.rmtree(base / "2")
        add(base, "2", 2)
        eventually(lambda: client.states("half") == {1: "END", 2: "AVAILABLE"})
        assert answer(client) == (2, 2.0)


def test_a_server_starts_on_an_older_version_where_the_newest_is_broken(tmp_path: Path) -> None:
    (tmp_path / "half" / "2").mkdir(parents=True)
    models.half_plus(tmp_path / "half" / "1", 1)
    config = tmp_path / "models.config"
    config.write_text(config_text({"half": tmp_path / "half"}))
    with serving(config) as client:
        assert answer(client) == (1, 1.0)
        assert client.states("half") == {2: "END", 1: "AVAILABLE"}


def test_versions_stay_while_the_base_path_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with half(tmp_path, {"1": 1}) as (client, base):
        base.rename(tmp_path / "gone")
        eventually(lambda: "is gone" in caplog.text)
        time.sleep(0.2)
        assert answer(client) == (1, 1.0)
        assert caplog.text.count("is gone") == 1
        (tmp_path / "gone").rename(base)
        add(base, "2", 2)
        eventually(lambda: client.states("half").get(2) == "AVAILABLE")


def test_an_empty_base_path_unloads_everything(tmp_path: Path) -> None:
    with half(tmp_path, {"1": 1}) as (client, base):
        shutil.rmtree(base / "1")
        eventually(lambda: client.states("half") == {1: "END"})
        with pytest.raises(grpc.RpcError, match=r"Servable not found for request: Latest\(half\)"):
            answer(client)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("model_version_policy { specific { versions: 7 } }", "has no version to serve: expected 7, found 1"),
        (
            'version_labels { key: "canary" value: 2 }',
            "Request to assign label to version 2 of model half, which is not currently available for inference",
        ),
    ],
)
def test_a_server_without_what_its_config_wants_does_not_start(tmp_path: Path, policy: str, reason: str) -> None:
    with pytest.raises(ServerError, match=reason), half(tmp_path, {"1": 1}, policy):
        pass


class Runner:
    """A model that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def run(self, *_: Any) -> list[Any]:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def runners() -> dict[str, Runner]:
    return {}


@pytest.fixture
def registry(runners: dict[str, Runner]) -> Registry:
    """Versions are empty folders here; one that is called 666 is broken."""

    def load(_name: str, path: Path) -> Servable:
        if path.name == "666":
            raise invalid("the number of the beast")
        runners[str(path)] = Runner()
        return Servable({}, runners[str(path)])

    return Registry(load)


def folder(base: Path, *versions: int) -> Path:
    for version in versions:
        (base / str(version)).mkdir(parents=True)
    return base


def spec(name: str = "m", version: int | None = None) -> Any:
    wanted = model_pb2.ModelSpec(name=name)
    if version is not None:
        wanted.version.value = version
    return wanted


def states(registry: Registry, name: str = "m") -> dict[int, State]:
    return {version.number: version.state for version in registry.status(spec(name))}


def test_a_version_in_use_is_unloaded_only_when_it_is_given_back(
    tmp_path: Path, registry: Registry, runners: dict[str, Runner]
) -> None:
    base = folder(tmp_path / "m", 1)
    registry.apply([ModelSettings("m", base)])
    with registry.lease(spec()) as (_, number):
        assert number == 1
        folder(base, 2)
        registry.poll()
        assert states(registry) == {2: State.AVAILABLE, 1: State.UNLOADING}
        assert not runners[str(base / "1")].closed
        with pytest.raises(ServingError, match=r"Specific\(m, 1\)"), registry.lease(spec(version=1)):
            pass
    assert states(registry) == {2: State.AVAILABLE, 1: State.END}
    assert runners[str(base / "1")].closed


def test_a_version_may_come_back_before_its_last_request_is_answered(tmp_path: Path, registry: Registry) -> None:
    base = folder(tmp_path / "m", 1)
    registry.apply([ModelSettings("m", base)])
    with registry.lease(spec()):
        folder(base, 2)
        registry.poll()
        (base / "2").rmdir()
        registry.poll()
        assert states(registry) == {2: State.END, 1: State.AVAILABLE}
    assert states(registry)[1] == State.AVAILABLE


def test_the_same_number_in_another_folder_is_another_version(
    tmp_path: Path, registry: Registry, runners: dict[str, Runner]
) -> None:
    first, second = folder(tmp_path / "first", 1), folder(tmp_path / "second", 1)
    registry.apply([ModelSettings("m", first)])
    registry.apply([ModelSettings("m", second)])
    with registry.lease(spec()) as (servable, _):
        assert servable.runner is runners[str(second / "1")]
    assert runners[str(first / "1")].closed


def test_nothing_changes_if_new_settings_cannot_be_served(
    tmp_path: Path, registry: Registry, runners: dict[str, Runner]
) -> None:
    first, second, broken = folder(tmp_path / "m", 1), folder(tmp_path / "n", 1), folder(tmp_path / "b", 666)
    registry.apply([ModelSettings("m", first)])
    with pytest.raises(ServingError, match="the number of the beast"):
        registry.apply([ModelSettings("n", second), ModelSettings("b", broken)])
    assert registry.available() == {"m": [1]}
    assert states(registry, "n") == {1: State.END}
    assert runners[str(second / "1")].closed


def test_a_model_left_out_ends_and_its_end_is_remembered(tmp_path: Path, registry: Registry) -> None:
    registry.apply([ModelSettings("m", folder(tmp_path / "m", 1)), ModelSettings("n", folder(tmp_path / "n", 4))])
    registry.apply([ModelSettings("n", tmp_path / "n")])
    assert states(registry) == {1: State.END}
    assert registry.available() == {"n": [4]}


def test_what_breaks_does_not_end_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR)
    with half(tmp_path, {"1": 1}) as (client, base):
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "_settle", lambda *_: 1 / 0)
            eventually(lambda: "could not be looked at" in caplog.text)
        add(base, "2", 2)
        eventually(lambda: client.states("half").get(2) == "AVAILABLE")
