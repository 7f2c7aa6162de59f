"""`watch` as a person starts, reloads and ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from humandetect.watch import check
from tests.builders import make_clip
from tests.command_line import COMMAND, invoke
from tests.engines.tfserving.fake_server import FakeServing
from tests.fakes import FakeEngine
from tests.waiting import eventually
from tests.watch.rtsp_farm import farm_in_thread
from tests.watch.test_webhook import hooked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.watch.rtsp_farm import RunningFarm

EVENTS, STDERR = Path("events.jsonl"), Path("stderr.txt")
END_SECONDS = 15.0
"""3 on a machine that does nothing else, and far less than whatever hangs in these tests takes."""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[RunningFarm]:
    clip = make_clip(tmp_path / "clip.mp4", width=320, height=240)
    with farm_in_thread({"door": str(clip), "yard": str(clip)}) as running:
        yield running


@pytest.fixture
def served() -> Iterator[tuple[str, ...]]:
    """Options for a model that takes no time to open."""
    with FakeServing() as server:
        yield "--serving", server.target, "--model", "people"


def cameras(farm: RunningFarm, *names: str) -> Path:
    path = Path("cameras.toml")
    path.write_text("".join(f'[camera.{name}]\nurl = "{farm.url(name)}"\n' for name in names))
    return path


def states(name: str) -> list[str]:
    lines = EVENTS.read_text().splitlines(keepends=True) if EVENTS.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event["state"] for event in events if event["event"] == "camera" and event["source"] == name]


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with STDERR.open("wb") as stderr:
        process = subprocess.Popen([*COMMAND, "watch", *map(str, arguments)], stderr=stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal, after which it must end well and in time."""
    began = time.monotonic()
    process.send_signal(number)
    code, seconds = process.wait(60), time.monotonic() - began
    assert code == 0, STDERR.read_text()
    assert seconds < END_SECONDS
    assert "Traceback" not in STDERR.read_text()


@pytest.mark.usefixtures("traced")
def test_it_watches_takes_another_file_and_ends_as_it_should(farm: RunningFarm) -> None:
    path = cameras(farm, "door")
    with started(path, "--events", EVENTS, "--data", "data") as process:
        eventually(lambda: states("door"))
        cameras(farm, "door", "yard")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: states("yard"))
        path.write_text("[camera.door]\nurl = 3\n")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "error: cameras.toml:2: camera 'door' needs its address" in STDERR.read_text())
        end(process, signal.SIGTERM)
    stderr = STDERR.read_text()
    assert "watching 1 camera; Ctrl-C ends it" in stderr
    assert "cameras read again: added yard" in stderr
    assert states("door") == states("yard") == ["live", "stopped"]


def test_receivers_that_are_away_hold_up_no_end_and_get_everything_later(
    farm: RunningFarm, served: tuple[str, ...]
) -> None:
    with hooked() as hook:
        url, port = hook.url, hook.port
    kept = ("--events", EVENTS, "--data", "data")
    arguments = (str(cameras(farm, "door")), *map(str, kept), "--webhook", url, *served)
    with started(*arguments, "--mqtt", f"mqtt://127.0.0.1:{port}") as process:
        eventually(lambda: states("door"))
        end(process, signal.SIGTERM)
    happened = [json.loads(line)["id"] for line in EVENTS.read_text().splitlines()]
    assert len(happened) >= 2
    with hooked(port) as hook, started(*arguments) as process:
        eventually(lambda: len(hook.told) > len(happened))
        end(process, signal.SIGTERM)
    assert hook.ids[: len(happened)] == happened
    assert "s3cret" not in STDERR.read_text()


def test_ctrl_c_ends_it_soon_and_well_though_a_camera_hangs(farm: RunningFarm, served: tuple[str, ...]) -> None:
    farm.change("yard", state="hang")
    with started(cameras(farm, "door", "yard"), "--events", EVENTS, "--data", "data", *served) as process:
        eventually(lambda: states("door"))
        end(process, signal.SIGINT)


def test_it_ends_soon_with_recordings_that_play_though_its_engine_hangs(farm: RunningFarm) -> None:
    gate = threading.Event()
    gate.set()

    def hang() -> None:
        gate.wait(60)

    with FakeServing(fault=hang) as server:
        options = ("--serving", server.target, "--model", "people", "--record", "kept", "--min-free", "off")
        with started(cameras(farm, "door", "yard"), "--events", EVENTS, "--data", "data", *options) as process:
            eventually(lambda: len(list(Path("kept").rglob(".*.mp4"))) == 2)
            eventually(lambda: states("door") == states("yard") == ["live"])
            asked = len(server.sizes)
            gate.clear()
            eventually(lambda: len(server.sizes) > asked)
            end(process, signal.SIGTERM)
        gate.set()
    kept = [path for path in Path("kept").rglob("*") if path.is_file()]
    assert sorted(path.parent.parent.name for path in kept) == ["door", "yard"]
    for path in kept:
        with av.open(str(path)) as recording:
            assert any(recording.decode(video=0))
            assert not path.name.startswith(".")
    assert states("door") == states("yard") == ["live", "stopped"]


def test_a_file_that_is_not_there_is_an_error_of_usage() -> None:
    run = invoke("watch", "none.toml")
    assert run.returncode == 2
    assert "error: cannot read the cameras in 'none.toml': No such file" in run.stderr


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("missing", 1)])
def test_check_says_whether_all_can_be_watched(
    farm: RunningFarm, monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    monkeypatch.setattr("humandetect.engines.load_engine", lambda _: FakeEngine())
    monkeypatch.setattr(check, "LOOK_SECONDS", 1.0)
    farm.change("yard", state=state)
    run = invoke("watch", cameras(farm, "door", "yard"), "--check")
    output = run.stdout + run.stderr
    assert run.returncode == code, output
    assert "320 x 240" in output
    assert "this machine carries them" in output
    assert ("404" in output) == bool(code)
    assert not Path("humandetect-data").exists()
