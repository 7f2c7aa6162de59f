"""`humandetect detect` against real servers, one of which is killed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from humandetect.models import bundled
from tests.engines.serving_process import model_server

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 120
COMMAND = [sys.executable, "-m", "humandetect", "detect", "sample", "--engine", "tf-serving"]
OPTIONS = ["--limit", str(FRAMES), "--results", "-", "--verbose"]


def detect(*options: str) -> subprocess.Popen[str]:
    command = [*COMMAND, *OPTIONS, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_no_frame_is_lost_when_one_of_two_servers_is_killed(serving_address: str, tmp_path: Path) -> None:
    with model_server(tmp_path, {"human_detection": bundled("models/human_detection")}) as doomed:
        run = detect("--serving", serving_address, "--serving", doomed.address)
        assert run.stdout is not None
        lines = [run.stdout.readline() for _ in range(FRAMES // 3)]
        doomed.process.kill()
        rest, said = run.communicate(timeout=90)
    lines += rest.splitlines(keepends=True)
    assert run.returncode == 0, said
    assert [json.loads(line)["frame"] for line in lines] == list(range(FRAMES))
    assert all(json.loads(line)["people"] for line in lines)


def test_a_dead_server_ends_the_run_in_time_with_all_finished_frames(tmp_path: Path) -> None:
    with model_server(tmp_path, {"human_detection": bundled("models/human_detection")}) as doomed:
        run = detect("--serving", doomed.address, "--serving-patience", "2")
        assert run.stdout is not None
        first = run.stdout.readline()
        doomed.process.kill()
        rest, said = run.communicate(timeout=90)
    assert run.returncode == 1
    frames = [json.loads(line)["frame"] for line in [first, *rest.splitlines()]]
    assert frames == list(range(len(frames)))
    assert 0 < len(frames) < FRAMES
    assert f"error: no TensorFlow Serving is ready after 2 s. {doomed.address}: nothing listens there" in said
