"""Alive, ready, and right: what health checks learn."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

import humandetect
from humandetect.detection.agreement import SCORE_DRIFT
from humandetect.detection.detector import Detector, open_detector
from humandetect.engines.base import RawDetections
from humandetect.errors import EngineError
from humandetect.media.images import decode_image
from humandetect.service.routes import readiness as health
from humandetect.service.routes.readiness import Reference
from tests.fakes import INFO, FakeEngine
from tests.service.images import jpeg
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from humandetect.engines.base import Engine
    from tests.service.conftest import Client

    Ask = Callable[..., AbstractContextManager[Client]]


JPEG = {"Content-Type": "image/jpeg"}


class Dimmed:
    """An engine that gives everything lower scores from some moment on."""

    def __init__(self, engine: Engine) -> None:
        self.info = engine.info
        self.dim = False
        self._engine = engine

    def infer(self, images: np.ndarray) -> RawDetections:
        raw = self._engine.infer(images)
        return RawDetections(raw.xyxy, raw.scores * np.float32(0.1), raw.class_ids) if self.dim else raw

    def close(self) -> None:
        self._engine.close()


class Shared:
    """An engine that outlives the server that is given it."""

    def __init__(self, engine: Engine) -> None:
        self.info = engine.info
        self.infer = engine.infer

    def close(self) -> None: ...


@pytest.fixture
def _always_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REUSED_SECONDS", 0.0)


@pytest.fixture(scope="module")
def default_detector() -> Iterator[Detector]:
    with open_detector(engine="openvino") as detector:
        yield detector


def test_a_living_process_says_its_version(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "version": humandetect.__version__}


def test_it_is_not_ready_while_the_model_is_loaded(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with ask() as client, monkeypatch.context() as loading:
        loading.setattr(client.app.state, "inference", None)
        answer = client.get("/readyz", params={"deep": 1})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.json() == {"status": "loading", "message": "the model is being loaded"}
        assert client.get("/healthz").status_code == 200


def test_a_model_that_could_not_be_loaded_is_a_failure_without_details(ask: Ask) -> None:
    with ask() as client:
        client.app.state.failure = EngineError("/secret/model is damaged")
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "failed"
        assert "log" in answer.json()["message"]
        assert "/secret" not in answer.text
        assert client.get("/healthz").status_code == 200


def test_a_loaded_model_is_ready_and_named(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "model": {
            "name": INFO.name,
            "version": INFO.version,
            "engine": INFO.engine,
            "score": INFO.preset.default_score,
            "track_scores": [0.5, 0.3],
        },
    }


def test_the_default_model_finds_the_people_it_should(ask: Ask, default_detector: Detector) -> None:
    with ask(Shared(default_detector.engine), score=0.95) as client:
        answer = client.get("/readyz?deep=1")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["status"] == "ready"
        assert body["people"] == body["expected"] > 0
        assert body["unexpected"] == 0
        assert body["latency_ms"] > 0


def test_the_stored_answer_is_what_the_default_model_finds_in_float32() -> None:
    stored = Reference.model_validate_json(health.REFERENCE.read_bytes()).people
    assert min(one.score for one in stored) > 0.5 + 2 * SCORE_DRIFT  # far from doubt
    with open_detector(engine="openvino", precision="f32") as detector:
        found = detector.detect(decode_image(health.PICTURE.read_bytes(), max_megapixels=50))
    assert found.xyxy == pytest.approx(np.array([one.box for one in stored]), abs=0.5)
    assert found.confidence == pytest.approx(np.array([one.score for one in stored]), abs=0.005)


def test_the_default_model_finding_nobody_is_wrong_from_the_first_check(ask: Ask, default_detector: Detector) -> None:
    engine = Dimmed(Shared(default_detector.engine))
    engine.dim = True
    with ask(engine) as client:
        answer = client.get("/readyz?deep=1")
        assert answer.status_code == 503
        assert answer.json()["status"] == "wrong"
        assert answer.json()["people"] == 0
        assert answer.json()["message"].startswith("0 of ")
        assert client.get("/readyz").status_code == 200


@pytest.mark.usefixtures("_always_anew")
def test_another_model_is_held_to_its_own_first_answer(ask: Ask) -> None:
    engine = Dimmed(FakeEngine())
    with ask(engine) as client:
        for _ in range(2):
            answer = client.get("/readyz?deep=1")
            assert answer.status_code == 200
            assert (answer.json()["people"], answer.json()["expected"]) == (1, 1)
        engine.dim = True
        answer = client.get("/readyz?deep=1")
        assert answer.status_code == 503
        assert answer.json()["status"] == "wrong"
        engine.dim = False
        assert client.get("/readyz?deep=1").status_code == 200


def test_many_deep_checks_at_once_cost_one_detection(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REUSED_SECONDS", 60.0)
    engine = FakeEngine()
    with ask(engine) as client, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.get("/readyz?deep=1"), range(16)))
        assert {answer.status_code for answer in answers} == {200}
        assert engine.calls == [1]


@pytest.mark.usefixtures("_always_anew")
def test_a_hung_engine_is_told_within_the_deadline(ask: Ask) -> None:
    gate = threading.Event()
    with ask(FakeEngine(gate=gate), timeout_seconds=0.3) as client:
        answer = client.get("/readyz?deep=1")
        assert answer.status_code == 503
        assert answer.json()["status"] == "failed"
        assert "within 0.3 s" in answer.json()["message"]
        assert client.get("/readyz").status_code == 200
        gate.set()
        while client.get("/readyz?deep=1").status_code == 503:
            pass


def test_it_is_not_ready_while_the_engine_hangs_and_ready_when_it_answers_again(ask: Ask) -> None:
    gate = threading.Event()
    with ask(FakeEngine(gate=gate), timeout_seconds=0.6) as client:
        for _ in range(INFO.parallel):
            assert client.post("/v1/detect", content=jpeg(), headers=JPEG).status_code == 504
        while (answer := client.get("/readyz")).status_code == 200:
            pass  # the last request was told at its deadline, which is the moment when its batch is given up
        assert answer.status_code == 503
        assert answer.json()["status"] == "failed"
        assert "hangs" in answer.json()["message"]
        assert client.get("/healthz").status_code == 200
        gate.set()
        eventually(lambda: client.get("/readyz").status_code == 200)


def test_a_failing_engine_is_told_without_details(ask: Ask) -> None:
    with ask(FakeEngine(fail_after=0)) as client:
        answer = client.get("/readyz?deep=1")
        assert answer.status_code == 503
        assert answer.json() == {"status": "failed", "message": "the engine failed; the server's log says why"}


def test_an_overload_is_told(ask: Ask) -> None:
    with ask(queue=16) as client, client.app.state.inference.admitted(16):
        answer = client.get("/readyz?deep=1")
        assert answer.status_code == 503
        assert "under way" in answer.json()["message"]


def test_what_health_answers_is_documented(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths["/healthz"]["get"]["responses"]) == {"200"}
    assert set(paths["/readyz"]["get"]["responses"]) == {"200", "401", "422", "503"}
    assert "Readiness" in paths["/readyz"]["get"]["responses"]["503"]["content"]["application/json"]["schema"]["$ref"]
