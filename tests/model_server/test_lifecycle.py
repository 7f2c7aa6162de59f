"""The command: how it starts, what it says, how it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest

from humandetect.errors import ServerError
from tests.command_line import invoke
from tests.model_server.started import Client, config_text, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "human_detection"
READY = re.compile(r"humandetect model-server serves (.+): gRPC at (\S+?:\d+)(?:, REST at (\S+?:\d+))?\.")


def start(*arguments: str | Path, cwd: Path = ROOT, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUMANDETECT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "humandetect", "model-server", "--port", "0", *map(str, arguments)],
        cwd=cwd, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def failure(*arguments: str | Path) -> tuple[int, str]:
    """Return how a server that cannot start ends, and its only line."""
    run = invoke("model-server", "--port", "0", *arguments)
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1, run.stderr
    return run.returncode, run.stderr.strip()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[subprocess.Popen[str], re.Match[str], list[str]]]:
    """It would end with stdin, which stays open while a thread of the server reads it."""
    process = start(
        "--models-config", ROOT / "models.config", "--rest-port", "0", "--exit-with-stdin", stdin=subprocess.PIPE
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := READY.search(line):
            break
    else:
        pytest.fail(f"the server did not start: {lines}")
    yield process, found, lines
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_the_ready_line_is_all_it_says_and_names_model_and_ports(served: Any) -> None:
    _, found, lines = served
    assert found[1] == "human_detection 2, movenet_multipose 1"
    assert len(lines) == 1, lines


def test_a_second_server_cannot_have_the_same_port(served: Any) -> None:
    _, found, _ = served
    code, line = failure("--port", found[2].rpartition(":")[2])
    assert code == 3
    assert re.match(r"error: cannot serve at 127.0.0.1:\d+: Address already in use; choose another --port", line)


def test_the_rest_port_must_be_free_too(served: Any) -> None:
    _, found, _ = served
    code, line = failure("--rest-port", found[3].rpartition(":")[2])
    assert code == 3
    assert "choose another --rest-port (0 takes a free one)" in line


def test_sigterm_ends_it(served: Any) -> None:
    process, found, _ = served
    with grpc.insecure_channel(found[2]) as channel:
        assert Client(found[2], found[3], channel).states("human_detection") == {2: "AVAILABLE"}
    assert httpx.get(f"http://{found[3]}/v1/models/human_detection").status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    for address in found.groups()[1:]:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) != 0


def test_it_needs_no_files_around_and_can_end_with_who_started_it(tmp_path: Path) -> None:
    with start("--exit-with-stdin", "--host", "0.0.0.0", cwd=tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert READY.search(process.stderr.readline())
        assert process.stderr.readline().startswith("warning: whoever reaches this machine can use it")
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model_config_list {\n  config {\n    nam: 'x'\n", r"line 3: .*nam"),
        ("model_config_list {\n  config {\n    name: 'x'\n", r"line \d: .*[Ee]xpected"),
        ("\n\nmodel_config_list {\n  config { name: 'x' }\n}", "line 4: model 'x' needs a base_path"),
        ("", "line 1: no model is listed"),
        ("model_config_list {\n  config { name: 'x' base_path: '/no/where' }\n}", "line 2: the base_path /no/where of"),
        (
            f"model_config_list {{ config {{ name: 'x' base_path: '{MODEL}' }}\n}}",
            "line 1: Illegal setting neither ModelServerConfig::model_type",
        ),
        (
            f"model_config_list {{ config {{ name: 'x' base_path: '{MODEL}' model_platform: 'caffe' }}\n}}",
            "line 1: Model x requests unsupported platform caffe",
        ),
        (
            "model_config_list {"
            + 2 * f" config {{ name: 'x' base_path: '{MODEL}' model_platform: 'tensorflow' }}\n"
            + "}",
            "line 2: Illegal to list model x multiple times in config list",
        ),
    ],
)
def test_a_bad_config_ends_it_with_line_and_reason(tmp_path: Path, text: str, expected: str) -> None:
    config = tmp_path / "models.config"
    config.write_text(text)
    with pytest.raises(ServerError, match=rf"{config}, {expected}"), serving(config):
        pass


def test_a_config_that_is_not_there_ends_it(tmp_path: Path) -> None:
    assert failure("--models-config", tmp_path / "none.config") == (
        3,
        f"error: {tmp_path}/none.config cannot be read: [Errno 2] No such file or directory: '{tmp_path}/none.config'",
    )


def test_a_broken_model_ends_it(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    (tmp_path / "model" / "2" / "saved_model.pb").write_bytes(b"broken")
    (tmp_path / "models.config").write_text(config_text({"human": tmp_path / "model"}))
    expected = r"^model human: no version can be served \(version 2: "
    with pytest.raises(ServerError, match=expected), serving(tmp_path / "models.config"):
        pass


def test_batching_parameters_alone_are_wrong_usage(tmp_path: Path) -> None:
    assert failure("--batching-parameters", tmp_path / "b") == (
        2, "error: batching parameters need --enable-batching",
    )  # fmt: skip


def test_a_missing_extra_is_named_with_the_command_to_run() -> None:
    script = "import sys; sys.modules['tensorflow'] = None; from humandetect.cli import app; app()"
    ended = subprocess.run(
        [sys.executable, "-c", script, "model-server"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: the model server needs more: pip install 'humandetect[tensorflow]'\n"
