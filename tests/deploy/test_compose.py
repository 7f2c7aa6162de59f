"""compose.yaml is valid, and what it names is there. No container is started here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from humandetect.config import WatchConfig
from humandetect.config.fields import fields_of
from humandetect.service import END_SECONDS
from tests.deploy.files import DEPLOY, load, parse_command, parse_copy_models, serving_flags

COMPOSE = DEPLOY / "compose.yaml"
(PROJECT,) = load(COMPOSE)
SERVICES: dict[str, Any] = PROJECT["services"]
SERVERS = {name: service for name, service in SERVICES.items() if name.startswith("serving")}
REAL_SERVERS = {name: service for name, service in SERVERS.items() if name != "serving-embedded"}


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Return what is mounted, by its place in the container."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in service.get("volumes", [])}


def test_it_is_what_the_compose_specification_allows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    assert set(SERVICES[name].get("secrets", [])) <= set(PROJECT["secrets"])
    for source in mounts(SERVICES[name]).values():
        assert (DEPLOY / source).exists() if source.startswith(".") else source in PROJECT["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_can_write_or_become_more_than_it_is(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_memory_and_logs_are_bounded_and_there_is_time_to_end(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert int(service["stop_grace_period"].removesuffix("s")) > END_SECONDS


@pytest.mark.parametrize("profile", ["cpu", "gpu", "embedded", "openvino", "camera", "watch"])
def test_a_profile_is_complete_and_no_port_is_published_twice(profile: str) -> None:
    started = {name: service for name, service in SERVICES.items() if profile in service["profiles"]}
    ports = [port for service in started.values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports))
    for service in started.values():
        needed = service.get("depends_on", {})
        assert all(name in started or condition.get("required") is False for name, condition in needed.items())


def test_the_fast_path_needs_nothing_but_serve() -> None:
    service = SERVICES["serve-openvino"]
    assert parse_command(service["command"])["engine"] == "openvino"
    assert "depends_on" not in service
    assert service["healthcheck"] == SERVICES["serve"]["healthcheck"]


def test_a_camera_is_watched_with_results_of_its_own_on_a_volume(tmp_path: Path) -> None:
    service = SERVICES["camera"]
    (shell, flag, script, name), arguments = service["entrypoint"], service["command"]
    (tmp_path / "camera").write_text("rtsp://user:secret@camera.example/stream\n")
    said = (
        script.replace("$$", "$").replace("/run/secrets", str(tmp_path)).replace("exec humandetect", "printf '%s\\n'")
    )
    run = subprocess.run([shell, flag, said, name, *arguments], capture_output=True, text=True, check=True)
    words = run.stdout.splitlines()
    options = parse_command(words)
    (results,) = options["results"]
    assert "rtsp://user:secret@camera.example/stream" in words
    assert mounts(service)[str(Path(results).parent)] == "results"


def test_cameras_are_watched_with_data_and_recordings_on_a_volume_and_a_page_that_is_published() -> None:
    service = SERVICES["watch"]
    options = {name: str(value) for name, value in parse_command(service["command"]).items()}
    (place,) = (place for place, volume in mounts(service).items() if volume == "watch")
    assert all(Path(options[folder]).is_relative_to(place) for folder in ("data", "record"))
    assert mounts(service)[str(Path(service["command"][1]).parent)] == "./cameras"
    assert set(service["environment"]) <= {field.variable for field in fields_of(WatchConfig)}
    (port,) = (port.rpartition(":")[2] for port in service["ports"])
    assert options["web"].endswith(f":{port}")
    assert f":{port}/healthz" in service["healthcheck"]["test"][-1]
    assert f" {place}" in (DEPLOY / "Dockerfile").read_text()  # made there, for the user who writes


@pytest.mark.parametrize("name", SERVICES)
def test_images_have_versions_and_builds_have_stages(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d+\.\d+\.\d+(-gpu)?$", service["image"])
    if "build" in service:
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert f" AS {service['build']['target']}\n" in (DEPLOY / "Dockerfile").read_text()


def test_every_profile_has_one_server_that_serve_finds() -> None:
    (profile,) = re.findall(r"^COMPOSE_PROFILES=(\w+)$", (DEPLOY / ".env").read_text(), re.MULTILINE)
    assert sorted(service["profiles"] for service in SERVERS.values()) == [["cpu"], ["embedded"], ["gpu"]]
    assert profile == "cpu"
    options = parse_command(SERVICES["serve"]["command"])
    (target,) = options["serving"]
    for service in SERVERS.values():
        (alias,) = service["networks"]["default"]["aliases"]
        assert target == f"dns:///{alias}:8500"
    assert set(SERVICES["serve"]["depends_on"]) == set(SERVERS)
    assert options["engine"] == "tf-serving"


@pytest.mark.parametrize("name", REAL_SERVERS)
def test_tensorflow_servings_files_are_mounted_and_its_ports_published(name: str) -> None:
    service = SERVICES[name]
    flags = serving_flags(service["command"])
    named = {value for flag, value in flags.items() if flag.endswith("_file")}
    assert named | {"/models"} == set(mounts(service))
    assert [port.split(":")[-1] for port in service["ports"]] == [flags["port"], flags["rest_api_port"]]
    assert f"/{flags['rest_api_port']} " in service["healthcheck"]["test"][-1]


def test_cpu_and_gpu_run_the_same_version() -> None:
    assert SERVICES["serving-gpu"]["image"] == f"{SERVICES['serving']['image']}-gpu"
    assert mounts(SERVICES["serving-gpu"])["/etc/serving/batching_parameters.txt"] == "./batching_parameters_gpu.txt"


def test_the_model_server_gets_the_same_files() -> None:
    service = SERVICES["serving-embedded"]
    options = parse_command(service["command"])
    assert {str(options["models_config"]), str(options["batching_parameters"])} <= set(mounts(service))
    assert f":{options['rest_port']}/" in service["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", SERVERS)
def test_the_models_a_server_reads_were_warmed_up_for_its_batches(name: str) -> None:
    ((models, condition),) = SERVERS[name]["depends_on"].items()
    assert condition["condition"] == "service_completed_successfully"
    folder, *options = SERVICES[models]["command"]
    written, read = mounts(SERVICES[models]), mounts(SERVERS[name])
    assert written[folder] == read["/models"]
    parameters = str(parse_copy_models(options)["batching_parameters"])
    assert written[parameters] == read["/etc/serving/batching_parameters.txt"]
