"""Sound arrives as it was, in step with the pictures, and never costs the video."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, cast

import av
import pytest

from humandetect.config import SourceConfig
from humandetect.media.audio import AudioTrack
from humandetect.media.frames import DetectedFrame, VideoInfo
from humandetect.media.sinks.video import VideoSink
from humandetect.media.sources import open_source
from tests.builders import detected, make_clip, people
from tests.media.clips import edit, late_pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from av.packet import Packet

    Change = Callable[[int, Packet[av.AudioStream]], Packet[av.AudioStream]]

INFO = VideoInfo(width=64, height=48, fps=Fraction(10), time_base=Fraction(1, 10240))


class Sound(NamedTuple):
    codec: str
    payloads: list[bytes]
    times: list[float]
    """Seconds when each packet begins."""


def as_it_is(_: int, packet: Packet[av.AudioStream]) -> Packet[av.AudioStream]:
    return packet


def sound_of(path: Path) -> Sound:
    with av.open(str(path)) as clip:
        stream = clip.streams.audio[0]
        packets = [packet for packet in clip.demux(stream) if packet.pts is not None and packet.time_base is not None]
        return Sound(
            stream.codec_context.codec.canonical_name,
            [bytes(packet) for packet in packets],
            [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None],
        )


def copy(
    source: Path,
    target: Path,
    *,
    frames: int = 20,
    origin_seconds: float = 0.0,
    complete: bool = True,
    change: Change = as_it_is,
) -> VideoSink:
    """Read all of the source's sound ahead, as a reader does, then write frames along with it."""
    with av.open(str(source)) as clip:
        track = AudioTrack(clip.streams.audio[0], origin_seconds=origin_seconds)
        for index, packet in enumerate(clip.demux(track.stream)):
            if packet.size:
                track.push(change(index, packet))
        sink = VideoSink(target, INFO, audio=[track], origin_seconds=origin_seconds)
        first = round(origin_seconds * 10)
        for index in range(first, first + frames):
            sink.write(detected(index))
    sink.close(complete=complete)  # the source may be closed by now
    return sink


@pytest.mark.parametrize(
    ("codec", "source", "target"),
    [
        ("aac", "in.mp4", "out.mp4"),
        ("aac", "in.ts", "out.mp4"),  # ADTS, as in broadcasts
        ("aac", "in.mp4", "out.mkv"),
        ("libmp3lame", "in.mkv", "out.mp4"),
        ("libopus", "in.mkv", "out.mp4"),
        ("ac3", "in.mkv", "out.mov"),
        ("pcm_s16le", "in.mov", "out.mov"),
        ("pcm_s16le", "in.mkv", "out.mkv"),
        ("flac", "in.mkv", "out.mkv"),
    ],
)
def test_sound_is_copied_bit_by_bit(tmp_path: Path, codec: str, source: str, target: str) -> None:
    before = sound_of(make_clip(tmp_path / source, audio=codec))
    sink = copy(tmp_path / source, tmp_path / target)
    after = sound_of(tmp_path / target)
    assert after.codec == before.codec
    assert b"".join(after.payloads) == b"".join(_bare(payload, source) for payload in before.payloads)
    assert sink.warnings == []


def _bare(payload: bytes, source: str) -> bytes:
    """Take the ADTS header off, which MP4 keeps in its index instead."""
    return payload[7:] if source.endswith(".ts") else payload


def through(source: Path, target: Path, config: SourceConfig | None = None) -> VideoSink:
    """Take a clip all the way, as a run does."""
    config = config or SourceConfig()
    with open_source(str(source), config, audio=True) as opened:
        sink = VideoSink(target, opened.info, audio=opened.audio, origin_seconds=config.start_seconds)
        with sink:
            for frame in opened:
                sink.write(DetectedFrame(frame, people([])))
    return sink


