"""Promises of RTMP, and of MPEG-TS that is sent over UDP and RTP whether somebody reads or not."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from contextlib import contextmanager, suppress
from itertools import count, islice
from typing import TYPE_CHECKING

import av
import pytest

from humandetect.config import SourceConfig
from humandetect.errors import SourceError
from humandetect.media.sources import open_source
from tests.builders import make_clip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from humandetect.media.frames import Frame

SHORT = SourceConfig(open_timeout_seconds=0.3, read_timeout_seconds=0.3)


def free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def sending(url: str, clip: Path, format_: str) -> Iterator[None]:
    """Send a clip of 50 pictures a second again and again, at first without its first key frame."""
    done = threading.Event()

    def send() -> None:
        with av.open(str(clip)) as given, av.open(url, "w", format=format_) as out:
            stream = out.add_stream_from_template(given.streams.video[0])
            packets = [(bytes(one), (one.pts or 0) - (one.dts or 0)) for one in given.demux() if one.size]
            for index in count(1):
                data, shown_after = packets[index % len(packets)]
                packet = av.Packet(data)
                packet.dts, packet.pts = index * 1800, index * 1800 + shown_after
                packet.stream = stream
                with suppress(av.FFmpegError):  # nobody takes it
                    out.mux(packet)
                if done.wait(0.02):
                    return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()


@pytest.mark.parametrize(("scheme", "format_"), [("udp", "mpegts"), ("rtp", "rtp_mpegts")])
def test_mpeg_ts_is_read_as_it_is_sent(tmp_path: Path, scheme: str, format_: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}"
    clip = make_clip(tmp_path / "clip.ts", fps=50)
    with sending(f"{url}?pkt_size=1316", clip, format_), open_source(url) as source:
        assert source.info.kind == "live"
        assert len(list(islice(source, 30))) == 30


def test_a_stream_that_is_joined_in_its_midst_begins_with_its_first_picture(tmp_path: Path) -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    clip = make_clip(tmp_path / "clip.ts", frames=60, fps=50, gop=60)
    with sending(f"{url}?pkt_size=1316", clip, "mpegts"), open_source(url) as source:
        frames = list(islice(source, 3))
    assert frames[0].time_seconds == 0
    assert source.warnings == []


@pytest.mark.parametrize("scheme", ["udp", "rtp"])
def test_where_nothing_is_sent_the_reader_asks_why(scheme: str) -> None:
    with pytest.raises(SourceError, match=r"nothing came within 0\.3 s: is it sent to this port"):
        open_source(f"{scheme}://127.0.0.1:{free_port()}", SHORT)


def test_rtp_that_only_an_sdp_file_explains_names_the_way_out(tmp_path: Path) -> None:
    url = f"rtp://127.0.0.1:{free_port()}"
    told = pytest.raises(SourceError, match=r"no MPEG-TS.* restreamer such as MediaMTX")
    with sending(url, make_clip(tmp_path / "clip.ts", fps=50), "rtp"), told:
        open_source(url)


@pytest.mark.parametrize("address", ["udp://239.0.0.1", "rtp://127.0.0.1/live", "udp://0.0.0.0:0"])
def test_where_nobody_is_asked_a_port_must_be_told(address: str) -> None:
    with pytest.raises(SourceError, match="port"):
        open_source(address)


class RtmpServer(socketserver.StreamRequestHandler):
    """Plays an FLV file, whatever is asked for."""

    def handle(self) -> None:
        hello = self.rfile.read(1 + 1536)
        self.wfile.write(b"\3" + bytes(1536) + hello[1:])
        status = b"\0\4code" + amf("NetStream.Play.Start") + b"\0\0\x09"
        self.wfile.write(
            rtmp(1, struct.pack(">I", 1 << 16))  # the longest chunk
            + rtmp(20, amf("_result") + amf(1.0) + NULL + NULL)  # of connect
            + rtmp(20, amf("_result") + amf(2.0) + NULL + amf(1.0))  # of createStream
            + rtmp(20, amf("onStatus") + amf(0.0) + NULL + b"\3" + status)
        )
        flv, at = self.server.flv, 13  # type: ignore[attr-defined]
        while at < len(flv):
            size, stamp = int.from_bytes(flv[at + 1 : at + 4]), flv[at + 4 : at + 7]
            with suppress(OSError):  # seen enough
                self.wfile.write(rtmp(flv[at], flv[at + 11 : at + 11 + size], stamp))
            at += 11 + size + 4
        self.request.shutdown(socket.SHUT_WR)
        self.rfile.read()  # until the client has seen the end


NULL = b"\5"


def amf(value: str | float) -> bytes:
    if isinstance(value, str):
        return b"\2" + struct.pack(">H", len(value)) + value.encode()
    return b"\0" + struct.pack(">d", value)


def rtmp(kind: int, body: bytes, stamp: bytes = bytes(3)) -> bytes:
    return b"\3" + stamp + struct.pack(">I", len(body))[1:] + bytes([kind]) + struct.pack("<I", 1) + body


def test_rtmp_is_a_live_source(tmp_path: Path) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RtmpServer) as server:
        server.flv = make_clip(tmp_path / "clip.flv").read_bytes()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with open_source(f"rtmp://127.0.0.1:{server.server_address[1]}/live/door") as source:
            assert source.info.kind == "live"
            frames: list[Frame] = []
            with pytest.raises(SourceError, match=r"ended after \d+ frames: the connection ended"):
                frames.extend(source)
        server.shutdown()
    assert len(frames) > 15  # the decoder still has the last ones
    assert [frame.time_seconds for frame in frames] == [index / 10 for index in range(len(frames))]


def test_srt_names_the_way_out() -> None:
    with pytest.raises(SourceError, match=r"begin with http, .* restreamer such as MediaMTX gives SRT as RTSP"):
        open_source("srt://127.0.0.1:9000")
