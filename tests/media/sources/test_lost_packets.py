"""Which packets gave no picture, as told by the pictures that came."""

from __future__ import annotations

import pytest

from humandetect.media.sources.lost_packets import LostPackets


@pytest.mark.parametrize(
    ("packets", "pictures", "lost"),
    [
        ([0, 1, 2], [0, 1, 2], [0, 0, 0]),
        ([0, 3, 1, 2, 4], [0, 1, 3, 4], [0, 0, 1, 0]),
        ([4, 2, 3, 5], [4, 5], [0, 0]),
        ([0, 1, 2, 3], [0, 3, 1, 3], [0, 2, None, None]),
    ],
    ids=["none", "one of two", "before the first", "late and twice"],
)
def test_lost_are_those_between_pictures(packets: list[int], pictures: list[int], lost: list[int | None]) -> None:
    known = LostPackets()
    for stamp in packets:
        known.came(stamp)
    assert [known.shown(stamp) for stamp in pictures] == lost


def test_a_file_that_was_joined_to_another_begins_anew() -> None:
    known = LostPackets()
    for stamp in (0, 1, 2, 0, 1, 2):
        known.came(stamp)
        assert known.shown(stamp) == 0
