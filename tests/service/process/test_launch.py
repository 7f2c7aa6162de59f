"""`humandetect serve` as a process: how it starts, what it refuses, and how it ends."""

from __future__ import annotations

import functools
import json
import os
import queue
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
import trustme

from humandetect.commands import serve as commands
from humandetect.config import EngineConfig, ServeConfig, ServingConfig
from humandetect.errors import ModelNotFound, ServerError
from humandetect.models.find import find_model
from humandetect.service.process import launch, workers
from humandetect.service.process import server as process
from tests.certificates import issued
from tests.command_line import humandetect, invoke
from tests.fakes import INFO
from tests.service.images import batch, jpeg
from tests.service.servers import Spawned, spawned
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0
REQUEST = json.dumps(batch(jpeg())).encode()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[trustme.CA, Path, Path]:
    authority = trustme.CA()
    return authority, *issued(authority, tmp_path)


@contextmanager
def half_a_request(url: str) -> Iterator[socket.socket]:
    """Send a request but for the last byte of its body, when the server waits for it."""
    place = httpx.URL(url)
    head = f"POST /request HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(REQUEST)}"
    with socket.create_connection((place.host, place.port or 0), timeout=PATIENCE) as client:
        client.sendall(head.encode() + b"\r\nExpect: 100-continue\r\n\r\n" + REQUEST[:-1])
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield client


def read_to_end(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz", timeout=5)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # it was in the queue of a port that then closed
        return False
    return False


def workers_of(server: Spawned) -> list[psutil.Process]:
    """The processes that serve."""
    return list(psutil.Process(server.process.pid).children())


@contextmanager
def threaded(config: ServeConfig) -> Iterator[launch.Ready]:
    """Call `serve` from a thread of this process, where it hears no signals."""
    ready: queue.Queue[launch.Ready] = queue.Queue()
    stop = threading.Event()
    thread = threading.Thread(target=launch.serve, args=(config,), kwargs={"on_ready": ready.put, "stop": stop})
    thread.start()
    try:
        yield ready.get(timeout=PATIENCE)
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_signal_closes_the_port_answers_what_is_under_way_and_is_no_failure() -> None:
    with spawned() as server:
        assert server.lines[0].startswith("humandetect serves human_detection 2 (openvino ")
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        with half_a_request(server.url) as client:
            server.process.terminate()
            eventually(lambda: refuses(server.url))
            client.sendall(REQUEST[-1:])
            answered = read_to_end(client)
        assert answered.startswith(b"HTTP/1.1 200")
        assert b'"people"' in answered
        assert server.process.wait(PATIENCE) == 0
        eventually(lambda: _said(server, r"ended after 0:\d\d:\d\d and \d+ requests"))
        assert _said(server, r"ending, \d requests? under way")  # of who asks for the port there may be one, too


def test_a_second_ctrl_c_does_not_wait() -> None:
    with spawned() as server, half_a_request(server.url):
        server.process.send_signal(signal.SIGINT)
        eventually(lambda: refuses(server.url))
        assert server.process.poll() is None
        assert server.end(signal.SIGINT) == 130


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="sees in /proc how far a start has come")
def test_a_signal_while_the_model_loads_is_no_failure_either() -> None:
    command = [sys.executable, "-m", "humandetect", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        eventually(lambda: "/openvino/" in Path(f"/proc/{server.pid}/maps").read_text())
        server.terminate()
        assert server.wait(PATIENCE) == 0


def test_a_server_without_standard_streams_ends_quietly_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = f'exec "{sys.executable}" -m humandetect serve --port {port} <&- >&- 2>&-'
    with subprocess.Popen(["sh", "-c", command]) as server:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: not refuses(url))
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        assert ask(url) == 200
        server.send_signal(signal.SIGHUP)
        assert server.wait(PATIENCE) == 0


