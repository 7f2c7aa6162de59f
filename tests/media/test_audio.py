"""Promises of sound on its way from source to sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import av
import pytest

from humandetect.config import SourceConfig
from humandetect.media import audio as audio_module
from humandetect.media.audio import AudioTrack
from humandetect.media.sources import open_source
from tests.builders import make_clip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two seconds with sound."""
    return make_clip(tmp_path / "clip.mp4", audio="aac")


def starts(track: AudioTrack, until_seconds: float | None = None) -> list[float]:
    return [float((packet.pts or 0) * packet.time_base) for packet in track.take(until_seconds)]


def read(path: Path, **options: float) -> list[AudioTrack]:
    with open_source(str(path), SourceConfig(**options), audio=True) as source:  # type: ignore[arg-type]
        assert list(source)
        return source.audio


def test_all_sound_arrives_untouched(clip: Path) -> None:
    with av.open(str(clip)) as container:
        sent = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    with open_source(str(clip), audio=True) as source:
        assert list(source)
        (track,) = source.audio
        assert [bytes(packet) for packet in track.take()] == sent
        assert track.take() == []
        assert source.warnings == []


def test_nobody_asks_and_no_sound_is_read(clip: Path) -> None:
    with open_source(str(clip)) as source:
        assert list(source)
        assert source.audio == []


def test_take_gives_only_what_starts_before_the_given_time(clip: Path) -> None:
    with open_source(str(clip), audio=True) as source:
        assert list(source)
        (track,) = source.audio
        assert max(starts(track, 1.0)) < 1.0
        assert min(starts(track)) >= 1.0


def test_sound_outside_the_wanted_part_is_left_out(clip: Path) -> None:
    (track,) = read(clip, start_seconds=0.5, duration_seconds=1.0)
    times = starts(track)
    assert track.origin_seconds == pytest.approx(0.5)
    assert 0.4 <= min(times) < 0.5  # the run-up that decoders need
    assert max(times) == pytest.approx(1.5, abs=0.03)
    assert max(times) < 1.5


def test_sound_lasts_as_long_as_the_limited_pictures(clip: Path) -> None:
    (track,) = read(clip, limit=10)
    assert max(starts(track)) >= 0.9


def test_sound_stays_in_place_when_the_file_does_not_begin_at_zero(tmp_path: Path) -> None:
    shifted = make_clip(tmp_path / "late.ts", audio="aac")
    (track,) = read(shifted)
    assert starts(track)[0] == pytest.approx(track.origin_seconds, abs=0.05)
    assert track.origin_seconds > 0.1


def test_every_audio_stream_is_kept(tmp_path: Path) -> None:
    one = make_clip(tmp_path / "one.mkv", audio="aac")
    with av.open(str(one)) as source, av.open(str(tmp_path / "two.mkv"), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        sounds = [out.add_stream_from_template(source.streams.audio[0]) for _ in range(2)]
        for packet in source.demux():
            if packet.dts is None and not packet.size:
                continue
            if packet.stream.type == "video":
                packet.stream = video
                out.mux(packet)
                continue
            for sound in sounds:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, sound
                out.mux(copy)
    assert [bool(track.take()) for track in read(tmp_path / "two.mkv")] == [True, True]


def test_sound_that_nobody_takes_is_bounded_and_counted(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_module, "MAX_WAITING_BYTES", 500)
    with open_source(str(clip), audio=True) as source:
        assert list(source)
        (track,) = source.audio
        assert track.lost_packets > 0
        assert sum(packet.size for packet in track.take()) <= 500
        assert source.warnings == [f"{track.lost_packets} sound packets dropped: too far ahead of the pictures"]


def test_a_packet_without_a_time_is_left_out(clip: Path) -> None:
    with av.open(str(clip)) as container:
        track = AudioTrack(container.streams.audio[0])
        track.push(cast("av.Packet[av.AudioStream]", av.Packet(b"sound")))
        assert track.take() == []
