"""What the README and the documentation show is what happens.

Blocks marked `sh` and `python` are run as they stand, in a newcomer's folder, but for short: few frames, free ports,
and beside a server; most of them in this process, where engines and libraries are loaded already. Those marked `text`
need what is not here (a camera, other machines): their options are checked.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
import typer

from humandetect.analytics.scene import read_scene
from humandetect.bench.targets import engines_of
from humandetect.cli import app
from humandetect.config import BenchConfig, WatchConfig
from humandetect.config.file import SettingsFile
from humandetect.watch.cameras_file import read_cameras
from tests.builders import make_clip
from tests.command_line import SAMPLE, invoke
from tests.docs.pages import ROOT, blocks, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "http://127.0.0.1:8000"
"""Where the examples find their server."""
SHORT = {"HUMANDETECT_LIMIT": "12", "HUMANDETECT_PORT": "0", "HUMANDETECT_GRPC_PORT": "0"}
ENVIRONMENT = {**SHORT, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
FIRST_FOUR = [line for page, line in commands("sh") if page == "README.md"]
SERVERS = ("humandetect serve", "humandetect model-server")
LINES = {line: page for page, line in commands("sh") if line not in FIRST_FOUR}
SHOWN = {line: page for page, line in commands("text") if line.startswith("humandetect ") and "[OPTIONS]" not in line}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("newcomer")
    make_clip(folder / "video.mp4", frames=12, audio="aac", width=320, height=240)
    (folder / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(folder / "video.mp4", folder / "clips" / name)
    shutil.copytree(ROOT / "examples", folder / "examples")
    write_slowly(folder / "examples" / "plaza.mp4")
    sample = ROOT / "humandetect" / "service" / "static" / "sample.jpg"
    for name in ("photo.jpg", "a.jpg", "b.png"):  # what a picture is, its first bytes say
        shutil.copy(sample, folder / name)
    return folder


def write_slowly(clip: Path) -> None:
    """Write the sample with a frame a second: as long as it is, with a tenth of the frames."""
    with av.open(SAMPLE) as sample, av.open(str(clip), "w") as slow:
        video = slow.add_stream("libx264", rate=1, options={"preset": "superfast"})
        shape = sample.streams.video[0]
        video.width, video.height, video.pix_fmt = shape.width, shape.height, "yuv420p"
        for second, picture in enumerate(islice(sample.decode(video=0), 0, None, 10)):
            picture.pts, picture.time_base = second, Fraction(1)
            slow.mux(video.encode(picture))
        slow.mux(video.encode(None))


@pytest.fixture(scope="module")
def server(newcomer: Path) -> Iterator[str]:
    """The URL of a server, started as the README says."""
    with running("humandetect serve", newcomer) as said:
        found = re.search(r"http://\S+", said)
        assert found
        yield found[0]


@contextmanager
def running(line: str, folder: Path) -> Iterator[str]:
    """Run a server's line and yield what it says when it is ready; afterwards it must end well."""
    command = ["bash", "-c", f"exec {line}"]
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **ENVIRONMENT}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            yield next(text for text in process.stderr if " serves " in text)
        finally:
            process.terminate()
            assert process.wait(60) == 0, process.stderr.read()


def run(line: str, folder: Path, server: str) -> str:
    """Run a line as it stands, with the server's URL in the place of the usual one; return what it prints."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace(HERE, server)],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, "HUMANDETECT_URL": server},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_four_commands_need_no_preparation(newcomer: Path, server: str) -> None:
    detect, serve, feed, bench = FIRST_FOUR
    run(detect, newcomer, server)
    assert (newcomer / "out.mp4").exists()
    assert serve == "humandetect serve"
    run(feed, newcomer, server)
    assert (newcomer / "plaza_people.mp4").exists()
    said = run(f"{bench} --requests 2 --windows 1 --batch 1", newcomer, server)
    assert all(name in said for name in engines_of(BenchConfig()))
    assert "20 x 1" in said


@pytest.mark.parametrize(("line", "page"), LINES.items())
def test_command(line: str, page: str, newcomer: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if line.startswith(SERVERS):
        with running(line, newcomer):
            return
    if line.startswith("curl ") and not shutil.which("curl"):
        pytest.skip("no curl here")
    if not line.startswith("humandetect ") or re.search(r"[|<>&$]", line):
        run(line, newcomer, server)
        return
    monkeypatch.chdir(newcomer)
    done = invoke(*shlex.split(line)[1:], **SHORT, HUMANDETECT_URL=server)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("line", "page"), SHOWN.items())
def test_command_that_cannot_run_here_has_options_that_exist(line: str, page: str) -> None:
    group: Any = typer.main.get_command(app)
    words = shlex.split(re.split(r"\s[|<>&]", line)[0])[1:]
    while words and hasattr(group, "resolve_command"):
        context = group.make_context("humandetect", [*words], resilient_parsing=True)
        _, group, words = group.resolve_command(context, words)
    group.make_context("humandetect", words)  # raises a usage error


@pytest.mark.parametrize(("page", "block"), list(blocks("python")))
def test_python(page: str, block: str, newcomer: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(newcomer)
    Path("example.py").write_text(block.replace(HERE, server), encoding="utf-8")
    runpy.run_path("example.py", run_name="__main__")


@pytest.mark.parametrize(("page", "block"), list(blocks("toml")))
def test_settings(page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "example.toml"
    file.write_text(block)
    monkeypatch.setenv("DOOR_PASSWORD", "secret")
    if "[camera." in block:
        for scene in re.findall('^scene = "(.+?)"', block, re.MULTILINE):
            (tmp_path / scene).touch()
        assert read_cameras(WatchConfig(cameras=(str(file),)))
    else:
        (read_scene if "[[line]]" in block else SettingsFile)(file)  # raises a usage error


def test_the_guide_to_two_cameras_checks_them_before_it_draws_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(next(block for page, block in blocks("toml") if page == "docs/guides/two-cameras.md"))
    monkeypatch.setenv("DOOR_PASSWORD", "secret")
    assert [camera.name for camera in read_cameras(WatchConfig(cameras=(str(file),)))] == ["door", "yard"]


def test_the_scene_that_is_shown_is_the_one_that_is_run() -> None:
    shown = [block for page, block in blocks("toml") if page == "docs/guides/door.md"]
    assert [(ROOT / "examples" / "door.toml").read_text(encoding="utf-8").partition("\n")[2]] == shown


def test_there_is_something_to_run() -> None:
    assert len(LINES) >= 15
    assert len(SHOWN) >= 15
    assert list(blocks("python"))
