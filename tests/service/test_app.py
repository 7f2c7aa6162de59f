"""The application: how it is configured, how it starts, what it does for clients that leave."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from humandetect.config import EngineConfig, ServeConfig, ServingConfig
from humandetect.config.settings import config_from_environment
from humandetect.detection.detector import Detector
from humandetect.errors import ModelError, UsageError
from humandetect.service import app as server
from humandetect.service.app import create_app
from tests.fakes import INFO, FakeEngine
from tests.service.images import batch, jpeg
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.service.conftest import Client

    Ask = Callable[..., AbstractContextManager[Client]]


def test_the_environment_configures_the_application() -> None:
    environment = {
        "HUMANDETECT_ENGINE": "tensorflow", "HUMANDETECT_MODEL": "other", "HUMANDETECT_SCORE": "0.4",
        "HUMANDETECT_QUEUE": "64", "HUMANDETECT_TIMEOUT": "2.5", "HUMANDETECT_API_KEY": "k",
        "HUMANDETECT_CORS_ORIGIN": "https://a.example https://b.example", "HUMANDETECT_BATCH": "", "PATH": "/bin",
        "HUMANDETECT_SERVING": "a:1 b:2", "HUMANDETECT_SERVING_MODEL": "m", "HUMANDETECT_SERVING_TIMEOUT": "9",
    }  # fmt: skip
    assert config_from_environment(ServeConfig, environment) == ServeConfig(
        score=0.4, queue=64, timeout_seconds=2.5, api_key="k", cors_origins=("https://a.example", "https://b.example"),
        engine=EngineConfig(
            engine="tensorflow", model="other",
            serving=ServingConfig(
                targets=("a:1", "b:2"), model="m", timeout_seconds=9,
                patience_seconds=ServeConfig().engine.serving.patience_seconds,
            ),
        ),
    )  # fmt: skip
    assert config_from_environment(ServeConfig, {}) == ServeConfig()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUEUE", "many"), ("QUEUE", "3"), ("ENGINE", "abacus"), ("SCORE", "high"), ("LOG_FORMAT", "xml"),
        ("TIMEOUT", "long"), ("TIMEOUT", "-1"), ("SERVING_TIMEOUT", "long"), ("SERVING_PATIENCE", "none"),
        ("SERVING_PARALLEL", "few"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_environment_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"\bHUMANDETECT_{name}\b.*{value}|{value}.*\bHUMANDETECT_{name}\b"):
        config_from_environment(ServeConfig, {f"HUMANDETECT_{name}": value})


def test_plain_uvicorn_runs_the_application_by_its_import_string() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "humandetect.service.app:create_app",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, env={**os.environ, "HUMANDETECT_SCORE": "0.4"}, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None
            time.sleep(0.1)
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/detect", content=jpeg(), headers={"Content-Type": "image/jpeg"}, timeout=30
        )
        assert answer.json()["model"]["score"] == 0.4
    finally:
        process.terminate()
        process.wait(60)


def test_health_answers_while_the_model_loads_and_requests_are_503(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def slowly(_config: ServeConfig) -> Detector:
        assert gate.wait(30)
        return Detector(FakeEngine())

    monkeypatch.setattr(server, "_warm_detector", slowly)
    app = create_app(ServeConfig())
    with ask(app=app) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        answer = client.post("/request", json=batch(jpeg()))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        gate.set()
        while client.get("/readyz").status_code == 503:
            time.sleep(0.01)
        assert client.post("/request", json=batch(jpeg())).status_code == 200


@pytest.mark.parametrize("error", [ModelError("/secret/model.pb is damaged"), ValueError("/secret")])
def test_a_model_that_does_not_load_is_told_without_its_path(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_config: ServeConfig) -> Detector:
        raise error

    monkeypatch.setattr(server, "_warm_detector", fail)
    app = create_app(ServeConfig())
    with ask(app=app) as client:
        while not app.state.loaded.is_set():
            time.sleep(0.01)
        for answer in (client.get("/readyz"), client.post("/request", json=batch(jpeg()))):
            assert answer.status_code == 503
            assert "/secret" not in answer.text
    assert "/secret" in str(app.state.failure)


def test_a_wrong_turn_is_answered_with_the_right_one(client: Client) -> None:
    assert "/v1/detect" in client.post("/detect").json()["message"]
    assert "POST" in client.get("/v1/detect").json()["message"]


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js", "/healthz", "/readyz"])
def test_what_can_be_read_answers_head_too(client: Client, path: str) -> None:
    answer = client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_no_other_site_may_use_it_unless_asked(ask: Ask) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    with ask() as client:
        assert "access-control-allow-origin" not in client.options("/v1/detect", headers=asked).headers
    with ask(cors_origins=("https://a.example",), api_key="secret") as client:
        answer = client.options("/v1/detect", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        other = client.get("/healthz", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_the_key_opens_the_detection_and_health_needs_none(ask: Ask) -> None:
    with ask(api_key="secret") as client:
        assert client.post("/request", json=batch(jpeg())).status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/healthz").status_code == 200
        answer = client.post("/request", json=batch(jpeg()), headers={"Authorization": "Bearer secret"})
        assert answer.status_code == 200


def test_the_metrics_count_what_happened(ask: Ask) -> None:
    with ask() as client:
        client.post("/request", json=batch(jpeg(), jpeg(), b"?"))
        metrics = client.get("/metrics").text
    assert 'humandetect_images_total{outcome="ok"} 2.0' in metrics
    assert 'humandetect_images_total{outcome="bad"} 1.0' in metrics
    assert "humandetect_people_total 2.0" in metrics
    assert 'humandetect_requests_total{route="/request",status="200"} 1.0' in metrics
    assert 'humandetect_stage_seconds_count{stage="infer"} 2.0' in metrics
    assert "humandetect_images_under_way 0.0" in metrics
    assert 'model="fake"' in metrics


def test_bad_images_are_counted_when_the_engine_fails_for_the_others(ask: Ask) -> None:
    with ask(FakeEngine(fail_after=0)) as client:
        parts = [("image", ("a.jpg", b"?")), ("image", ("b.jpg", jpeg()))]
        assert client.post("/v1/detect", files=parts).status_code == 500
        assert 'humandetect_images_total{outcome="bad"} 1.0' in client.get("/metrics").text


def test_work_of_a_client_that_left_is_dropped() -> None:
    gate = threading.Event()
    engine = FakeEngine(gate=gate)
    images = 16
    with running(ServeConfig(batch=1), detector=Detector(engine)) as url:
        address = urlsplit(url).netloc
        connection = http.client.HTTPConnection(address, timeout=30)
        body = json.dumps(batch(*[jpeg()] * images))
        connection.request("POST", "/request", body, {"Content-Type": "application/json"})
        while "humandetect_images_under_way 16.0" not in httpx.get(f"{url}/metrics").text:
            time.sleep(0.01)
        connection.close()
        while "humandetect_images_under_way 0.0" not in (metrics := httpx.get(f"{url}/metrics").text):
            time.sleep(0.01)
        assert 'humandetect_requests_total{route="/request",status="499"} 1.0' in metrics
        gate.set()
        assert httpx.post(f"{url}/request", json=batch(jpeg())).status_code == 200
    assert sum(engine.calls) <= 1 + INFO.parallel


def test_two_hundred_clients_at_once_are_answered_or_told_to_come_back() -> None:
    answers: list[httpx.Response] = []

    def ask_once() -> None:
        with httpx.Client(timeout=60) as own:
            answers.append(own.post(f"{url}/request", json=body))

    body = batch(*[jpeg()] * 4)
    with running(ServeConfig(queue=64), detector=Detector(FakeEngine())) as url:
        clients = [threading.Thread(target=ask_once) for _ in range(200)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.total() == 200
    assert set(statuses) <= {200, 503}
    assert statuses[200] >= 16
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 503)
