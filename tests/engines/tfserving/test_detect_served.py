"""`humandetect detect` against real servers that are killed on the way."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from humandetect.models.find import bundled
from tests.command_line import frame_lines
from tests.engines.tfserving.server_process import Served, model_server

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 120
MODELS = {"human_detection": bundled("models/human_detection")}
COMMAND = [sys.executable, "-m", "humandetect", "detect", "sample", "--engine", "tf-serving"]
OPTIONS = ["--limit", str(FRAMES), "--results", "-"]


def detect(folder: Path, doomed: Served, *options: str, kill_after: int) -> tuple[list[str], int, str]:
    """Run detect, kill the server after so many frames; return the lines of results, the exit code, what was said."""
    said = folder / "detect.log"
    with said.open("w") as stderr:
        run = subprocess.Popen([*COMMAND, *OPTIONS, *options], stdout=subprocess.PIPE, stderr=stderr, text=True)
    lines = []
    assert run.stdout is not None
    with run.stdout:
        for line in run.stdout:
            lines.append(line)
            if len(lines) == kill_after:
                doomed.process.kill()
    return lines, run.wait(60), said.read_text()


def test_no_frame_is_lost_when_one_of_two_servers_is_killed(serving_address: str, tmp_path: Path) -> None:
    with model_server(tmp_path, MODELS) as doomed:
        servers = ("--serving", serving_address, "--serving", doomed.address)
        lines, code, said = detect(tmp_path, doomed, *servers, kill_after=FRAMES // 4)
    assert code == 0, said
    found = frame_lines("".join(lines))
    assert [line["frame"] for line in found] == list(range(FRAMES))
    assert all(line["people"] for line in found)


def test_a_dead_server_ends_the_run_in_time_with_all_finished_frames(tmp_path: Path) -> None:
    with model_server(tmp_path, MODELS) as doomed:
        options = ("--serving", doomed.address, "--serving-patience", "2")
        lines, code, said = detect(tmp_path, doomed, *options, kill_after=2)
    assert code == 1, said
    frames = [line["frame"] for line in frame_lines("".join(lines))]
    assert frames == list(range(len(frames)))
    assert 0 < len(frames) < FRAMES
    assert f"error: no TensorFlow Serving is ready after 2 s. {doomed.address}: nothing listens there" in said
