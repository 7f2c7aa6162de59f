"""What a wheel carries: everything that `detect` needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.command_line import frame_lines

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, laid out as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_the_package_and_its_description_only(installed: Path) -> None:
    assert sorted(path.name.split("-")[0] for path in installed.iterdir()) == ["humandetect", "humandetect"]


def test_model_licence_and_sample_are_in_the_wheel(installed: Path) -> None:
    bundled = installed / "humandetect" / "_bundled"
    for name in (
        "models.config",
        *(
            f"models/{model}/{file}"
            for model in ("human_detection/2", "movenet_multipose/1")
            for file in (
                "saved_model.pb",
                *(f"assets.extra/{name}" for name in ("humandetect.json", "LICENSE", "NOTICE")),
            )
        ),
        "examples/plaza.mp4",
    ):
        assert (bundled / name).stat().st_size > 0


def test_the_installed_package_detects_on_its_own_sample(installed: Path, tmp_path: Path) -> None:
    """Run from another folder, so that nothing of the repository can help."""
    run = subprocess.run(
        [sys.executable, "-m", "humandetect", "detect", "sample", "--limit", "3", "--results", "-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert len(frame_lines(run.stdout)) == 3
    assert f"{installed}" in run.stdout
