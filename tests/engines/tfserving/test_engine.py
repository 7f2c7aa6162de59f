"""The engine behind TensorFlow Serving: servers that are away, slow, overloaded, wrong, replaced or several."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from humandetect.config import DetectConfig, EngineConfig, ServingConfig, SourceConfig
from humandetect.engines import load_engine
from humandetect.engines.tfserving import servers
from humandetect.errors import (
    Closed,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    ModelError,
    ModelNotFound,
    UsageError,
)
from humandetect.models.find import bundled
from humandetect.pipeline.run import run
from tests.builders import make_clip
from tests.command_line import frame_lines
from tests.engines.tfserving.fake_server import FLOAT, LOADING, OUTPUTS, FakeServing, Refusal, engine_for, pictures
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ABSENT = "127.0.0.1:1"


@pytest.fixture
def fake() -> Iterator[FakeServing]:
    with FakeServing() as server:
        yield server


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a server that does not know a model less time to load it."""
    monkeypatch.setattr(servers, "LOADING_SECONDS", 0.2)


def refusing(times: int, code: str, details: str = "") -> Callable[[], None]:
    """A fault that passes after some requests."""
    left = iter(range(times))

    def fault() -> None:
        if next(left, None) is not None:
            raise Refusal(code, details)

    return fault


