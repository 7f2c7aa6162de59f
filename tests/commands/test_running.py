"""How commands end: signals, exit codes, and standard streams that are closed or full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from humandetect.commands.running import exit_code
from tests.builders import make_clip
from tests.command_line import COMMAND, SAMPLE, duration, frame_lines
from tests.waiting import eventually


@pytest.mark.usefixtures("traced")
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


@pytest.mark.parametrize(
    "swallow",
    [
        "reference = weakref.ref(Thing(), lambda _: signal.raise_signal(signal.SIGTERM))",
        "exec('signal.raise_signal(signal.SIGTERM)')",
        # The main thread waits already when the handler is due, as if the signal came just before the wait.
        "threading.Timer(0.5, signal.raise_signal, [signal.SIGTERM]).start()",
    ],
    ids=["in a weak reference's callback", "in code from a string", "before a wait"],
)
def test_a_signal_has_its_effect_where_python_loses_it(tmp_path: Path, swallow: str) -> None:
    """The first two are what an import is full of, and the first result is worth some imports."""
    (tmp_path / "commanded.py").write_text(f"""
import signal, sys, threading, typer, weakref
from humandetect.commands.running import command
class Thing: ...
@command
def work():
    {swallow}
    threading.Event().wait(100)
try:
    work()
except typer.Exit as end:
    sys.exit(end.exit_code)
""")
    run = subprocess.run(
        [sys.executable, "-m", "commanded"], cwd=tmp_path, capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))},
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (143, b"")


LATE = """
import os, signal
from humandetect.commands.running import command

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):
        kill(pid, number)

late = Late()
command(lambda: None)()
"""


def test_a_signal_once_all_is_done_comes_too_late() -> None:
    """Python takes its handlers away before what is global, and a signal in between would kill."""
    assert subprocess.run([sys.executable, "-c", LATE], timeout=20, check=False).returncode == 0


def test_kill_9_leaves_nothing_under_the_final_name(long_clip: Path) -> None:
    process = start_long_run(long_clip)
    process.kill()
    process.communicate(timeout=60)
    assert not Path("out.mp4").exists()
    assert not Path("people.jsonl").exists()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("long") / "long.mp4", frames=1000, fps=50, width=320, height=240)


def start_long_run(clip: Path) -> subprocess.Popen[bytes]:
    """Start a run that would take long, and wait until it is writing."""
    shutil.copy(clip, "long.mp4")
    process = subprocess.Popen(
        [*COMMAND, "detect", "long.mp4", "--size", "small", "-o", "out.mp4", "--results", "people.jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: any(path.stat().st_size > 1_000 for path in Path().glob(".people*")))
    return process


def test_a_reader_that_stops_reading_ends_the_run_quietly() -> None:
    run = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m humandetect detect '{SAMPLE}' --results - | head -n 2"],
        capture_output=True,
        timeout=100,
        check=True,
    )
    assert [line["frame"] for line in frame_lines(run.stdout.decode())] == [0]
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


def test_success_is_zero() -> None:
    assert exit_code(None) == 0


@pytest.mark.parametrize(("last", "code"), [("pass", 0), ("raise typer.Exit(0)", 0), ("raise SourceError('x')", 1)])
def test_where_foreign_code_is_left_at_work_nothing_is_tidied_up_and_the_exit_code_stays(last: str, code: int) -> None:
    """As by C++ that still runs, and aborts the process then."""
    script = f"""
import atexit, os, typer
from humandetect.commands.running import command
from humandetect.ending import leave_behind
from humandetect.errors import SourceError
def end():
    leave_behind()
    print("done")
    {last}
atexit.register(os.abort)
typer.run(command(end))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (code, "done\n"), done.stderr
