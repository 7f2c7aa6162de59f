"""A plan is the same without the pictures, which are not read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import pytest

from humandetect.config import SourceConfig
from humandetect.media.sources import segments
from humandetect.media.sources.index_only import IndexOnly
from humandetect.media.sources.segments import cut
from tests.archive.clips import B_FRAMES, OPEN_GOP, TEN, UNEVEN, write_people
from tests.command_line import SAMPLE

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import WriteableBuffer


class Counted(io.FileIO):
    taken = 0

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        count = super().readinto(buffer) or 0
        Counted.taken += count
        return count


@pytest.mark.parametrize("options", [TEN, OPEN_GOP, B_FRAMES])
def test_segments_are_the_same_without_pictures(
    options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(write_people(tmp_path / "a.mp4", steps=UNEVEN, options=options))
    planned = cut(path, SourceConfig(), seconds=0.4)
    monkeypatch.setattr(IndexOnly, "has_index", False)
    assert cut(path, SourceConfig(), seconds=0.4) == planned != ()


def test_pictures_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "open_file", lambda path: io.BufferedReader(Counted(path)))
    planned = cut(SAMPLE, SourceConfig(), seconds=1)
    taken = Counted.taken
    monkeypatch.setattr(IndexOnly, "has_index", False)
    assert cut(SAMPLE, SourceConfig(), seconds=1) == planned
    assert taken < (Counted.taken - taken) / 2


@pytest.mark.parametrize(
    ("name", "flags"), [("a.mkv", ""), ("fragments.mp4", "frag_keyframe+empty_moov"), ("a.mov", "frag_keyframe")]
)
def test_what_has_no_index_of_all_is_read_whole(name: str, flags: str, tmp_path: Path) -> None:
    whole = write_people(tmp_path / "whole.mp4", options=TEN)
    path = tmp_path / name
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": flags} if flags else {}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    with IndexOnly(path.open("rb")) as file:
        assert not file.has_index
    assert [segment.frames for segment in cut(str(path), SourceConfig(), seconds=1)] == [30, 30]


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"\0\0\0\x08ftyp" + b"\xff" * 40, b"\0\0\0\x08ftyp\0\0\0\0mdat"])
def test_no_file_is_too_odd(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.mp4").write_bytes(data)
    with IndexOnly((tmp_path / "odd.mp4").open("rb")) as file:
        file.skips = True
        assert io.BufferedReader(file).read() == data
