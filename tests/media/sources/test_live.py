"""Promises of addresses: read over HTTP, bounded in time, passwords kept."""

from __future__ import annotations

import base64
import http.server
import re
import socket
import socketserver
import ssl
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count, islice, takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import av
import pytest
import trustme
from PIL import Image

from humandetect.config import SourceConfig
from humandetect.errors import SourceError
from humandetect.media.images import encode_jpeg
from humandetect.media.reader import FrameReader
from humandetect.media.sources import expand, open_source
from humandetect.media.sources.container import Media
from humandetect.media.sources.http_camera import fetch_picture
from humandetect.media.sources.libav import VideoSource
from tests.builders import make_clip, picture
from tests.certificates import issued
from tests.media.clips import fast_start, heic
from tests.watch.rtsp_farm import farm_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.media.frames import Frame

SHORT = SourceConfig(open_timeout_seconds=0.2, read_timeout_seconds=0.3)
SILENT = SourceConfig(read_timeout_seconds=0.3)
"""For what opens, and says nothing later."""


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Motion(Files):
    """Serves JPEG after JPEG, as many cameras do; `/video` goes silent after the fifth."""

    release = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        jpeg = encode_jpeg(picture())
        part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg)
        for _ in range(5):
            self.wfile.write(part)
        self.wfile.flush()
        if self.path == "/video":
            self.release.wait(60)


