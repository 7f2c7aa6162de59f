"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import make_clip

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL_LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("humandetect ")
]
SERVERS = [line for line in SHELL_LINES if line.startswith("humandetect serve")]
COMMANDS = [line for line in SHELL_LINES if line not in SERVERS]
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A folder with the files that the README's commands name."""
    make_clip(tmp_path / "video.mp4", frames=12, audio="aac", width=320, height=240)
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(tmp_path / "video.mp4", tmp_path / "clips" / name)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_the_help_texts_are_up_to_date() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    from update_readme import updated

    assert updated(README) == README


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, newcomer: Path) -> None:
    run = subprocess.run(
        ["bash", "-c", line.split("  #")[0]],
        cwd=newcomer,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.parametrize("line", SERVERS)
def test_server(line: str, newcomer: Path) -> None:
    """It serves, and ends well when it is told to."""
    environment = {**ENVIRONMENT, "HUMANDETECT_PORT": "0"}
    command = ["bash", "-c", f"exec {line.split('  #')[0]}"]
    with subprocess.Popen(command, cwd=newcomer, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = ""
        for text in server.stderr:
            said += text
            if " serves " in text:
                server.terminate()
        assert server.wait(30) == 0, said
        assert " serves " in said


@pytest.mark.parametrize("block", PYTHON_BLOCKS)
def test_python(block: str, newcomer: Path) -> None:
    run = subprocess.run([sys.executable, "-c", block], cwd=newcomer, capture_output=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr.decode()


def test_the_readme_has_commands_and_python() -> None:
    assert len(SHELL_LINES) >= 5
    assert PYTHON_BLOCKS
