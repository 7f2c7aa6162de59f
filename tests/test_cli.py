"""The command line as a person meets it: real processes, the real default model, exit codes and one-line errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from humandetect import __version__
from humandetect.cli import app
from humandetect.commands.running import exit_code
from humandetect.config.fields import seconds
from humandetect.doctor import check_everything
from humandetect.models.find import bundled
from tests.builders import make_clip
from tests.waiting import eventually

SAMPLE = str(bundled("examples/plaza.mp4"))
COMMAND = [sys.executable, "-m", "humandetect"]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def humandetect(
    *arguments: str | Path, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=100,
        check=False,
    )
    return subprocess.CompletedProcess(
        run.args, run.returncode, run.stdout.decode(), run.stderr.decode(errors="replace")
    )


def error_line(run: subprocess.CompletedProcess[str]) -> str:
    """Return the error, which must be one line and the last one."""
    lines = run.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], run.stderr
    assert "Traceback" not in run.stderr
    return lines[-1]


def duration(path: Path) -> float:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0)) / float(video.streams.video[0].average_rate or 1)


def test_the_sample_becomes_an_annotated_video_and_a_summary() -> None:
    run = humandetect("detect", "sample", "-o", "out.mp4", "--limit", "20")
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "20 frames in" in run.stderr
    assert "out.mp4" in run.stderr
    assert duration(Path("out.mp4")) == pytest.approx(2.0)


def test_results_on_stdout_are_nothing_but_json_lines() -> None:
    run = humandetect("detect", SAMPLE, "--results", "-", "--limit", "5")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert all(line["people"] for line in lines)


def test_json_prints_the_summary_on_stdout_and_quiet_nothing_else() -> None:
    run = humandetect("detect", SAMPLE, "--results", "out.csv", "--limit", "5", "--json", "--quiet")
    summary = json.loads(run.stdout)
    assert summary["frames"] == 5
    assert summary["outputs"] == ["out.csv"]
    assert summary["people_most"] >= 1
    assert run.stderr == ""


def test_a_video_on_stdin_works() -> None:
    clip = make_clip(Path("clip.mkv"), frames=8)
    run = humandetect("detect", "-", "--results", "-", stdin=clip.read_bytes())
    assert run.returncode == 0, run.stderr
    assert [json.loads(line)["source"] for line in run.stdout.splitlines()] == ["-"] * 8


def test_any_file_name_works() -> None:
    names = ["-dash.mp4", "with space.mp4", "naïve 人.mp4", "per%03dcent.mp4", "new\nline.mp4", "b\udcffytes.mp4"]
    clip = make_clip(Path("plain.mp4"), frames=3)
    for name in names:
        shutil.copy(clip, name)
    run = humandetect("detect", "--results", "-", "--", *names)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 3 * len(names)


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
        ([SAMPLE, "--start", "soon"], 2, "H:MM:SS"),
        ([SAMPLE, "--every", "0"], 2, "every"),
        ([SAMPLE, "--start", "9" * 400], 2, "start"),
        ([SAMPLE, "--max-megapixels", "inf"], 2, "max_megapixels"),
        ([], 2, "SOURCE"),
    ],
)
def test_a_mistake_is_one_clear_line_and_its_exit_code(arguments: list[str], code: int, words: str) -> None:
    run = humandetect("detect", *arguments)
    assert run.returncode == code, run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr
    if code == 1:
        error_line(run)


def test_debug_shows_where_it_happened() -> None:
    assert "Traceback" in humandetect("detect", "missing.mp4", "--debug").stderr


def test_verbose_says_what_happens() -> None:
    quiet = humandetect("detect", SAMPLE, "--limit", "2", "--results", "a.csv").stderr
    verbose = humandetect("detect", SAMPLE, "--limit", "2", "--results", "b.csv", "-v").stderr
    assert "INFO humandetect" not in quiet
    assert "INFO humandetect" in verbose


def test_options_come_from_the_environment() -> None:
    run = humandetect("detect", SAMPLE, "--results", "-", HUMANDETECT_LIMIT="3", HUMANDETECT_SCORE="1.0")
    assert [json.loads(line)["people"] for line in run.stdout.splitlines()] == [[], [], []]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_a_playable_partial_video(long_clip: Path, number: signal.Signals, code: int) -> None:
    process = start_long_run(long_clip)
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == code, stderr
    assert b"interrupted after" in stderr
    assert not Path("out.mp4").exists()
    assert duration(Path("out.partial.mp4")) > 0
    assert sorted(path.name for path in Path().iterdir()) == ["long.mp4", "out.partial.mp4", "people.partial.jsonl"]


def test_more_signals_do_not_disturb_the_end(long_clip: Path) -> None:
    process = start_long_run(long_clip)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.02)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130, stderr
    assert duration(Path("out.partial.mp4")) > 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="sees how far a start has come in /proc")
@pytest.mark.parametrize("landmark", ["numpy", "cv2", "openvino"])
def test_ctrl_c_while_everything_starts_is_quiet(landmark: str) -> None:
    """Wherever the signal lands, in imports of compiled modules too, there is no traceback and the code is 130."""
    process = subprocess.Popen([*COMMAND, "detect", SAMPLE, "-o", "out.mp4"], stderr=subprocess.PIPE)
    eventually(lambda: f"/{landmark}/" in Path(f"/proc/{process.pid}/maps").read_text())
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130, stderr
    assert b"Traceback" not in stderr
    assert not Path("out.mp4").exists()


def test_kill_9_leaves_nothing_under_the_final_name(long_clip: Path) -> None:
    # Not measured: coverage's own file would be left half written.
    without_coverage = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = start_long_run(long_clip, without_coverage)
    process.kill()
    process.communicate(timeout=60)
    assert not Path("out.mp4").exists()
    assert not Path("people.jsonl").exists()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("long") / "long.mp4", frames=3000, fps=50, width=320, height=240)


def start_long_run(clip: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a run that would take long, and wait until it is writing."""
    shutil.copy(clip, "long.mp4")
    process = subprocess.Popen(
        [*COMMAND, "detect", "long.mp4", "-o", "out.mp4", "--results", "people.jsonl"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: any(path.stat().st_size > 10_000 for path in Path().glob(".people*")))
    return process


def test_a_reader_that_stops_reading_ends_the_run_quietly() -> None:
    run = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m humandetect detect '{SAMPLE}' --results - | head -n 1"],
        capture_output=True,
        timeout=100,
        check=True,
    )
    assert json.loads(run.stdout)["frame"] == 0
    assert b"Traceback" not in run.stderr
    assert b"BrokenPipe" not in run.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("detect {sample} --limit 2 --results out.csv 2>&-", 0),
        ("detect {sample} --limit 2 --results - >&-", 1),
        ("detect {sample} --limit 2 --results - >/dev/full", 1),
        ("detect {sample} --limit 2 --results out.csv --json >/dev/full", 1),
        ("detect missing.mp4 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}", 1),
    ],
)
def test_closed_and_full_standard_streams_are_ordinary_events(command: str, code: int) -> None:
    shell = f"'{sys.executable}' -m humandetect {command}".format(sample=SAMPLE)
    run = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr


