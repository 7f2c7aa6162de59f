"""The way of one image: in turn, within bounds, and given up when nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.config import ServeConfig
from humandetect.detection.detector import Detector
from humandetect.errors import Closed, EngineTimeout, Overloaded, SourceError
from humandetect.service.inference import Inference, _Allowance
from humandetect.service.metrics import Metrics
from tests.fakes import FakeEngine
from tests.service.images import jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def finding(engine: FakeEngine | None = None, **options: Any) -> Iterator[Inference]:
    inference = Inference(Detector(engine or FakeEngine()), ServeConfig(**options), Metrics())
    try:
        yield inference
    finally:
        inference.close()


def test_the_stages_add_up_to_the_time_an_image_took() -> None:
    with finding() as inference:
        loop_time = asyncio.run(_timed(inference))
    answer, seconds = loop_time
    timings = answer.timings
    total = timings.decode + timings.queue + timings.infer + timings.encode
    assert min(timings.decode, timings.queue, timings.infer, timings.encode) >= 0
    assert total == pytest.approx(seconds, rel=0.2, abs=0.01)


async def _timed(inference: Inference) -> Any:
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await inference.detect(jpeg(640, 480), annotate=True)
    return answer, loop.time() - began


def test_a_bad_image_and_a_good_one_leave_nothing_behind() -> None:
    async def both(inference: Inference) -> None:
        with pytest.raises(SourceError):
            await inference.detect(b"?", annotate=False)
        await inference.detect(jpeg(), annotate=False)

    with finding() as inference:
        asyncio.run(both(inference))
        for lane in (inference._usual, inference._large):
            assert lane._free == lane._limit


def test_no_more_are_admitted_than_the_queue_holds() -> None:
    with finding(queue=20) as inference:
        with inference.admitted(16), pytest.raises(Overloaded, match="16 images"), inference.admitted(5):
            pass
        with inference.admitted(20):
            pass


def test_an_engine_that_hangs_is_given_up_and_closing_does_not_wait_for_it() -> None:
    gate = threading.Event()
    with (
        finding(FakeEngine(gate=gate), timeout_seconds=0.2) as inference,
        pytest.raises(EngineTimeout, match=r"0\.2 s"),
    ):
        asyncio.run(inference.detect(jpeg(), annotate=False))
    gate.set()


def test_a_closed_service_refuses_work() -> None:
    with finding() as inference:
        pass
    with pytest.raises(Closed):
        asyncio.run(inference.detect(jpeg(), annotate=False))


def test_large_pictures_are_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.service.inference.USUAL_BYTES", 64 * 48 * 3)
    monkeypatch.setattr("humandetect.service.inference.LARGE_TOGETHER", 1)
    gate = threading.Event()

    class HoldsTheFirst(FakeEngine):
        def infer(self, images: Any) -> Any:
            if not self.calls:
                self.calls.append(0)
                assert gate.wait(30)
            return super().infer(images)

    async def small_after_large(inference: Inference) -> None:
        large = [asyncio.ensure_future(inference.detect(jpeg(640, 480), annotate=True)) for _ in range(50)]
        while not engine.calls:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(inference.detect(jpeg(), annotate=True), 60)
        assert not any(task.done() for task in large)
        gate.set()
        await asyncio.gather(*large)

    engine = HoldsTheFirst()
    with finding(engine, batch=1) as inference:
        asyncio.run(small_after_large(inference))


def test_an_allowance_is_given_in_order_and_whole_to_who_wants_more() -> None:
    order: list[str] = []

    async def take(allowance: _Allowance, name: str, amount: int) -> None:
        async with allowance.of(amount):
            order.append(name)
            await asyncio.sleep(0.01)

    async def all_of_them() -> None:
        allowance = _Allowance(10)
        await asyncio.gather(
            take(allowance, "a", 6), take(allowance, "huge", 1000), take(allowance, "b", 6), take(allowance, "c", 4)
        )
        assert allowance._free == 10

    asyncio.run(all_of_them())
    assert order == ["a", "huge", "b", "c"]


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_who_gives_up_waiting_takes_nothing_of_the_allowance(turns: int) -> None:
    """Also when it gives up in the very moment its turn comes."""

    async def scene() -> None:
        allowance = _Allowance(10)
        holder = allowance.of(10)
        await holder.__aenter__()
        waiting = [asyncio.ensure_future(allowance._take(amount)) for amount in (8, 3)]
        await asyncio.sleep(0)
        if turns == 2:
            await holder.__aexit__(None, None, None)
        waiting[0].cancel()
        if turns == 1:
            await holder.__aexit__(None, None, None)
        await asyncio.wait({waiting[0]})
        if turns == 0:
            await holder.__aexit__(None, None, None)
        await asyncio.wait_for(waiting[1], 60)
        allowance._give_back(3)
        assert waiting[0].cancelled()
        assert allowance._free == 10

    asyncio.run(scene())


def test_a_picture_given_up_holds_its_memory_until_its_thread_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    started, gate = threading.Event(), threading.Event()

    async def scene(inference: Inference) -> None:
        def slowly(_data: bytes) -> Any:
            started.set()
            assert gate.wait(30)
            raise SourceError("too late")

        monkeypatch.setattr(inference, "_decode", slowly)
        task = asyncio.ensure_future(inference.detect(jpeg(), annotate=False))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        await asyncio.sleep(0.05)
        assert inference._usual._free < inference._usual._limit
        gate.set()
        await asyncio.wait({task})
        assert task.cancelled()
        assert inference._usual._free == inference._usual._limit

    with finding() as inference:
        asyncio.run(scene(inference))
