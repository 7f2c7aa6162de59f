"""A server of one's own is there for as long as its parent, and not a second longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from humandetect.config import EngineConfig, ServeConfig
from humandetect.errors import ServerError
from humandetect.service.process.spawned import spawned
from tests.command_line import error_line, frame_lines, humandetect, invoke
from tests.waiting import eventually

PARENT = """
from humandetect.config import ServeConfig
from humandetect.service.process.spawned import spawned
with spawned(ServeConfig()) as server:
    print(server.pid, server.url, flush=True)
    input()
"""


def wait_until_gone(pid: int) -> None:
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_it_serves_until_the_block_ends() -> None:
    with spawned(ServeConfig(api_key="sesame")) as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert httpx.post(f"{server.url}/v1/detect", content=b"x").status_code == 401
        assert "sesame" not in " ".join(psutil.Process(server.pid).cmdline())
    assert not psutil.pid_exists(server.pid)


def test_it_ends_with_its_parent_however_that_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().split()
        assert httpx.get(f"{url}/healthz").status_code == 200
        parent.kill()
        parent.wait(60)
    wait_until_gone(int(pid))


def test_why_it_cannot_start_is_said() -> None:
    config = ServeConfig(engine=EngineConfig(model="nonsense"))
    with pytest.raises(ServerError, match="nonsense"), spawned(config):
        pytest.fail("it serves a model that does not exist")


def test_feed_starts_a_server_and_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STARTED_BY", str(tmp_path))  # and by nobody else: other tests run beside this one
    for name, value in {"QUIET": "1", "PORT": "1", "SCORE": "1.0"}.items():
        monkeypatch.setenv(f"HUMANDETECT_{name}", value)
    run = humandetect("feed", "--spawn", "--limit", "3", "--results", "out.jsonl", "--async")
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert '"people": []' in Path("out.jsonl").read_text()
    assert len(frame_lines(Path("out.jsonl"))) == 3
    alive = psutil.process_iter(["cmdline", "environ"])
    assert not [one for one in alive if (one.info["environ"] or {}).get("STARTED_BY") == str(tmp_path)]


def test_feed_says_why_its_server_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = invoke("feed", "--spawn", HUMANDETECT_MODEL="nonsense")
    assert run.returncode == 3
    assert "nonsense" in error_line(run)
    assert list(tmp_path.iterdir()) == []
