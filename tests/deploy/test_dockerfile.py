"""The image can be built from what its build context holds, runs as nobody in particular, and starts what there is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.files import DEPLOY, ROOT, dockerfile, parse_command

TARGETS = ("humandetect", "model-server")


def stages() -> dict[str, list[tuple[str, list[str]]]]:
    """Return the instructions of each stage by its name, FROM first."""
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for name, arguments in dockerfile():
        if name == "FROM":
            found[arguments[2]] = []
        found[list(found)[-1]].append((name, arguments))
    return found


def copies(stage: str) -> list[tuple[str | None, list[str], str]]:
    """Return a stage's copies: from which stage, what, where to."""
    found = []
    for name, arguments in stages()[stage]:
        if name == "COPY":
            flags = dict(word.removeprefix("--").split("=") for word in arguments if word.startswith("--"))
            *sources, target = [word for word in arguments if not word.startswith("--")]
            found.append((flags.get("from"), sources, target))
    return found


def test_stages_come_from_earlier_ones_or_from_a_fixed_image() -> None:
    known: list[str] = []
    for stage, instructions in stages().items():
        base = instructions[0][1][0]
        assert base in known or base == "python:3.11-slim-bookworm"
        assert all(origin is None or origin in known for origin, _, _ in copies(stage))
        known.append(stage)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_runs_as_root(target: str) -> None:
    users = [arguments for name, arguments in stages()[target] if name == "USER"]
    assert users == [["10001:10001"]]  # a number: Kubernetes checks that it is not 0


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_image_starts_is_a_command(target: str) -> None:
    commands = dict(stages()[target])
    assert commands["ENTRYPOINT"] == ['["humandetect"]']
    assert parse_command(json.loads(commands["CMD"][0]))["host"] == "0.0.0.0"


def test_only_the_model_server_has_tensorflow() -> None:
    with_tensorflow = [
        stage
        for stage, instructions in stages().items()
        if any(name == "RUN" and "tensorflow" in arguments[0] for name, arguments in instructions)
    ]
    assert with_tensorflow == ["dependencies-tensorflow"]
    assert [origin for origin, _, _ in copies("humandetect")] == ["packages"]


@pytest.mark.parametrize("stage", ["dependencies", "dependencies-tensorflow"])
def test_what_we_depend_on_is_in_layers_without_our_code(stage: str) -> None:
    assert [source for _, sources, _ in copies(stage) for source in sources] == [f"deploy/{LOCKS[stage]}"]


LOCKS = {"dependencies": "requirements.txt", "dependencies-tensorflow": "requirements-tensorflow.txt"}


def pinned(stage: str) -> dict[str, Requirement]:
    lines = (DEPLOY / LOCKS[stage]).read_text().splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in requirements}


@pytest.mark.parametrize(
    ("stage", "extras"), [("dependencies", ["watch"]), ("dependencies-tensorflow", ["watch", "tensorflow"])]
)
def test_every_dependency_is_pinned_within_its_range(stage: str, extras: list[str]) -> None:
    """`sh deploy/lock.sh` renews the lock files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [one for extra in extras for one in project["optional-dependencies"][extra]]
    locked = pinned(stage)
    for requirement in map(Requirement, wanted):
        name = INSTEAD.get(requirement.name, requirement.name)
        if name:
            (version,) = (one.version for one in locked[canonicalize_name(name)].specifier)
            assert version in requirement.specifier, f"{name} {version}: run sh deploy/lock.sh"


INSTEAD = {"opencv-python": "opencv-python-headless", "matplotlib": ""}
"""The image has no display and plots nothing."""


def test_every_version_is_exact_and_both_images_have_the_same() -> None:
    small, large = pinned("dependencies"), pinned("dependencies-tensorflow")
    assert all([one.operator for one in pin.specifier] == ["=="] for pin in large.values())
    assert {name: str(pin) for name, pin in large.items() if name in small} == {n: str(pin) for n, pin in small.items()}
    assert not {"opencv-python", "matplotlib"} & set(large)


def test_the_build_context_holds_what_is_copied_and_no_more() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {source for stage in stages() for origin, sources, _ in copies(stage) if not origin for source in sources}
    assert lines[1] == "*"
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_the_package_builds_from_what_is_copied(tmp_path: Path) -> None:
    for _, sources, target in copies("wheel"):
        for source in sources:
            place = tmp_path / (target if not target.endswith("/") else Path(source).name)
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheels")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert len(list((tmp_path / "wheels").glob("humandetect-*.whl"))) == 1