def test_every_packet_arrives_from_file_to_file(tmp_path: Path) -> None:
    before = sound_of(make_clip(tmp_path / "in.mp4", audio="aac"))
    assert before.times[0] < 0  # else this shows nothing of the run-up
    sink = through(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert sound_of(tmp_path / "out.mp4") == before
    assert sink.warnings == []


def test_sound_before_the_first_picture_is_kept_and_in_step(tmp_path: Path) -> None:
    before = sound_of(late_pictures(tmp_path / "in.mkv", 0.52))
    sink = through(tmp_path / "in.mkv", tmp_path / "out.mp4")
    after = sound_of(tmp_path / "out.mp4")
    assert after.payloads == before.payloads
    assert sink.warnings == []
    with av.open(str(tmp_path / "in.mkv")) as clip, av.open(str(tmp_path / "out.mp4")) as written:
        pictures = [next(video.decode(video=0)).time for video in (clip, written)]
    assert None not in pictures
    assert after.times[20] - before.times[20] == pytest.approx(pictures[1] - pictures[0], abs=2e-3)


def test_a_later_start_keeps_the_run_up_of_its_sound(tmp_path: Path) -> None:
    before = sound_of(make_clip(tmp_path / "in.mp4", audio="aac"))
    through(tmp_path / "in.mp4", tmp_path / "out.mp4", SourceConfig(start_seconds=1.0))
    after = sound_of(tmp_path / "out.mp4")
    where = before.payloads.index(after.payloads[0])
    assert after.payloads == before.payloads[where:]
    assert -0.1 <= after.times[0] < 0
    assert after.times[9] == pytest.approx(before.times[where + 9] - 1.0, abs=1e-4)


def test_sound_keeps_its_place_and_its_run_up(tmp_path: Path) -> None:
    before = sound_of(make_clip(tmp_path / "in.mp4", audio="aac"))
    assert before.times[0] < 0  # else this shows nothing
    copy(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert sound_of(tmp_path / "out.mp4").times == before.times


def test_sound_starts_with_the_pictures_when_reading_began_later(tmp_path: Path) -> None:
    before = sound_of(make_clip(tmp_path / "in.mp4", audio="aac", frames=30))
    copy(tmp_path / "in.mp4", tmp_path / "out.mp4", frames=10, origin_seconds=1.0)
    after = sound_of(tmp_path / "out.mp4")
    where = before.payloads.index(after.payloads[5])
    assert after.times[5] == pytest.approx(before.times[where] - 1.0, abs=1e-4)
    assert after.times[0] >= -0.25


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac", "mp2"])
def test_what_players_expect_not_in_mp4_is_encoded_to_aac(tmp_path: Path, codec: str) -> None:
    make_clip(tmp_path / "in.mkv", audio=codec)
    sink = copy(tmp_path / "in.mkv", tmp_path / "out.mp4")
    after = sound_of(tmp_path / "out.mp4")
    assert after.codec == "aac"
    assert [warning.partition(") ")[2] for warning in sink.warnings] == [
        "was encoded to AAC, as this kind of file cannot hold it"
    ]
    with av.open(str(tmp_path / "out.mp4")) as clip:
        seconds = sum(frame.samples for frame in clip.decode(audio=0)) / 48_000
        assert clip.streams.audio[0].layout.name == "mono"
    assert seconds == pytest.approx(2.0, abs=0.05)


def test_sound_at_a_rate_aac_does_not_know_is_resampled(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=37_000, layout="quad")
        frame = av.AudioFrame(format="s16", layout="quad", samples=37_000)
        frame.sample_rate, frame.pts = 37_000, 0
        out.mux(stream.encode(frame))
    copy(tmp_path / "in.wav", tmp_path / "out.mp4", frames=10)
    with av.open(str(tmp_path / "out.mp4")) as clip:
        assert (clip.streams.audio[0].rate, clip.streams.audio[0].layout.name) == (48_000, "stereo")
        assert sum(frame.samples for frame in clip.decode(audio=0)) / 48_000 == pytest.approx(1.0, abs=0.05)


def test_damaged_packets_are_skipped_and_counted_when_copied(tmp_path: Path) -> None:
    def repeat_a_time(index: int, packet: Packet[av.AudioStream]) -> Packet[av.AudioStream]:
        if index in (10, 11):
            packet.pts = packet.dts = 0
        return packet

    before = sound_of(make_clip(tmp_path / "in.mp4", audio="aac"))
    sink = copy(tmp_path / "in.mp4", tmp_path / "out.mp4", change=repeat_a_time)
    assert sink.warnings == ["audio stream 1 (aac): 2 damaged packets were skipped"]
    assert len(sound_of(tmp_path / "out.mp4").payloads) == len(before.payloads) - 2


def test_damaged_packets_are_skipped_and_counted_when_encoded(tmp_path: Path) -> None:
    def spoil(index: int, packet: Packet[av.AudioStream]) -> Packet[av.AudioStream]:
        if index not in (4, 5):
            return packet
        spoiled = av.Packet(b"\x00" * 40)
        spoiled.pts, spoiled.dts, spoiled.time_base = packet.pts, packet.dts, packet.time_base
        return cast("Packet[av.AudioStream]", spoiled)

    make_clip(tmp_path / "in.mkv", audio="flac")
    sink = copy(tmp_path / "in.mkv", tmp_path / "out.mp4", change=spoil)
    assert "audio stream 1 (flac): 2 damaged packets were skipped" in sink.warnings
    assert sound_of(tmp_path / "out.mp4").codec == "aac"


@pytest.mark.parametrize("shown", [{1.0: 1.0}, {0.0: 0.5, 1.0: 0.5}], ids=["the end", "two pieces"])
def test_sound_that_an_edit_list_hides_is_no_loss(tmp_path: Path, shown: dict[float, float]) -> None:
    """As phones trim: each piece by where it begins and how long it is."""
    path = make_clip(tmp_path / "in.mp4", audio="aac")
    edit(path, shown)
    with open_source(str(path), audio=True) as source:
        with VideoSink(tmp_path / "out.mp4", source.info, audio=source.audio) as sink:
            for frame in source:
                sink.write(DetectedFrame(frame, people([])))
        assert (source.warnings, sink.warnings) == ([], [])
    sound = sound_of(tmp_path / "out.mp4")
    assert sound.times[0] == pytest.approx(-0.1, abs=0.1), "the run-up"
    assert sound.times[-1] == pytest.approx(1, abs=0.05)
    assert max(after - before for before, after in pairwise(sound.times)) < 0.022, "nothing is missing"


def test_sound_that_nobody_took_in_time_is_counted(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", audio="aac")
    with av.open(str(tmp_path / "in.mp4")) as clip:
        track = AudioTrack(clip.streams.audio[0])
        track.lost_packets = 7
        with VideoSink(tmp_path / "out.mp4", INFO, audio=[track]) as sink:
            sink.write(detected())
    assert sink.warnings == ["audio stream 1 (aac): 7 packets came too early and were dropped"]


def test_a_whole_video_keeps_the_sound_that_outlasts_its_pictures(tmp_path: Path) -> None:
    before = sound_of(make_clip(tmp_path / "in.mp4", audio="aac", frames=20))
    copy(tmp_path / "in.mp4", tmp_path / "out.mp4", frames=5)
    assert sound_of(tmp_path / "out.mp4").payloads == before.payloads


def test_a_partial_video_ends_its_sound_with_its_pictures(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", audio="aac", frames=40)
    copy(tmp_path / "in.mp4", tmp_path / "out.mp4", frames=10, complete=False)
    assert sound_of(tmp_path / "out.partial.mp4").times[-1] == pytest.approx(1.0, abs=0.03)


def test_several_sounds_stay_several(tmp_path: Path) -> None:
    make_clip(tmp_path / "one.mp4", audio="aac")
    make_clip(tmp_path / "two.mkv", audio="libmp3lame")
    with av.open(str(tmp_path / "one.mp4")) as one, av.open(str(tmp_path / "two.mkv")) as two:
        tracks = [AudioTrack(clip.streams.audio[0]) for clip in (one, two)]
        for clip, track in zip((one, two), tracks, strict=True):
            for packet in clip.demux(track.stream):
                track.push(packet)
        with VideoSink(tmp_path / "out.mp4", INFO, audio=tracks) as sink:
            for index in range(20):
                sink.write(detected(index))
    with av.open(str(tmp_path / "out.mp4")) as clip:
        assert [stream.codec_context.codec.canonical_name for stream in clip.streams.audio] == ["aac", "mp3"]


def test_sound_of_which_nothing_is_known_is_left_out_and_counted(tmp_path: Path) -> None:
    unknown = SimpleNamespace(stream=SimpleNamespace(codec_context=None))
    with VideoSink(tmp_path / "out.mp4", INFO, audio=[unknown]) as sink:  # type: ignore[list-item]
        sink.write(detected())
    assert sink.warnings == ["1 audio streams of an unknown kind were left out"]
    with av.open(str(tmp_path / "out.mp4")) as clip:
        assert not clip.streams.audio


def test_a_stream_of_sound_without_a_packet_costs_nothing(tmp_path: Path) -> None:
    for codec in ("aac", "flac"):
        make_clip(tmp_path / "in.mkv", audio=codec)
        with av.open(str(tmp_path / "in.mkv")) as clip:
            with VideoSink(tmp_path / "out.mp4", INFO, audio=[AudioTrack(clip.streams.audio[0])]) as sink:
                sink.write(detected())
            assert sink.close() == tmp_path / "out.mp4"


def test_pictures_and_sound_alternate_in_the_file(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", audio="aac", frames=100)
    copy(tmp_path / "in.mp4", tmp_path / "out.mp4", frames=100)
    with av.open(str(tmp_path / "out.mp4")) as clip:
        places = sorted((packet.pos, packet.stream.type) for packet in clip.demux() if packet.size)
    kinds = [kind for _, kind in places]
    assert max(len(run) for run in "".join(kind[0] for kind in kinds).split("v")) < 80  # of 470 packets
