"""Without a server named, the engine tf-serving starts one, and always ends it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from humandetect.config import EngineConfig, ServingConfig
from humandetect.engines import load_engine
from humandetect.engines.tfserving import embedded as serving_embedded
from humandetect.engines.tfserving.embedded import EmbeddedServer, _models_config
from humandetect.errors import EngineError, EngineTimeout, MissingExtra, ModelError, UsageError
from humandetect.models.config_file import read_models_config
from humandetect.models.find import find_model
from humandetect.models.metadata import ModelFolder, ModelMetadata
from tests.children import children_with
from tests.engines.tfserving.fake_server import pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psutil


def servers_of(parent: int) -> list[psutil.Process]:
    return children_with("model-server", parent)


def test_all_that_is_needed_is_the_engines_name() -> None:
    others = len(servers_of(os.getpid()))
    engine = load_engine(EngineConfig(engine="tf-serving"))
    assert engine.info.engine == "tf-serving, embedded server"
    assert engine.infer(pictures(0, hw=(384, 512))).scores.shape[0] == 1
    assert len(servers_of(os.getpid())) == others + 1
    engine.close()
    engine.close()
    assert len(servers_of(os.getpid())) == others


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a shell script stand in for the command that is started."""

    def write(script: str) -> None:
        command = tmp_path / "python"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(command))

    return write


MODEL = find_model("human_detection")


def test_a_server_that_cannot_start_says_why(stub: Callable[[str], None]) -> None:
    stub("echo 'error: no memory left' >&2; exit 3")
    with pytest.raises(EngineError, match="the model server did not start: no memory left"):
        EmbeddedServer(MODEL)


def test_a_server_that_is_never_ready_is_given_up(stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_embedded, "START_SECONDS", 0.3)
    stub("echo waiting >&2; exec sleep 60")
    began = time.monotonic()
    with pytest.raises(EngineTimeout, match=r"not ready after 0.3 s: waiting"):
        EmbeddedServer(MODEL)
    assert time.monotonic() - began < 20


def test_a_server_that_will_not_end_is_ended(stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_embedded, "END_SECONDS", 0.3)
    stub("trap '' TERM; echo 'gRPC at 127.0.0.1:9' >&2; while true; do sleep 0.1; done")
    server = EmbeddedServer(MODEL)
    assert server.target == "127.0.0.1:9"
    server.close()
    server.close()


def test_the_server_is_told_to_end_with_this_process_which_leaves_nothing_behind(
    stub: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends with its standard input ends with a parent that is killed, too."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    stub(f"echo \"$@\" > {tmp_path / 'told'}; echo 'gRPC at 127.0.0.1:9' >&2; cat")
    server = EmbeddedServer(MODEL)
    assert "--exit-with-stdin" in (tmp_path / "told").read_text()
    assert not list((tmp_path / "temporary").iterdir())
    server.close()


def test_settings_of_this_program_are_not_passed_on(
    stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANDETECT_REST_PORT", "1")
    stub('echo "[$HUMANDETECT_REST_PORT]" >&2')
    with pytest.raises(EngineError, match=r"did not start: \[\]"):
        EmbeddedServer(MODEL)


@pytest.mark.parametrize("version", ["7", ""], ids=["numbered", "any folder"])
def test_exactly_the_chosen_version_is_served(version: str, tmp_path: Path) -> None:
    path = tmp_path / 'na"me' / (version or "export")
    path.mkdir(parents=True)
    config = tmp_path / "models.config"
    config.write_text(_models_config(ModelFolder("m", version, path, ModelMetadata()), None if version else tmp_path))
    (entry,) = read_models_config(config)
    assert entry.versions == (int(version or 1),)
    assert (entry.base_path / str(entry.versions[0])).resolve() == path.resolve()


def test_frozen_graphs_cannot_be_served(tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.touch()
    with pytest.raises(ModelError, match="takes SavedModels only"):
        EmbeddedServer(ModelFolder("graph", "", graph, ModelMetadata()))


def test_without_tensorflow_both_ways_out_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_embedded, "has_model_server", lambda: False)
    with pytest.raises(MissingExtra, match=r"pip install 'humandetect\[tensorflow\]'; or name a server with --serving"):
        load_engine(EngineConfig(engine="tf-serving"))


@pytest.mark.parametrize("options", [{"model": "m"}, {"version": 1}, {"label": "stable"}])
def test_what_is_chosen_on_servers_needs_servers(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="add --serving HOST:PORT"):
        load_engine(EngineConfig(engine="tf-serving", serving=ServingConfig(**options)))  # type: ignore[arg-type]