@pytest.mark.usefixtures("traced")
def test_two_workers_share_the_port_and_say_what_they_cost(tmp_path: Path) -> None:
    with spawned("--workers", "2", env={"TMPDIR": str(tmp_path)}) as server:
        eventually(lambda: len(server.lines) >= 3)
        assert "2 workers" in server.lines[2]
        assert "MB" in server.lines[2]
        assert Counter(map(ask, [server.url] * 10)) == {200: 10}
        assert 'humandetect_images_total{outcome="ok"} 10.0' in httpx.get(f"{server.url}/metrics").text
        assert list(tmp_path.glob("humandetect-metrics-*"))
        workers = workers_of(server)
        assert len(workers) == 2
        with half_a_request(server.url) as client:
            os.killpg(server.process.pid, signal.SIGINT)
            eventually(lambda: refuses(server.url))
            client.sendall(REQUEST[-1:])
            assert read_to_end(client).startswith(b"HTTP/1.1 200")
        assert server.process.wait(PATIENCE) == 0
        eventually(lambda: _said(server, r"ended after 0:\d\d:\d\d and (1[2-9]|[2-9]\d) requests"))
        assert _said(server, "ending 2 workers")
        assert not any(worker.is_running() for worker in workers)
        assert "Traceback" not in "".join(server.lines)
        assert not list(tmp_path.glob("humandetect-metrics-*"))


def test_a_worker_that_dies_is_replaced_without_a_request_noticing_however_long_it_takes(tmp_path: Path) -> None:
    model, away = tmp_path / "model", tmp_path / "away"
    shutil.copytree(find_model("human_detection", None).path.parent, model)
    with spawned("--workers", "2", "--model", str(model), env={"TMPDIR": str(tmp_path)}) as server:
        said = functools.partial(_said, server)
        eventually(lambda: said("workers with a model each"))
        first, second = workers_of(server)
        model.rename(away)
        first.kill()
        answers = []
        while not said("could not start"):
            answers.append(ask(server.url))
        away.rename(model)
        while not said("worker .* serves"):
            answers.append(ask(server.url))
        assert set(answers) == {200}
        assert server.process.poll() is None
        assert len(re.findall("humandetect serves", "".join(server.lines))) == 1
        workers = workers_of(server)
        assert len(workers) == 2
        assert second in workers
        assert first not in workers
        server.process.kill()
        eventually(lambda: not any(worker.is_running() for worker in workers))
        assert not list(tmp_path.glob("humandetect-metrics-*"))


def _said(server: Spawned, words: str) -> bool:
    return re.search(words, "".join(server.lines)) is not None


def ask(url: str) -> int:
    return httpx.post(f"{url}/request", content=REQUEST, headers={"Content-Type": "application/json"}).status_code


def test_the_api_key_is_asked_for_and_never_shown() -> None:
    with spawned("--debug", env={"HUMANDETECT_API_KEY": "not-to-be-seen"}) as server:
        assert ask(server.url) == 401
        headers = {"Content-Type": "application/json", "X-API-Key": "not-to-be-seen"}
        assert httpx.post(f"{server.url}/request", content=REQUEST, headers=headers).status_code == 200
        assert server.end(signal.SIGINT) == 0
    assert "not-to-be-seen" not in "".join(server.lines)


def test_a_port_in_use_is_exit_code_3_and_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = invoke("serve", "--port", str(taken.getsockname()[1]))
    assert run.returncode == 3
    assert run.stderr.splitlines()[-1].startswith(f"error: port {taken and run.args[-1]} of 127.0.0.1 is in use")
    assert "--port" in run.stderr


def test_workers_share_one_embedded_model_server_which_ends_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[object] = []
    embedded = ServingConfig(targets=("127.0.0.1:1",))

    class Made:
        """Knows the config of all workers."""

        def __init__(self, config: ServeConfig, *_: object, **__: object) -> None:
            happened.append(config.engine.serving)

        def run(self) -> None:
            happened.append("served")

    class Embedded:
        def close(self) -> None:
            happened.append("closed")

    monkeypatch.setattr("humandetect.engines.tfserving.embedded.start_embedded", lambda _: (Embedded(), embedded))
    monkeypatch.setattr(workers, "Workers", Made)
    launch.serve(ServeConfig(port=0, workers=2, engine=EngineConfig(engine="tf-serving")))
    assert happened == [embedded, "served", "closed"]


