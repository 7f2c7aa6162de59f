"""The files of a Ray cluster say what Ray, KubeRay and humandetect understand. No cluster is asked."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import Any

import kubernetes_validate
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.deploy.files import DEPLOY, ROOT, load, parse_command

RAY = DEPLOY / "ray"
OLDEST = "1.30"


def job() -> Any:
    (job,) = load(RAY / "rayjob.yaml")
    return job["spec"]


def groups() -> list[Any]:
    cluster = job()["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_ray_takes_the_cluster_file() -> None:
    (config,) = load(RAY / "cluster.yaml")
    whole = prepare_config(config)
    validate_config(whole)
    assert whole["available_node_types"]["head"]["resources"]["CPU"] == 0
    assert whole["available_node_types"]["worker"]["max_workers"] == 10


def test_the_commands_are_ours() -> None:
    told = re.findall(r'"humandetect (.*)"', (RAY / "cluster.yaml").read_text())
    commands = [job()["entrypoint"].removeprefix("humandetect "), *told]
    assert len(commands) == 2
    for command in commands:
        assert parse_command(shlex.split(command))["cluster"] == "auto"


def test_the_pods_are_valid() -> None:
    for group in groups():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, OLDEST, strict=True)


def test_all_pods_have_the_same_image_and_storage() -> None:
    pods = [group["template"]["spec"] for group in groups()]
    (containers,) = zip(*(pod["containers"] for pod in pods), strict=True)
    for name in ("image", "volumeMounts", "securityContext"):
        assert all(container[name] == containers[0][name] for container in containers)
    assert all(pod["volumes"] == pods[0]["volumes"] for pod in pods)


def test_the_image_has_what_the_extra_cluster_and_the_launcher_for_aws_ask_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = [one for name in ("cluster", "archive", "s3", "parquet") for one in extras[name]]
    wanted = [one for one in asked if not one.startswith("humandetect[")]
    assert re.findall(r'"([a-z]+[^"]*[<>=][^"]*)"', (RAY / "Dockerfile").read_text()) == [*wanted, "boto3>=1.40"]