@contextmanager
def serving(
    handler: Callable[..., http.server.BaseHTTPRequestHandler], *, certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent_port() -> Iterator[int]:
    """Accept connections and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_file_behind_http_is_read_to_its_end(tmp_path: Path) -> None:
    fast_start(tmp_path / "clip.mp4", audio="aac")
    with serving(partial(Files, directory=str(tmp_path))) as url, open_source(f"{url}/clip.mp4", audio=True) as source:
        assert (source.name, source.info.kind) == (f"{url}/clip.mp4", "video")
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(20))
        assert frames[0].source == source.name
        assert source.audio[0].take()


def test_a_file_without_a_known_length_behind_http_is_no_live_source(tmp_path: Path) -> None:
    """A live source drops frames when they come too fast; a file must not lose any."""
    make_clip(tmp_path / "a.ts")
    with serving(partial(Files, directory=str(tmp_path))) as url, open_source(f"{url}/a.ts") as source:
        assert source.info.kind == "video"
        assert len(list(source)) == 20


def test_a_camera_may_lead_to_its_https_address_and_sign_for_itself(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.ts")
    with serving(partial(Files, directory=str(tmp_path)), certificate=issued(trustme.CA(), tmp_path)) as secure:

        class Leads(Files):
            def do_GET(self) -> None:
                self.send_response(301)
                self.send_header("Location", f"{secure}/a.ts")
                self.end_headers()

        with serving(Leads) as url, open_source(f"{url}/a.ts") as source:
            assert len(list(source)) == 20


class Ranges(Files):
    """Serves a folder, and of its files also parts, as most servers do."""

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        with suppress(OSError):  # libav has seen enough of it
            self.wfile.write(data[begin:])


def test_an_mp4_whose_index_comes_last_needs_a_server_that_sends_parts(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", frames=60, width=160, height=120, codec="mjpeg", pix_fmt="yuvj420p")
    with serving(partial(Ranges, directory=str(tmp_path))) as url, open_source(f"{url}/clip.mp4") as source:
        assert len(list(source)) == 60
        assert source.warnings == []
    told = pytest.raises(SourceError, match=r"index of this MP4 comes last.*no parts.*download it")
    with serving(partial(Files, directory=str(tmp_path))) as url, told:
        open_source(f"{url}/clip.mp4")


def test_a_part_of_a_file_behind_http_is_read(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.ts")
    config = SourceConfig(start_seconds=0.7, limit=3)
    with serving(partial(Files, directory=str(tmp_path))) as url, open_source(f"{url}/a.ts", config) as source:
        assert [frame.index for frame in source] == [7, 8, 9]


def test_motion_jpeg_is_a_live_source() -> None:
    with serving(Motion) as url, open_source(f"{url}/cam") as source:
        assert source.info.kind == "live"
        frames: list[Frame] = []
        with pytest.raises(SourceError, match=r"cam' ended after 5 frames: the connection ended"):
            frames.extend(source)
    times = [frame.time_seconds for frame in frames]
    assert len(frames) == 5
    assert times == sorted(set(times))


def test_damage_is_told_of_however_a_stream_ends(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "cam.mp4", width=320, height=240)
    with farm_in_thread({"door": str(clip)}) as farm, open_source(farm.url("door")) as source:
        farm.change("door", loss=0.5)
        with FrameReader(source, buffer=100) as frames:
            list(takewhile(lambda frame: not source._decoder.damaged, frames))  # type: ignore[attr-defined]
    assert re.search(r"\d+ damaged packets? skipped or repaired", "".join(source.warnings))


def test_an_rtsp_stream_that_its_server_ends_has_ended(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "cam.mp4", width=320, height=240)
    with farm_in_thread({"door": str(clip)}) as farm, open_source(farm.url("door")) as source:
        frames = iter(source)
        assert next(frames).image.shape == (240, 320, 3)
        farm.change("door", kick=1)
        with pytest.raises(SourceError, match=r"' ended after \d+ frames?: the connection ended"):
            list(frames)


@pytest.fixture
def stuck() -> Iterator[str]:
    """The address of a camera that goes silent; its server ends with the test."""
    Motion.release.clear()
    with serving(Motion) as url:
        yield f"{url}/video"
        Motion.release.set()


def test_a_stream_that_falls_silent_has_ended(stuck: str) -> None:
    expected = r"video' ended after \d frames: nothing came for 0\.3 s"
    with open_source(stuck, SILENT) as source, pytest.raises(SourceError, match=expected):
        list(source)


@pytest.mark.parametrize("audio", [False, True])
def test_a_stream_whose_sound_goes_on_without_pictures_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, audio: bool
) -> None:
    make_clip(tmp_path / "all.mkv", audio="aac", frames=60)
    with av.open(str(tmp_path / "all.mkv")) as all_, av.open(str(tmp_path / "cut.mkv"), "w") as out:
        streams = [out.add_stream_from_template(stream) for stream in all_.streams]
        for packet in all_.demux():
            if packet.size and not (packet.stream.type == "video" and (packet.pts or 0) * packet.time_base > 1):
                packet.stream = streams[packet.stream_index]
                out.mux(packet)

    def live() -> Media:
        return Media(av.open(str(tmp_path / "cut.mkv")), None, live=True, seekable=False)

    # Each look at the clock takes a hundredth of a second, and there is one for each packet.
    ticks = count(step=0.01)
    monkeypatch.setattr("humandetect.media.sources.decoding.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    config = SourceConfig(read_timeout_seconds=1.0)
    with (
        VideoSource("cam", live, config, audio=audio) as source,
        pytest.raises(SourceError, match=r"'cam' ended after \d+ frames: no picture for 1 s"),
    ):
        list(source)


@pytest.mark.parametrize("scheme", ["http", "rtsp", "https", "rtsps"])
def test_a_silent_server_is_given_up(scheme: str) -> None:
    with silent_port() as port, pytest.raises(SourceError, match=r"no answer within 0\.2 s"):
        open_source(f"{scheme}://127.0.0.1:{port}/live", SHORT)


@pytest.mark.parametrize(
    "begin",
    [b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"Content-Type: image/jpeg\r\n\r\n", b""],
    ids=["after a blank line", "without its boundary", "without anything"],
)
def test_a_camera_may_begin_its_first_picture_as_it_likes(begin: bytes) -> None:
    jpeg = encode_jpeg(picture())

    class Loose(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
            self.end_headers()
            part = b"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s" % (len(jpeg), jpeg)
            with suppress(OSError):
                self.wfile.write(begin + jpeg + part * 4)

    frames: list[Frame] = []
    with serving(Loose) as url, open_source(f"{url}/stream") as source:
        assert source.info.kind == "live"
        with pytest.raises(SourceError, match=r"ended after 5 frames: the connection ended"):
            frames.extend(source)
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 5


def test_a_stream_without_its_first_boundary_that_falls_silent_has_ended() -> None:
    release = threading.Event()

    class Stuck(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
            self.end_headers()
            jpeg = encode_jpeg(picture())
            part = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n--frame\r\n" % (len(jpeg), jpeg)
            with suppress(OSError):
                self.wfile.write(part * 40)
            release.wait(60)

    expected = r"' ended after \d+ frames: nothing came for 0\.3 s"
    with serving(Stuck) as url:
        with open_source(f"{url}/stream", SILENT) as source, pytest.raises(SourceError, match=expected):
            list(source)
        release.set()


@pytest.mark.parametrize("name", ["photo.heic", "photo.avif"])
def test_a_telephones_photo_at_an_address_is_a_picture(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(heic()) if name.endswith("heic") else Image.new("RGB", (64, 48)).save(path)
    with serving(partial(Files, directory=str(tmp_path))) as url, open_source(f"{url}/{name}") as source:
        assert source.info.kind == "image"


def test_what_is_no_picture_is_not_read_beyond_its_head() -> None:
    """A stream that never ends, say."""
    sent = count()

    class Endless(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(b"ffconcat version 1.0\n")
                while next(sent) < 10_000:
                    self.wfile.write(b"file a.ts\n" * 5000)

    with serving(Endless) as url, pytest.raises(SourceError, match="a playlist or another format"):
        open_source(f"{url}/live", SourceConfig(max_megapixels=1))
    assert next(sent) < 1000


@contextmanager
def dripping(at_once: bytes, slowly: bytes) -> Iterator[str]:
    """Send the end of an answer a byte at a time, for longer than anybody should wait."""

    class Dripping(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.wfile.write(at_once)
                for byte in slowly:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/live"
        server.shutdown()


def test_an_answer_whose_head_drips_in_is_given_up() -> None:
    told = pytest.raises(SourceError, match="cannot be fetched: TimeoutError")
    with dripping(b"HTTP/1.0 200 OK\r\nX-Slow: ", b"x" * 40) as url, told:
        fetch_picture(url, SHORT)


@pytest.mark.parametrize("pictures", [0, 20])
def test_a_stream_that_drips_in_is_given_up(tmp_path: Path, pictures: int) -> None:
    stream = make_clip(tmp_path / "a.ts").read_bytes()
    head, begin = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n", stream if pictures else b""
    told = pytest.raises(SourceError, match="no picture for 1 s")
    config = SourceConfig(read_timeout_seconds=1)
    with dripping(head + begin, stream[:100]) as url, told, open_source(url, config) as source:
        list(source)


def test_a_missing_page_and_a_closed_port_say_so(tmp_path: Path) -> None:
    with serving(partial(Files, directory=str(tmp_path))) as url:
        with pytest.raises(SourceError, match="404"):
            open_source(f"{url}/video.mp4")
        (tmp_path / "text.mp4").write_text("hello\n" * 1000)
        with pytest.raises(SourceError, match="not a video that can be read"):
            open_source(f"{url}/text.mp4")
    with silent_port() as port:
        pass
    with pytest.raises(SourceError, match="refused"):
        open_source(f"rtsp://127.0.0.1:{port}/live", SHORT)


def test_a_playlist_of_files_behind_http_is_not_followed(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.ts")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile a.ts\n")
    told = pytest.raises(SourceError, match="a playlist or another format")
    with serving(partial(Files, directory=str(tmp_path))) as url, told:
        open_source(f"{url}/list.mp4")


def test_other_kinds_of_address_are_refused() -> None:
    for url in ("ftp://host/clip.mp4", "concat://a", "tcp://127.0.0.1:9"):
        with pytest.raises(SourceError, match="begin with http, https, rtsp, rtsps, rtmp, rtmps, udp or rtp"):
            open_source(url)


def test_an_address_is_named_without_its_secrets() -> None:
    (ref,) = expand(["rtsp://admin:s3cret@cam/user=admin_password=s3cret_channel=1?token=s3cret"])
    assert ref.name == "rtsp://…@cam/…_channel=1?…"
    assert "s3cret" not in repr(ref)


def test_two_cameras_of_one_recorder_stay_two() -> None:
    first, second = "http://h/live?token=one", "http://h/live?token=two"
    names = [ref.name for ref in expand([first, second, "http://h/main", first, second])]
    shown = "http://h/live?…"
    assert names == [shown, f"{shown} #2", "http://h/main", shown, f"{shown} #2"]


@pytest.mark.parametrize("address", ["rtsp://admin:{}/1@127.0.0.1/live", "rtsp://{}#1@127.0.0.1/live"])
def test_a_piece_of_a_password_is_never_asked_for_as_a_host(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "open", lambda *_, **__: pytest.fail("libav was asked"))
    with pytest.raises(SourceError, match=r"^cannot read 'rtsp://…': an @ stands behind .* %2F, %3F and %23"):
        open_source(address.format("s3cret"))


def test_a_password_with_odd_characters_written_as_told_reaches_the_camera() -> None:
    asked: list[str] = []

    class Locked(Files):
        def do_GET(self) -> None:
            if "Authorization" in self.headers:
                asked.append(base64.b64decode(self.headers["Authorization"].partition(" ")[2]).decode())
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="cam"')
            self.end_headers()

    with serving(Locked) as url, pytest.raises(SourceError, match=r"401.*: check user and password$"):
        open_source(url.replace("://", "://admin:a%2Fb%3Fc%23d%40e@"))
    assert "admin:a/b?c#d@e" in asked


def test_no_error_and_no_traceback_holds_the_password() -> None:
    with silent_port() as port:
        pass
    secret = "s3" + "cret"
    with pytest.raises(SourceError) as refused:
        open_source(f"rtsp://admin:{secret}@127.0.0.1:{port}/live?token={secret}", SHORT)
    assert f"rtsp://…@127.0.0.1:{port}/live?…" in str(refused.value)
    assert secret not in "".join(traceback.format_exception(refused.value))


def test_closing_while_a_stream_is_silent_returns_and_lets_go_later(
    stuck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humandetect.media.reader.JOIN_SECONDS", 0.05)
    with open_source(stuck, SILENT) as source, FrameReader(source, buffer=9) as frames:
        next(frames)
        reading = frames._thread
    reading.join(60)
    assert not reading.is_alive()


class PickyCamera(socketserver.StreamRequestHandler):
    """Answers RTSP as far as it takes to be asked how to send, and refuses every way."""

    asked: ClassVar[list[str]] = []
    mute = False
    """Whether it agrees to everything, and sends nothing."""

    def lines(self) -> list[str]:
        """Return the next request; empty once the camera's client is gone."""
        return [line.decode().strip() for line in takewhile(bool, iter(self.rfile.readline, b"\r\n"))]

    def handle(self) -> None:
        while lines := self.lines():
            said = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            method = lines[0].split()[0]
            status, body, agreed = "200 OK", "", ""
            if method == "DESCRIBE":
                lines = [
                    "v=0",
                    "o=- 0 0 IN IP4 127.0.0.1",
                    "s=x",
                    "t=0 0",
                    "m=video 0 RTP/AVP 96",
                    "a=rtpmap:96 H264/90000",
                ]
                body = "".join(f"{line}\r\n" for line in lines)
            if method == "SETUP":
                self.asked.append(said["Transport"].split(";")[0])
                status = "200 OK" if self.mute else "461 Unsupported Transport"
                agreed = f"Transport: {said['Transport']}\r\nSession: 1\r\n"
            head = f"RTSP/1.0 {status}\r\nCSeq: {said['CSeq']}\r\nPublic: DESCRIBE, SETUP, PLAY\r\n"
            kind = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n" if body else ""
            with suppress(OSError):  # it may have been given up
                self.wfile.write(f"{head}{agreed}{kind}\r\n{body}".encode())


@contextmanager
def camera(kind: type[PickyCamera]) -> Iterator[str]:
    PickyCamera.asked.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/live"
        server.shutdown()


def test_a_camera_that_answers_and_sends_nothing_is_given_up_in_the_time_for_opening() -> None:
    class Mute(PickyCamera):
        mute = True

    config = SourceConfig(open_timeout_seconds=0.3, read_timeout_seconds=60)
    with camera(Mute) as address, pytest.raises(SourceError, match=r"no picture within 0\.3 s: .* key frames"):
        open_source(address, config)


@pytest.mark.parametrize(("wanted", "asked"), [("auto", ["RTP/AVP/TCP", "RTP/AVP/UDP"]), ("tcp", ["RTP/AVP/TCP"])])
def test_a_camera_that_refuses_tcp_is_asked_for_udp(wanted: Any, asked: list[str]) -> None:
    with camera(PickyCamera) as address, pytest.raises(SourceError, match="send"):
        open_source(address, SourceConfig(open_timeout_seconds=5, rtsp_transport=wanted))
    assert PickyCamera.asked == asked


class Snapshots(Files):
    """Gives a picture to who knows the password, and says how it wants to be told."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(b"admin:p@ss").decode()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="cam"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(encode_jpeg(picture()) if "snap" in self.path else b"{}")


def test_a_picture_at_an_address_is_a_picture() -> None:
    with serving(Snapshots) as url:
        address = url.replace("://", "://admin:p%40ss@")
        with open_source(f"{address}/snap.jpg") as source:
            (frame,) = source
            assert source.info.kind == "image"
            assert frame.image.shape == (48, 64, 3)
            assert "p%40ss" not in frame.source


@pytest.mark.parametrize("user", ["admin:wrong@", ""])
def test_a_picture_that_is_not_given_is_an_error_without_secrets(user: str) -> None:
    with serving(Snapshots) as url, pytest.raises(SourceError) as refused:
        open_source(f"{url.replace('://', f'://{user}')}/snap.jpg")
    assert "wrong" not in str(refused.value)


class OneClient(socketserver.TCPServer):
    """Serves whoever comes first, and nobody else: it is gone then, as some cameras and programs are."""

    def __init__(self, kind: str, body: bytes) -> None:
        self._answer = f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body
        super().__init__(("127.0.0.1", 0), socketserver.StreamRequestHandler)
        self.thread = threading.Thread(target=self.handle_request)
        self.thread.start()

    def finish_request(self, request: Any, client_address: object) -> None:
        self.socket.close()
        request.recv(4096)
        request.sendall(self._answer)


def test_who_serves_one_client_only_is_asked_once(tmp_path: Path) -> None:
    jpeg = encode_jpeg(picture())
    parts = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg) * 5
    stream = make_clip(tmp_path / "a.ts").read_bytes()
    for kind, body, frames in (
        ("multipart/x-mixed-replace; boundary=frame", parts, 5),
        ("application/octet-stream", stream, 20),
        ("video/mp2t", stream, 20),
    ):
        server = OneClient(kind, body)
        with open_source(f"http://127.0.0.1:{server.server_address[1]}/") as source:
            seen = list(islice(source, frames))
        server.thread.join()
        assert len(seen) == frames, kind
