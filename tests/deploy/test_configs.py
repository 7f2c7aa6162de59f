"""The configuration that all ways to deploy share."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from humandetect.config import DEFAULT_MODEL
from humandetect.model_server.batching_parameters import read_batching_parameters
from humandetect.model_server.warmup_records import BATCH_SIZES, WARMUP_NAME
from humandetect.models.config_file import read_models_config
from tests.deploy.files import DEPLOY, ROOT, serving_flags

KUBERNETES = DEPLOY / "kubernetes"


@pytest.mark.parametrize("name", ["batching_parameters.txt", "batching_parameters_gpu.txt"])
def test_the_servers_batches_take_what_clients_send(name: str) -> None:
    parameters = read_batching_parameters(DEPLOY / name)
    assert parameters.max_batch_size >= max(BATCH_SIZES)
    assert set(parameters.warmup_sizes(BATCH_SIZES)) >= {1, 16}


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        (KUBERNETES / "base" / "models.config", ROOT / "models.config"),
        (KUBERNETES / "base" / "batching_parameters.txt", DEPLOY / "batching_parameters.txt"),
        (KUBERNETES / "gpu" / "batching_parameters.txt", DEPLOY / "batching_parameters_gpu.txt"),
        (KUBERNETES / "base" / "monitoring.txt", DEPLOY / "monitoring.txt"),
    ],
    ids=lambda path: path.name,
)
def test_the_copies_that_kustomize_needs_are_copies(copy: Path, original: Path) -> None:
    assert copy.read_text() == original.read_text()


def test_the_models_are_where_the_volume_is_mounted() -> None:
    entries = {entry.name: str(entry.base_path) for entry in read_models_config(ROOT / "models.config")}
    assert entries == {name: f"/models/{name}" for name in (DEFAULT_MODEL, "movenet_multipose")}


def test_the_metrics_are_switched_on() -> None:
    assert (DEPLOY / "monitoring.txt").read_text().split() == [
        "prometheus_config", "{", "enable:", "true", "path:", '"/monitoring/prometheus/metrics"', "}",
    ]  # fmt: skip


def test_copied_models_have_warm_up_requests_and_stay_as_they_are(tmp_path: Path) -> None:
    parameters = tmp_path / "batching.txt"
    parameters.write_text("max_batch_size { value: 1 }")

    def copy() -> str:
        return subprocess.run(
            ["sh", str(DEPLOY / "copy_models.sh"), str(tmp_path / "volume"), "--batching-parameters", str(parameters)],
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MODELS": "models"},
            cwd=ROOT, capture_output=True, check=True, text=True,
        ).stdout  # fmt: skip

    version = tmp_path / "volume" / DEFAULT_MODEL / "2"
    assert "is ready" in copy()
    assert (version / "saved_model.pb").read_bytes() == (ROOT / f"models/{DEFAULT_MODEL}/2/saved_model.pb").read_bytes()
    before = (version / WARMUP_NAME).stat()
    assert 589_000 < before.st_size < 600_000  # one picture
    assert before.st_mode & stat.S_IROTH  # the server is another user
    assert "is there already" in copy()
    assert (version / WARMUP_NAME).stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in version.parent.iterdir()] == ["2"]


DOCKER_LINES = re.findall(r"docker run (?:.*\\\n)*.*", (DEPLOY / "README.md").read_text())


@pytest.mark.parametrize("line", DOCKER_LINES, ids=["cpu", "gpu"])
def test_the_readmes_docker_lines_mount_what_there_is(line: str) -> None:
    words = shlex.split(line.replace("\\\n", " "))
    (image,) = (index for index, word in enumerate(words) if word.startswith("tensorflow/serving:"))
    mounts = [words[index + 1].split(":") for index, word in enumerate(words) if word == "-v"]
    assert all((ROOT / source.removeprefix("$PWD/")).exists() for source, _, _ in mounts)
    files = {value for flag, value in serving_flags(words[image + 1 :]).items() if flag.endswith("_file")}
    assert files | {"/models"} == {target for _, target, _ in mounts}
    assert ("--gpus" in words) == words[image].endswith("-gpu")
