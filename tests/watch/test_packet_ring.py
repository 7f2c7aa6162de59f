from __future__ import annotations

from datetime import timedelta

import av
import pytest

from humandetect.watch.layout import Layout
from humandetect.watch.packet_ring import ArrivedPacket, PacketRing
from tests.builders import make_clip
from tests.watch.cameras import START


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    with av.open(str(make_clip(tmp_path_factory.mktemp("clips") / "clip.ts", frames=2))) as container:
        return Layout({0: container.streams.video[0]})


def filled(layout: Layout, *, seconds: int, max_bytes: int = 10_000, back_at: int = 99) -> PacketRing:
    """Ten bytes a second, a key frame every two; `back_at` a second the clock is set back by an hour."""
    ring = PacketRing(kept=timedelta(seconds=4), max_bytes=max_bytes)
    for second in range(seconds):
        arrived = START + timedelta(seconds=second, hours=-(second >= back_at))
        ring.add(ArrivedPacket(av.Packet(10), arrived, layout, is_key=second % 2 == 0))
    return ring


def seconds_of(packets: list[ArrivedPacket]) -> list[float]:
    return [(one.arrived - START).total_seconds() for one in packets]


def test_it_keeps_a_time_and_what_is_before_back_to_a_key_frame(layout: Layout) -> None:
    assert seconds_of(filled(layout, seconds=12).take(START)) == [6, 7, 8, 9, 10, 11]


def test_what_is_taken_begins_with_the_last_key_frame_before_a_moment(layout: Layout) -> None:
    ring = filled(layout, seconds=12)
    assert seconds_of(ring.take(START + timedelta(seconds=9.5))) == [8, 9, 10, 11]
    assert ring.take(START) == []


def test_it_keeps_no_more_bytes_than_it_may(layout: Layout) -> None:
    assert seconds_of(filled(layout, seconds=12, max_bytes=45).take(START)) == [8, 9, 10, 11]


def test_a_group_of_pictures_that_is_larger_than_all_is_given_up(layout: Layout) -> None:
    assert filled(layout, seconds=10, max_bytes=15).take(START) == []


@pytest.mark.parametrize("back_at", [7, 8])
def test_what_came_before_the_clock_was_set_back_is_as_old_as_it_is(layout: Layout, back_at: int) -> None:
    since = START - timedelta(hours=1)
    assert len(filled(layout, seconds=10, back_at=back_at).take(since)) == 6
    assert len(filled(layout, seconds=10, back_at=back_at).take(since + timedelta(seconds=8.5))) == 2
    assert seconds_of(filled(layout, seconds=20, back_at=back_at).take(since))[0] == 14 - 3600
