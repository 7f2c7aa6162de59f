"""Promises of the reading thread."""

from __future__ import annotations

import threading
from itertools import accumulate
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from humandetect.errors import SourceError
from humandetect.media import reader as reader_module
from humandetect.media.reader import FrameReader
from tests.builders import frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.media.frames import Frame


def test_frames_come_in_order_and_then_end() -> None:
    with FrameReader([frame(index) for index in range(20)], buffer=3) as frames:
        assert [one.index for one in frames] == list(range(20))
        assert frames.dropped == 0
        assert next(frames, None) is None


def test_a_full_buffer_holds_the_source_back() -> None:
    made: list[int] = []
    full = threading.Event()

    def source() -> Iterator[Frame]:
        for index in range(100):
            made.append(index)
            if index == 3:
                full.set()
            yield frame(index)

    with FrameReader(source(), buffer=3) as frames:
        assert full.wait(60)
        assert made == [0, 1, 2, 3]  # three wait, the fourth cannot be put down
        assert next(frames).index == 0
    assert len(made) <= 5


def live(monkeypatch: pytest.MonkeyPatch, *, ready: int, steps: Sequence[float]) -> Iterator[Frame]:
    """Return frames that lay ready, then others to wait for, on a clock of their own."""
    times = list(accumulate([0.001] * ready + list(steps), initial=0.0))
    now = times[:1]
    monkeypatch.setattr("humandetect.media.reader.time", SimpleNamespace(monotonic=lambda: now[-1]))
    return (now.append(time) or frame(index) for index, time in enumerate(times[1:]))  # type: ignore[func-returns-value]


def test_newest_frames_win_where_old_ones_may_be_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    with FrameReader(live(monkeypatch, ready=0, steps=[0.5] * 10), buffer=2, policy="drop-oldest") as frames:
        frames._thread.join(60)
        assert [one.index for one in frames] == [8, 9]
        assert (frames.dropped, frames.outdated) == (8, 0)


@pytest.mark.parametrize(
    ("ready", "steps", "dropped", "outdated"),
    [(8, [], 0, 6), (8, [0.5] * 2, 2, 6), (0, [1 / 64] * 192, 65, 125)],
    ids=["only old ones", "and then 2 a second", "64 a second"],
)
def test_what_lay_ready_at_the_start_is_no_dropped_frame(
    monkeypatch: pytest.MonkeyPatch, ready: int, steps: list[float], dropped: int, outdated: int
) -> None:
    with FrameReader(live(monkeypatch, ready=ready, steps=steps), buffer=2, policy="drop-oldest") as frames:
        frames._thread.join(60)
        assert len(list(frames)) == 2
        assert (frames.dropped, frames.outdated) == (dropped, outdated)


def test_what_is_dropped_does_not_count_for_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    source = live(monkeypatch, ready=0, steps=[0.5] * 10)
    with FrameReader(source, buffer=2, policy="drop-oldest", limit=1) as frames:
        frames._thread.join(60)
        assert [one.index for one in frames] == [8]


@pytest.mark.parametrize("error", [SourceError("the camera is gone"), KeyboardInterrupt()])
def test_an_error_comes_after_the_frames_before_it(error: BaseException) -> None:
    def source() -> Iterator[Frame]:
        yield frame(0)
        yield frame(1)
        raise error

    with FrameReader(source(), buffer=4) as frames:
        assert [next(frames).index, next(frames).index] == [0, 1]
        with pytest.raises(type(error)):
            next(frames)
        assert next(frames, None) is None


def test_closing_early_ends_the_thread_and_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[Frame]:
        try:
            for index in range(1000):
                yield frame(index)
        finally:
            closed.set()

    frames = FrameReader(source(), buffer=2)
    assert next(frames).index == 0
    frames.close()
    frames.close()
    assert not frames._thread.is_alive()
    assert next(frames, None) is None
    del frames
    assert closed.wait(60)


def test_closing_wakes_a_consumer_that_waits() -> None:
    release = threading.Event()
    seen: list[object] = []

    def source() -> Iterator[Frame]:
        release.wait(60)
        yield frame(0)

    frames = FrameReader(source(), buffer=2)
    consumer = threading.Thread(target=lambda: seen.append(next(frames, None)))
    consumer.start()
    threading.Timer(0.05, release.set).start()
    frames.close()
    consumer.join(60)
    assert seen == [None]


def test_a_blocked_source_does_not_hold_up_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "JOIN_SECONDS", 0.05)
    release = threading.Event()

    def source() -> Iterator[Frame]:
        release.wait(30)
        yield frame(0)

    frames = FrameReader(source(), buffer=2)
    frames.close()
    assert frames._thread.is_alive()
    assert frames._thread.daemon
    release.set()
    frames._thread.join(60)
    assert not frames._thread.is_alive()


def test_a_buffer_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 frame, not 0"):
        FrameReader([], buffer=0)


def test_large_frames_are_read_ahead_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.media.reader.MAX_BYTES", 1)
    taken: list[int] = []

    def frames() -> Iterator[Frame]:
        for index in range(10):
            taken.append(index)
            yield frame(index)

    with FrameReader(frames(), buffer=8) as reader:
        assert next(reader).index == 0
        assert len(taken) <= 3  # one given, one waiting, one in the thread's hand
        assert [one.index for one in reader] == list(range(1, 10))


def test_live_frames_are_read_while_an_engine_starts() -> None:
    """Each has the time at which it is read; a few wait, and older ones are of before the start."""
    came = threading.Semaphore(0)
    starts, taken = threading.Event(), threading.Event()

    def camera() -> Iterator[Frame]:
        starts.wait(10)
        for index in range(8):
            yield frame(index)
            came.release()
        taken.wait(10)

    with FrameReader(camera(), buffer=2, policy="drop-oldest") as frames:
        with frames.until_taken():
            frames._bursts = False  # as when one comes a second
            starts.set()
            for _ in range(8):
                assert came.acquire(timeout=10)
        assert frames.waited == 6
        assert [next(frames).index for _ in range(6)] == [2, 3, 4, 5, 6, 7]
        taken.set()
        assert (frames.dropped, frames.outdated) == (0, 2)