def test_an_embedded_server_that_cannot_start_ends_the_workers_server_with_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "frozen.pb").write_bytes(b"")
    options = ("--engine", "tf-serving", "--workers", "2")
    run = humandetect("serve", "--port", "0", "--model", tmp_path / "frozen.pb", *options)
    assert run.returncode == 3
    assert "takes SavedModels only" in run.stderr


def test_a_model_that_does_not_load_ends_the_server_with_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "broken/1").mkdir(parents=True)
    (tmp_path / "broken/1/saved_model.pb").write_bytes(b"no model")
    run = humandetect("serve", "--port", "0", "--model", tmp_path / "broken", "--engine", "openvino")
    assert run.returncode == 3, run.stderr
    assert run.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in run.stderr
    assert "serves" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nonsense"], "human_detection"),
        (["--tls-cert", "cert.pem"], "--tls-key"),
        (["--queue", "3"], "16 images"),
        (["--api-key", ""], "empty"),
    ],
)
def test_wrong_usage_is_exit_code_2_before_anything_starts(arguments: list[str], words: str) -> None:
    run = invoke("serve", "--port", "0", *arguments)
    assert run.returncode == 2
    assert words in run.stderr


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("no.such.host.invalid", "no such host"),
        ("x" * 70, "no such host"),
        ("192.0.2.1", "not an address of this machine"),
    ],
)
def test_a_host_that_is_not_ours_is_said(host: str, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        launch.serve(ServeConfig(host=host, port=0))


def test_an_unknown_model_is_said_before_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ModelNotFound):
        launch.serve(ServeConfig(port=taken.getsockname()[1], engine=EngineConfig(model="nonsense")))


def test_tls_files_that_do_not_fit_are_named(tmp_path: Path, certificate: tuple[Any, Path, Path]) -> None:
    _, cert, key = certificate
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(str(other))
    missing = tmp_path / "missing.pem"
    for files, words in {
        (missing, key): "missing.pem: No such file",
        (cert, tmp_path): "Is a directory",
        (cert, other): "do not belong together",
        (key, key): "key.pem: expected PEM",
    }.items():
        with pytest.raises(ServerError, match=words):
            launch.serve(ServeConfig(port=0, tls_cert=files[0], tls_key=files[1]))


def test_an_encrypted_key_is_refused_without_asking_for_its_password(
    tmp_path: Path, certificate: tuple[Any, Path, Path]
) -> None:
    from cryptography.hazmat.primitives import serialization

    _, cert, key = certificate
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ServerError, match="not encrypted"):
        launch.serve(ServeConfig(port=0, tls_cert=cert, tls_key=key))


def test_tls_is_served_and_a_client_that_never_shakes_hands_is_cut(
    certificate: tuple[trustme.CA, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "HEAD_SECONDS", 0.5)
    authority, cert, key = certificate
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with threaded(ServeConfig(port=0, tls_cert=cert, tls_key=key)) as ready:
        assert ready.url.startswith("https://127.0.0.1:")
        assert httpx.get(f"{ready.url}/readyz", verify=trust).status_code == 200
        place = httpx.URL(ready.url)
        with socket.create_connection((place.host, place.port or 0), timeout=PATIENCE) as client:
            assert client.recv(100) == b""


def test_ipv6_is_served() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with threaded(ServeConfig(host="::1", port=0)) as ready:
        assert ready.url.startswith("http://[::1]:")
        assert httpx.get(f"{ready.url}/readyz").status_code == 200


def test_a_system_that_cannot_serve_ipv4_and_ipv6_at_once_serves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with suppress(ServerError):  # it has no IPv6 at all
        launch._listen("::1", 0).close()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_endpoint_open_to_the_network_is_warned_of(
    log_format: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "humandetect.service")
    commands._announce(launch.Ready("http://127.0.0.1:1", INFO, (), is_open=True, log_format=log_format))
    said = capsys.readouterr().err if log_format == "text" else caplog.text
    assert "humandetect serves fake 1 (fake 1, CPU) at http://127.0.0.1:1" in said
    assert "warning: " in said
    assert "--api-key" in said