def hanging(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


class TestAnswers:
    def test_every_picture_gets_its_own_answer_in_order(self, fake: FakeServing) -> None:
        engine = engine_for(fake)
        raw = engine.infer(pictures(0, 51, 255))
        np.testing.assert_allclose(raw.scores[:, 0], [0, 0.2, 1], atol=1e-6)
        np.testing.assert_allclose(raw.xyxy[0, 0], [0, 0.25, 0.5, 0.75])
        engine.close()

    def test_only_the_needed_outputs_are_asked_for(self, fake: FakeServing) -> None:
        engine_for(fake).close()
        assert {tuple(sorted(wanted)) for wanted in fake.filters} == {tuple(sorted(OUTPUTS))}

    def test_the_signature_says_size_and_version(self, fake: FakeServing) -> None:
        fake.version = 7
        engine = engine_for(fake)
        assert engine.info.input_hw == (24, 32)
        assert (engine.info.name, engine.info.version) == ("people", "7")
        engine.close()

    def test_what_is_known_here_of_a_model_of_that_name_counts(self) -> None:
        with FakeServing(model="human_detection", shape=(-1, -1, -1, 3)) as server:
            engine = engine_for(server, model=None)
            assert engine.info.input_hw == (384, 512)
            assert (engine.info.preset.default_score, engine.info.metadata.resize) == (0.5, "legacy")
            engine.close()

    def test_messages_of_30_mb_travel_both_ways(self) -> None:
        with FakeServing(shape=(-1, -1, -1, 3), extra=30_000_000) as server:
            engine = engine_for(server, timeout_seconds=30)
            large = np.full((1, 2500, 4000, 3), 255, np.uint8)
            assert engine.infer(large).scores[0, 0] == 1
            assert max(server.request_bytes) > 30_000_000
            engine.close()

    def test_models_for_single_pictures_get_several_requests_at_once(self) -> None:
        with FakeServing(shape=(1, 24, 32, 3), fault=hanging(0.05)) as server:
            engine = engine_for(server, parallel=3)
            raw = engine.infer(pictures(*range(0, 80, 10)))
            np.testing.assert_allclose(raw.scores[:, 0] * 255, range(0, 80, 10), atol=1e-3)
            assert set(server.sizes) == {1}
            assert server.most_at_once == 3
            engine.close()

    def test_no_more_requests_travel_than_allowed(self, fake: FakeServing) -> None:
        engine = engine_for(fake, parallel=2)
        fake.fault = hanging(0.02)
        with ThreadPoolExecutor(8) as threads:
            assert len(list(threads.map(engine.infer, [pictures(9)] * 16))) == 16
        assert fake.most_at_once == 2
        engine.close()

    def test_a_limit_of_the_servers_batching_is_learnt(self, fake: FakeServing) -> None:
        engine = engine_for(fake)

        def fault() -> None:
            if fake.sizes[-1] > 3:
                raise Refusal(
                    "INVALID_ARGUMENT", f"Task size {fake.sizes[-1]} is larger than maximum input batch size 3"
                )

        fake.fault = fault
        raw = engine.infer(pictures(*range(0, 70, 10)))
        np.testing.assert_allclose(raw.scores[:, 0] * 255, range(0, 70, 10), atol=1e-3)
        engine.infer(pictures(*range(7)))
        assert [size for size in fake.sizes if size > 3] == [7]
        engine.close()

    @pytest.mark.parametrize("prefix", ["unix:", "unix://"])
    def test_sockets_work(self, prefix: str, tmp_path: Path) -> None:
        with FakeServing(address=f"unix:{tmp_path / 's'}"):
            engine = engine_for(f"{prefix}{tmp_path / 's'}")
            assert len(engine.infer(pictures(1)).scores) == 1
            engine.close()

    def test_dns_names_work(self, fake: FakeServing) -> None:
        engine = engine_for(f"dns:///localhost:{fake.target.rpartition(':')[2]}")
        assert len(engine.infer(pictures(1)).scores) == 1
        engine.close()


class TestAbsence:
    def test_no_server_at_the_start_is_said_within_the_timeout(self) -> None:
        began = time.monotonic()
        with pytest.raises(
            EngineUnavailable, match=f"no TensorFlow Serving is ready after 1 s. {ABSENT}: nothing listens"
        ):
            engine_for(ABSENT, timeout_seconds=0.6)
        assert time.monotonic() - began < 30

    def test_a_server_that_comes_late_is_waited_for(self) -> None:
        server = FakeServing().start()
        server.stop()
        threading.Timer(0.4, server.start).start()
        engine = engine_for(server.target)
        assert len(engine.infer(pictures(1)).scores) == 1
        engine.close()
        server.stop()

    def test_a_model_that_is_loading_is_waited_for(self, fake: FakeServing) -> None:
        fake.state = LOADING
        timer = threading.Timer(0.3, setattr, (fake, "state", 30))
        timer.start()
        engine_for(fake).close()
        assert timer.finished.is_set()

    def test_a_model_that_never_loads_is_told(self, fake: FakeServing) -> None:
        fake.state = LOADING
        with pytest.raises(EngineUnavailable, match=r"no version of 'people' can be used: version 1 \(loading\)"):
            engine_for(fake, timeout_seconds=0.3)

    def test_a_server_that_dies_and_returns_costs_no_picture(self, fake: FakeServing, caplog: Any) -> None:
        engine = engine_for(fake, patience_seconds=20)
        fake.stop()
        threading.Timer(0.5, fake.start).start()
        with caplog.at_level(logging.WARNING, "humandetect"):
            assert engine.infer(pictures(255)).scores[0, 0] == 1
        assert "is away" in caplog.text
        assert "is back after" in caplog.text
        engine.close()

    def test_a_server_that_dies_during_a_call_costs_no_picture(self, fake: FakeServing) -> None:
        engine = engine_for(fake, patience_seconds=20)
        fake.fault = hanging(0.4)
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(engine.infer, pictures(255))
            eventually(lambda: len(fake.sizes) == 2)
            fake.stop()
            fake.fault = None
            fake.start()
            assert answer.result(60).scores[0, 0] == 1
        engine.close()

    def test_a_server_that_stays_away_ends_the_run_after_its_patience(self, fake: FakeServing) -> None:
        engine = engine_for(fake, patience_seconds=0.5)
        fake.stop()
        with pytest.raises(EngineUnavailable, match="nothing listens there"):
            engine.infer(pictures(1))
        engine.close()
        fake.start()

    def test_a_server_that_hangs_meets_the_deadline(self, fake: FakeServing) -> None:
        engine = engine_for(fake, timeout_seconds=1.0)
        fake.fault = hanging(2.0)
        with pytest.raises(EngineTimeout, match=r"did not answer 2 images .* within 1 s; raise --serving-timeout"):
            engine.infer(pictures(1, 2))
        assert fake.sizes == [2, 2]
        engine.close()

    def test_closing_does_not_wait_for_a_server_that_is_away(self, fake: FakeServing) -> None:
        engine = engine_for(fake, patience_seconds=60)
        fake.stop()
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(engine.infer, pictures(1))
            time.sleep(0.3)
            engine.close()
            with pytest.raises(Closed, match="the tf-serving engine is closed"):
                waiting.result(30)
        fake.start()


class TestSeveral:
    @pytest.fixture
    def two(self, fake: FakeServing) -> Iterator[tuple[FakeServing, FakeServing]]:
        with FakeServing() as second:
            yield fake, second

    def test_pictures_are_spread_evenly(self, two: tuple[FakeServing, FakeServing]) -> None:
        engine = engine_for(*two)
        eventually(lambda: not any(server.away for server in engine._servers._servers))
        before = [len(server.sizes) for server in two]
        for _ in range(20):
            engine.infer(pictures(1))
        assert [len(server.sizes) - count for server, count in zip(two, before, strict=True)] == [10, 10]
        engine.close()

    def test_one_that_dies_is_left_out_and_used_again_when_it_is_back(
        self, two: tuple[FakeServing, FakeServing]
    ) -> None:
        first, _ = two
        engine = engine_for(*two)
        with ThreadPoolExecutor(4) as threads:
            answers = [threads.submit(engine.infer, pictures(shade)) for shade in range(40)]
            first.stop()
            answers += [threads.submit(engine.infer, pictures(shade)) for shade in range(40, 80)]
            for shade, answer in enumerate(answers):
                assert answer.result(60).scores[0, 0] * 255 == pytest.approx(shade, abs=1e-3)
        first.sizes.clear()
        first.start()
        eventually(lambda: bool(engine.infer(pictures(1)).scores.size and first.sizes))
        engine.close()

    def test_one_that_hangs_costs_its_deadline_once(self, two: tuple[FakeServing, FakeServing]) -> None:
        first, _ = two
        engine = engine_for(*two, timeout_seconds=0.5)
        eventually(lambda: not any(server.away for server in engine._servers._servers))
        first.fault = hanging(1.0)
        for shade in range(6):
            assert engine.infer(pictures(shade)).scores[0, 0] * 255 == pytest.approx(shade, abs=1e-3)
        engine.close()

    def test_one_that_lost_the_model_is_left_out(self, two: tuple[FakeServing, FakeServing]) -> None:
        first, second = two
        engine = engine_for(*two)
        eventually(lambda: not any(server.away for server in engine._servers._servers))
        first.model = "another"
        for _ in range(6):
            engine.infer(pictures(1))
        assert len(second.sizes) >= 6
        engine.close()

    def test_one_absent_at_the_start_is_no_fault(self, fake: FakeServing) -> None:
        engine = engine_for(ABSENT, fake)
        assert len(engine.infer(pictures(1)).scores) == 1
        engine.close()

    def test_all_reasons_are_told(self, fake: FakeServing) -> None:
        engine = engine_for(fake, ABSENT, patience_seconds=0.3)
        fake.stop()
        with pytest.raises(EngineUnavailable, match=rf"{fake.target}: .*; {ABSENT}: nothing listens"):
            engine.infer(pictures(1))
        engine.close()
        fake.start()


class TestRetries:
    @pytest.mark.parametrize(
        ("code", "details"),
        [
            ("RESOURCE_EXHAUSTED", ""),
            ("RESOURCE_EXHAUSTED", "Server Threadpool Exhausted"),
            (
                "UNAVAILABLE",
                "The batch scheduling queue to which this task was submitted is full; currently 10 batches",
            ),
            ("UNAVAILABLE", "upstream connect error"),
        ],
    )
    @pytest.mark.parametrize("hw", [(24, 32), (700, 700)], ids=["small", "over 256 KiB"])
    def test_overload_is_tried_again(self, hw: tuple[int, int], code: str, details: str) -> None:
        with FakeServing(shape=(-1, *hw, 3)) as server:
            engine = engine_for(server)
            server.fault = refusing(3, code, details)
            assert engine.infer(pictures(255, hw=hw)).scores[0, 0] == 1
            assert server.sizes[1:] == [1] * 4
            engine.close()

    def test_lasting_overload_ends_the_run_after_its_patience(self, fake: FakeServing) -> None:
        engine = engine_for(fake, patience_seconds=0.4)
        fake.fault = refusing(10_000, "RESOURCE_EXHAUSTED", "Server Threadpool Exhausted")
        with pytest.raises(
            EngineUnavailable, match=r"is overloaded: .*Server Threadpool Exhausted.*lower --serving-par"
        ):
            engine.infer(pictures(1))
        assert len(fake.sizes) < 20
        engine.close()

    @pytest.mark.parametrize(
        ("code", "details", "error", "message"),
        [
            ("RESOURCE_EXHAUSTED", "OOM when allocating tensor", EngineError, "OOM when allocating"),
            (
                "RESOURCE_EXHAUSTED",
                "Received message larger than max (9 vs. 4)",
                EngineError,
                "too large .*lower --batch",
            ),
            (
                "RESOURCE_EXHAUSTED",
                "Run() timeout exceeded while waiting in batching queue",
                EngineTimeout,
                "in its batching queue",
            ),
            (
                "INVALID_ARGUMENT",
                "tensor parsing error: inputs",
                EngineError,
                r"refuses 1 images \(24, 32, 3\) uint8: tensor",
            ),
            ("FAILED_PRECONDITION", "Batched output tensor's", EngineError, "Batched output tensor's"),
            ("INTERNAL", "what?", EngineError, "INTERNAL what"),
            ("UNAUTHENTICATED", "no token", EngineUnavailable, "--serving-token"),
        ],
    )
    def test_what_cannot_pass_is_not_tried_again(
        self, fake: FakeServing, code: str, details: str, error: type[EngineError], message: str
    ) -> None:
        engine = engine_for(fake)
        fake.fault = refusing(10_000, code, details)
        with pytest.raises(error, match=message):
            engine.infer(pictures(1))
        assert len(fake.sizes) == 2
        engine.close()


class TestWrongModel:
    def test_an_unknown_model_names_those_that_are_served(self) -> None:
        with FakeServing(model="human_detection") as server, pytest.raises(ModelNotFound) as raised:
            engine_for(server, model="nobody")
        assert "serves no model 'nobody', of the models known here it serves human_detection" in str(raised.value)

    def test_an_unknown_version_lists_what_there_is(self, fake: FakeServing) -> None:
        fake.version = 3
        with pytest.raises(ModelNotFound, match=r"has no version 9 of 'people'; it has version 3 \(available\)"):
            engine_for(fake, version=9)
        engine_for(fake, version=3).close()

    def test_an_unknown_label_lists_the_versions(self, fake: FakeServing) -> None:
        with pytest.raises(ModelNotFound, match=r"no label 'stabel' of 'people'; it serves version 1 .*version_labels"):
            engine_for(fake, label="stabel")
        engine = engine_for(fake, label="stable")
        assert engine.info.version == "1"
        engine.close()

    def test_a_model_that_vanishes_ends_the_run(self, fake: FakeServing) -> None:
        engine = engine_for(fake)
        fake.model = "another"
        with pytest.raises(ModelError, match="no longer has the model"):
            engine.infer(pictures(1))
        engine.close()

    def test_signatures_that_cannot_be_read_are_told(self) -> None:
        other = FakeServing()
        other._metadata = lambda request: b"\xff\xff"  # type: ignore[method-assign]
        with other, pytest.raises(EngineError, match="its signatures cannot be read"):
            engine_for(other)

    def test_a_path_here_names_the_model_there(self) -> None:
        path = str(bundled("models/human_detection"))
        with FakeServing(model="human_detection") as server:
            engine = load_engine(EngineConfig(model=path, serving=ServingConfig((server.target,))))
            assert (engine.info.name, engine.info.preset.default_score) == ("human_detection", 0.5)
            engine.close()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"outputs": OUTPUTS[:2]}, "lacks the outputs detection_classes, num_detections"),
            ({"dtype": FLOAT}, "no image input; expected one of uint8 images"),
            ({"key": "text", "shape": (-1, 5)}, "no image input"),
        ],
    )
    def test_models_that_are_no_detectors_are_refused_with_the_reason(
        self, options: dict[str, Any], message: str
    ) -> None:
        with FakeServing(**options) as server, pytest.raises(ModelError, match=message):
            engine_for(server)

    def test_an_unknown_signature_lists_what_there_is(self, fake: FakeServing) -> None:
        with pytest.raises(ModelError, match="no signature 'mine'; it has serving_default"):
            engine_for(fake, signature="mine")

    @pytest.mark.parametrize("garbage", [b"\xff" * 50, b"<html>no</html>", b"", b"\x0a\x7f"])
    def test_garbage_for_an_answer_is_an_error_of_the_engine(self, fake: FakeServing, garbage: bytes) -> None:
        engine = engine_for(fake)
        fake.fault = lambda: garbage
        with pytest.raises(EngineError, match=f"people at {fake.target}: the answer "):
            engine.infer(pictures(1))
        engine.close()

    def test_a_rest_port_is_told_from_a_grpc_port(self) -> None:
        with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as rest:
            thread = threading.Thread(target=rest.serve_forever, daemon=True)
            thread.start()
            began = time.monotonic()
            with pytest.raises(EngineUnavailable, match="does not speak gRPC; TensorFlow Serving's is usually 8500"):
                engine_for(f"127.0.0.1:{rest.server_port}", timeout_seconds=100)
            assert time.monotonic() - began < 50
            rest.shutdown()
            thread.join()

    def test_another_grpc_service_is_told(self) -> None:
        other = FakeServing()
        other._status = lambda request: b"\xff\xff"  # type: ignore[method-assign]
        with other, pytest.raises(EngineUnavailable, match="is not TensorFlow Serving's"):
            engine_for(other, timeout_seconds=0.3)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"device": "gpu"}, "the server decides where the model runs"),
            ({"precision": "bf16"}, "the server decides the precision"),
        ],
    )
    def test_options_for_this_process_are_refused(
        self, fake: FakeServing, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            load_engine(EngineConfig("tf-serving", serving=ServingConfig((fake.target,)), **options))

    def test_naming_a_server_is_choosing_the_engine(self) -> None:
        with FakeServing(model="human_detection") as server:
            engine = load_engine(EngineConfig(serving=ServingConfig((server.target,))))
            assert engine.info.engine == f"tf-serving, {server.target}"
            engine.close()


class TestVersions:
    def test_a_new_version_is_noticed(self, fake: FakeServing, caplog: Any) -> None:
        engine = engine_for(fake)
        fake.version = 2
        with caplog.at_level(logging.WARNING, "humandetect"):
            engine.infer(pictures(1))
        assert engine.info.version == "2"
        assert "is now answered by version 2" in caplog.text
        engine.close()

    def test_a_signature_that_cannot_be_had_costs_no_picture(self, fake: FakeServing) -> None:
        engine = engine_for(fake)
        fake.version, fake.metadata_fault = 2, Refusal("INTERNAL", "not now")
        assert engine.infer(pictures(255)).scores[0, 0] == 1
        fake.metadata_fault = None
        engine.infer(pictures(1))
        assert engine.info.version == "2"
        engine.close()

    def test_a_new_version_may_name_its_input_differently(self, fake: FakeServing) -> None:
        engine = engine_for(fake)
        fake.version, fake.key, fake.shape = 2, "input_tensor", (1, 24, 32, 3)
        np.testing.assert_allclose(engine.infer(pictures(0, 255)).scores[:, 0], [0, 1])
        assert engine.info.version == "2"
        engine.close()

    def test_a_new_version_for_another_size_ends_the_run(self, fake: FakeServing) -> None:
        engine = engine_for(fake)
        fake.version, fake.shape = 2, (-1, 48, 64, 3)
        with pytest.raises(ModelError, match=r"version 2 takes pictures of another size than version 1.*start again"):
            engine.infer(pictures(1))
        engine.close()

    def test_going_back_and_forth_asks_for_each_signature_once(self, fake: FakeServing) -> None:
        engine = engine_for(fake)
        for version in (2, 1, 2, 1):
            fake.version = version
            engine.infer(pictures(1))
            assert engine.info.version == str(version)
        assert len(engine._plans) == 2
        engine.close()


def test_a_run_whose_server_dies_keeps_every_finished_frame(fake: FakeServing, tmp_path: Path) -> None:
    def fault() -> None:
        if len(fake.sizes) > 6:
            raise Refusal("UNAVAILABLE", "gone")

    fake.fault = fault
    serving = ServingConfig((fake.target,), model="people", patience_seconds=0.3)
    out = tmp_path / "out.jsonl"
    config = DetectConfig(
        (str(make_clip(tmp_path / "clip.mp4", frames=60)),),
        results=(str(out),), batch=2, engine=EngineConfig(serving=serving), source=SourceConfig(),
    )  # fmt: skip
    summary = run(config)
    assert [type(failure) for failure in summary.failures] == [EngineUnavailable]
    assert 0 < summary.frames < 60
    saved = out if out.exists() else next(tmp_path.glob("out*.jsonl"))
    assert len(frame_lines(saved)) == summary.frames


def test_no_frame_is_lost_when_one_of_two_servers_dies(fake: FakeServing, tmp_path: Path) -> None:
    with FakeServing() as doomed:
        stopping = threading.Thread(target=doomed.stop)
        doomed.fault = lambda: stopping.start() if len(doomed.sizes) == 6 else None
        serving = ServingConfig((fake.target, doomed.target), model="people")
        config = DetectConfig(
            (str(make_clip(tmp_path / "clip.mp4", frames=60)),),
            results=(str(tmp_path / "out.jsonl"),), batch=2, engine=EngineConfig(serving=serving),
        )  # fmt: skip
        summary = run(config)
        stopping.join()
    assert not summary.failures
    assert [line["frame"] for line in frame_lines(tmp_path / "out.jsonl")] == list(range(60))
    assert len(doomed.sizes) >= 6


def test_ctrl_c_during_an_outage_ends_soon(fake: FakeServing, tmp_path: Path) -> None:
    """The run waits for a server that is away; told to stop, it must not wait until its patience is over."""
    clip = make_clip(tmp_path / "clip.mp4", frames=60)
    command = [sys.executable, "-m", "humandetect", "detect", str(clip), "--serving", fake.target, "--serving-model"]
    options = ["people", "--serving-patience", "100", "--results", str(tmp_path / "o.jsonl"), "-v"]
    fake.fault = lambda: None if len(fake.sizes) < 4 else _away()
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any("is away" in line for line in process.stderr)
            process.terminate()
            process.communicate(timeout=60)
            assert process.returncode == 143
        finally:
            process.kill()


def _away() -> None:
    raise Refusal("UNAVAILABLE", "gone")
