"""The command `detect`: the real default model, what is written where, and mistakes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import make_clip
from tests.command_line import SAMPLE, duration, error_line, frame_lines, humandetect, invoke


def test_the_sample_becomes_an_annotated_video_and_a_summary() -> None:
    run = humandetect("detect", "sample", "-o", "out.mp4", "--limit", "20")
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "20 frames in" in run.stderr
    assert "INFO humandetect" not in run.stderr
    assert "out.mp4" in run.stderr
    assert duration(Path("out.mp4")) == pytest.approx(2.0)


def test_the_summary_counts_tracks_and_tells_too_few_detections() -> None:
    run = invoke("detect", SAMPLE, "--track", "--every", "4", "--limit", "20", "--results", "out.jsonl")
    assert run.returncode == 0, run.stderr
    assert re.search(r"on average; \d+ tracks", run.stderr)
    assert "2.5 detections a second are fewer than 4" in run.stderr


def test_a_video_on_stdin_has_nothing_but_json_lines_on_stdout() -> None:
    run = humandetect("detect", "-", "--results", "-", "--limit", "5", stdin=Path(SAMPLE).read_bytes())
    assert run.returncode == 0, run.stderr
    lines = frame_lines(run.stdout)
    assert [(line["source"], line["frame"]) for line in lines] == [("-", frame) for frame in range(5)]
    assert all(line["people"] for line in lines)


def test_json_prints_the_summary_on_stdout_and_quiet_nothing_else() -> None:
    run = invoke("detect", SAMPLE, "--results", "out.csv", "--limit", "5", "--json", "--quiet")
    summary = json.loads(run.stdout)
    assert summary["frames"] == 5
    assert summary["outputs"] == ["out.csv"]
    assert summary["people_most"] >= 1
    assert run.stderr == ""


def test_any_file_name_works() -> None:
    names = ["-dash.mp4", "with space.mp4", "naïve 人.mp4", "per%03dcent.mp4", "new\nline.mp4", "b\udcffytes.mp4"]
    clip = make_clip(Path("plain.mp4"), frames=3)
    for name in names:
        shutil.copy(clip, name)
    run = humandetect("detect", "--results", "-", "--", *names)
    assert run.returncode == 0, run.stderr
    assert len(frame_lines(run.stdout)) == 3 * len(names)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.mp4"], 1, "missing.mp4"),
        (["missing\nfile.mp4"], 1, "no such file"),
        ([SAMPLE, "--engine", "nonsense"], 2, "openvino"),
        ([SAMPLE, "--model", "nonsense"], 2, "human_detection"),
        ([SAMPLE, "--results", "people.xml"], 2, ".jsonl"),
        ([SAMPLE, "-o", "people.xml"], 2, ".mp4"),
        ([SAMPLE, "-o", "nowhere/out.mp4"], 1, "nowhere"),
        ([SAMPLE, "--json", "--results", "-"], 2, "stdout"),
        ([SAMPLE, "--start", "1:100:00"], 2, "1:100:00"),
        ([SAMPLE, "--start", "soon"], 2, "H:MM:SS"),
        ([SAMPLE, "--start", "5:99"], 2, "5:99"),
        ([SAMPLE, "--every", "0"], 2, "every"),
        ([SAMPLE, "--start", "9" * 400], 2, "start"),
        ([SAMPLE, "--max-megapixels", "inf"], 2, "--max-megapixels"),
        ([], 2, "SOURCE"),
    ],
)
def test_a_mistake_is_one_clear_line_and_its_exit_code(arguments: list[str], code: int, words: str) -> None:
    run = invoke("detect", *arguments)
    assert run.returncode == code, run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr
    error_line(run)


def test_debug_shows_where_it_happened() -> None:
    assert "Traceback" in invoke("detect", "missing.mp4", "--debug").stderr


def test_verbose_says_what_happens() -> None:
    assert "INFO humandetect" in humandetect("detect", SAMPLE, "--limit", "2", "--results", "out.csv", "-v").stderr


def test_options_come_from_the_environment() -> None:
    run = invoke("detect", SAMPLE, "--results", "-", HUMANDETECT_LIMIT="3", HUMANDETECT_SCORE="1.0")
    assert [line["people"] for line in frame_lines(run.stdout)] == [[], [], []]


def test_the_base_install_works_without_tensorflow() -> None:
    """With TensorFlow's import blocked, detection runs and the engine that needs it says what to install."""
    block = "import sys; sys.modules['tensorflow'] = None\nfrom humandetect.cli import app\napp()"
    base = [sys.executable, "-c", block, "detect", SAMPLE, "--limit", "2", "--results", "out.csv"]
    assert subprocess.run(base, capture_output=True, timeout=100, check=False).returncode == 0
    run = subprocess.run([*base, "--engine", "tensorflow"], capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 1
    assert "pip install 'humandetect[tensorflow]'" in run.stderr


def test_a_missing_system_library_names_the_packages() -> None:
    block = (
        "import sys\nclass Block:\n  def find_spec(self, name, path=None, target=None):\n"
        "    if name == 'cv2': raise ImportError('libGL.so.1: cannot open shared object file')\n"
        "sys.meta_path.insert(0, Block())\nfrom humandetect.cli import app\napp()"
    )
    run = subprocess.run(
        [sys.executable, "-c", block, "detect", SAMPLE], capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 1
    assert "apt-get install libgl1" in run.stderr
