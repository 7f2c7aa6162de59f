"""Engines that break, hang and come back under cameras that go on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from unittest import mock

import httpx

from humandetect.config.web import WebConfig
from humandetect.detection.detector import Detector
from humandetect.errors import EngineError, EngineTimeout, EngineUnavailable
from humandetect.watch import camera, looks
from humandetect.watch.web.server import page_served
from tests.engines.tfserving.fake_server import FakeServing, engine_for
from tests.fakes import FakeEngine
from tests.waiting import eventually
from tests.watch.watching import pair, watched

if TYPE_CHECKING:
    import numpy as np
    import pytest

    from humandetect.engines.base import RawDetections
    from tests.watch.rtsp_farm import RunningFarm


def test_an_engine_that_fails_ends_it_with_the_reason(farm: RunningFarm) -> None:
    with watched(pair(farm)[0], engine=FakeEngine(fail_after=3)) as one:
        assert one.watching.ended.wait(60)
    assert isinstance(one.watching.failure, EngineError)
    assert "the fake engine broke" in str(one.watching.failure)


def test_an_engine_that_never_answers_holds_up_no_end(
    farm: RunningFarm, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, left = threading.Event(), mock.Mock()
    monkeypatch.setattr(looks, "leave_behind", left)
    with watched(*pair(farm), engine=FakeEngine(gate=gate)) as one:
        eventually(lambda: min(one.status(name).frames for name in ("door", "yard")) > 5)
        began = time.monotonic()
        one.watching.__exit__()
        assert time.monotonic() - began < 15  # 3 on a machine that does nothing else; an engine holds its thread for 60
        gate.set()
    assert one.listener.states("door") == one.listener.states("yard") == ["live", "stopped"]
    assert one.watching.failure is None
    assert "the engine does not answer" in caplog.text
    left.assert_called_once()


class AwayEngine(FakeEngine):
    """A server that is away for some calls."""

    def infer(self, images: np.ndarray) -> RawDetections:
        if len(self.calls) in (2, 3, 4):
            self.calls.append(0)
            raise EngineUnavailable("the server is away")
        return super().infer(images)


def test_an_engine_whose_server_is_away_for_a_while_costs_pictures_only(farm: RunningFarm) -> None:
    with watched(pair(farm)[0], engine=AwayEngine()) as one:
        eventually(lambda: one.status("door").dropped.get("engine") == 3)
        one.listener.sees("door")
    assert one.watching.failure is None
    assert one.listener.states("door") == ["live", "stopped"]


def test_an_engine_that_hangs_here_ends_it_with_the_reason_after_a_while(
    farm: RunningFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "DEAD_SECONDS", 0.5)
    gate = threading.Event()
    gate.set()
    with watched(*pair(farm), engine=FakeEngine(gate=gate)) as one:
        one.listener.sees("door")
        gate.clear()
        assert one.watching.ended.wait(60)
        gate.set()
    assert isinstance(one.watching.failure, EngineTimeout)
    assert str(one.watching.failure).startswith("the engine answered nothing for 0.5 s (the batch was given up after")


def test_servers_that_hang_or_are_away_blind_cameras_until_they_are_back(
    farm: RunningFarm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(looks, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(camera, "BLIND_SECONDS", 0.2)
    gate, site = threading.Event(), WebConfig("0")
    gate.set()

    def hang() -> None:
        gate.wait(60)

    with FakeServing(fault=hang) as server:
        detector = Detector(engine_for(server, timeout_seconds=2.0, patience_seconds=0.5), score=0.0)
        with (
            watched(pair(farm)[0], detector=detector, servers=(server.target,)) as one,
            page_served(site, one.watching, one.memory) as (url, _),
        ):
            one.listener.sees("door")
            gate.clear()
            one.listener.hears("door", "blind")
            assert (one.status("door").state, one.status("door").people) == ("blind", None)
            assert httpx.get(f"{url}readyz").json() == {"ready": False, "cameras": {"blind": 1}}
            gate.set()
            one.listener.hears("door", "live", times=2)
            server.stop()
            one.listener.hears("door", "blind", times=2)
            server.start()
            one.listener.hears("door", "live", times=3)
            one.listener.sees("door")
            assert httpx.get(f"{url}readyz").json() == {"ready": True, "cameras": {"live": 1}}
        detector.close()
    assert one.watching.failure is None
    assert one.listener.states("door") == ["live", "blind", "live", "blind", "live", "stopped"]
    assert [event.event for event in one.memory.kept].count("gap") == 2
    assert "camera door is blind" in caplog.text
