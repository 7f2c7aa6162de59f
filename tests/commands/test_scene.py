"""The commands `scene` and `scene check`: what they say, print and leave."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from tests.command_line import COMMAND, error_line, invoke

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

END_SECONDS = 30


@contextmanager
def scene(output: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command on the sample and yield its process and the page's URL."""
    command = [*COMMAND, "scene", "sample", "-o", str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = re.fullmatch(r"Draw lines and zones at (http://127\.0\.0\.1:\d+/\S+/scene)\n", said)
            assert found, said
            yield process, found[1]
        finally:
            if process.poll() is None:
                process.kill()


def test_save_writes_the_file_prints_its_path_and_ends_the_command(tmp_path: Path) -> None:
    output = tmp_path / "scene.toml"
    with scene(output) as (process, url):
        text = "size = [768, 576]\n"
        assert httpx.post(url, content=text).status_code == 200
        out, err = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, out, output.read_text()) == (0, f"{output}\n", text)
    assert "Traceback" not in err


def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    with scene(tmp_path / "scene.toml") as (process, _):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, out, list(tmp_path.iterdir())) == (130, "", [])
    assert "Traceback" not in err


def test_a_scene_is_checked_on_a_frame_by_a_command_of_two_words(tmp_path: Path) -> None:
    scene_file, picture = tmp_path / "scene.toml", tmp_path / "checked.jpg"
    scene_file.write_text("[[zone]]\nname = 'lawn'\npoints = [[10, 300], [400, 300], [400, 600]]\n")
    run = invoke("scene", "check", scene_file, "sample", "-o", picture)
    assert (run.returncode, run.stdout) == (0, f"{picture}\n"), run.stderr
    assert "warning: " in run.stderr
    assert picture.stat().st_size > 10_000
    wrong = invoke("scene", "check", scene_file, "sample", "--outptu", picture)
    assert (wrong.returncode, error_line(wrong).split(". ")[-1]) == (2, "Did you mean --output?")


def test_a_source_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    run = invoke("scene", tmp_path / "no.mp4", "-o", tmp_path / "scene.toml")
    assert run.returncode == 1
    assert "no.mp4" in error_line(run)
