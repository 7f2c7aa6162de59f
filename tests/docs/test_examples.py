"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from humandetect.bench.targets import engines_of
from humandetect.config import BenchConfig
from tests.builders import make_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    [line.split("  #")[0] for line in block.splitlines() if line.startswith("humandetect ")]
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
]
FIRST_BLOCK = BLOCKS[0]
COMMANDS = [line for block in BLOCKS[1:] for line in block]
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


def run(line: str, folder: Path, **environment: str) -> str:
    """Run a line of the README as it stands; return what it prints."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(line: str, folder: Path) -> Iterator[str]:
    """Run a server's line and yield its URL; afterwards it must end well."""
    environment = {**ENVIRONMENT, "HUMANDETECT_PORT": "0"}
    command = ["bash", "-c", f"exec {line}"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            yield next(found[1] for text in server.stderr if (found := re.search(r" serves .* at (\S+)", text)))
        finally:
            server.terminate()
            assert server.wait(30) == 0, server.stderr.read()


def test_the_first_four_commands_need_no_preparation(newcomer: Path) -> None:
    """As they stand there, but for short: fewer frames, a free port, few requests."""
    detect, serve, feed, bench = FIRST_BLOCK
    run(detect, newcomer)
    assert (newcomer / "out.mp4").exists()
    with serving(serve, newcomer) as url:
        run(feed, newcomer, HUMANDETECT_URL=url, HUMANDETECT_LIMIT="12")
    assert (newcomer / "plaza_people.mp4").exists()
    said = run(f"{bench} --requests 2 --windows 1 --batch 1", newcomer)
    assert all(name in said for name in engines_of(BenchConfig()))
    assert "20 x 1" in said


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, newcomer: Path) -> None:
    run(line, newcomer)


@pytest.mark.parametrize("block", PYTHON_BLOCKS)
def test_python(block: str, newcomer: Path) -> None:
    run(shlex.join([sys.executable, "-c", block]), newcomer)


def test_the_readme_has_commands_and_python() -> None:
    assert len(COMMANDS) >= 5
    assert PYTHON_BLOCKS