def test_help_loads_nothing_heavy() -> None:
    heavy = ["numpy", "cv2", "av", "openvino", "tensorflow", "supervision", "grpc", "fastapi", "httpx", "tqdm", "scipy"]
    probe = (
        "import sys\nfrom humandetect.cli import app\n"
        "try:\n    app(['detect', '--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


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


def test_doctor_tries_everything_on_the_sample() -> None:
    run = humandetect("doctor")
    assert run.returncode == 0, run.stdout + run.stderr
    for name in ("decode", "encode", "model human_detection", "engine openvino", "engine tensorflow"):
        assert any(line.startswith("ok") and name in line for line in run.stdout.splitlines()), run.stdout


def test_doctor_goes_on_when_the_sample_is_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    monkeypatch.setattr("humandetect.doctor.bundled", lambda _: tmp_path / "broken.mp4")
    monkeypatch.setattr("humandetect.doctor.ENGINES", ["openvino"])
    checks = {check.name: check for check in check_everything()}
    assert not checks["decode"].well
    assert "reinstall" in checks["decode"].fix
    assert checks["encode"].well
    assert checks["engine openvino"].well


def test_models_list_shows_the_default_model() -> None:
    run = humandetect("models", "list")
    assert run.returncode == 0
    assert "human_detection" in run.stdout
    assert "MIT" in run.stdout


def test_models_check_finds_a_damaged_model(tmp_path: Path) -> None:
    source = bundled("models/human_detection/1")
    for path in source.rglob("*"):
        target = tmp_path / "models" / "human_detection" / "1" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.write_bytes(path.read_bytes()[:-10] if path.name == "saved_model.pb" else path.read_bytes())
    run = humandetect("models", "check", "human_detection")
    assert run.returncode == 1
    assert "FAIL" in run.stdout


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"humandetect {__version__}\n"


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("1:30", 90), ("1:02:03.5", 3723.5), ("0.25", 0.25)])
def test_times_are_read_as_people_write_them(text: str, value: float) -> None:
    assert seconds(text) == value


def test_success_is_zero() -> None:
    assert exit_code(None) == 0
