"""Promises about input that is wrong, odd or hostile: one clear line, quickly, and nothing else opened."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import socket
import struct
import threading
import wave
import zipfile
from http.client import IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from humandetect.config import MAX_MEGAPIXELS, SourceConfig
from humandetect.errors import SourceError
from humandetect.media.sources import open_source
from humandetect.media.sources.container import Input, NothingSent
from tests.builders import make_clip, picture
from tests.media.clips import cut, fast_start

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(name: str, config: SourceConfig | None = None) -> str:
    """The message with which a source is refused, when it is opened."""
    with pytest.raises(SourceError) as refused:
        open_source(name, config)
    message = str(refused.value)
    assert message.startswith("cannot read "), message
    assert "\n" not in message
    return message.partition(f"{name!r}: ")[2]


def test_missing_file_says_so_and_how_to_name_a_camera(here: Path) -> None:
    assert refusal("nope.mp4") == "no such file. For a camera use its number, e.g. 0"
    assert refusal("/dev/nope") == "no such file. For a camera use its number, e.g. 0"


@pytest.mark.parametrize("pattern", ["*.mp4", "clips/**/*.mp4", "cam[12].mp4", "a?.mp4"])
def test_a_pattern_without_a_match_is_called_one(here: Path, pattern: str) -> None:
    assert refusal(pattern) == "no file has a name of this pattern"


def test_an_unknown_host_is_told(here: Path) -> None:
    with pytest.raises(SourceError, match="no computer of this name is known"):
        open_source("http://no-such-host.invalid/a.mp4")


@pytest.mark.parametrize("address", ["https://www.youtube.com/watch?v=abc", "https://youtu.be/abc"])
def test_the_page_of_a_video_is_no_video(address: str) -> None:
    with pytest.raises(SourceError, match="a page with a video in it"):
        open_source(address)


def test_empty_file_says_so(here: Path) -> None:
    for name in ("a.mp4", "a.jpg"):
        Path(name).touch()
        assert refusal(name) == "the file is empty"


def test_folder_without_media_says_so(here: Path) -> None:
    Path("empty").mkdir()
    assert refusal("empty") == "the folder holds no image or video"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file_says_so(here: Path) -> None:
    make_clip(here / "a.mp4", frames=1).chmod(0)
    assert refusal("a.mp4") == "Permission denied"


def test_error_of_the_system_is_said_in_its_words(here: Path) -> None:
    Path("loop.mp4").symlink_to("loop.mp4")
    assert refusal("loop.mp4") == "Too many levels of symbolic links"
    assert refusal("nul\0.mp4") == "embedded null byte"


def test_what_is_neither_image_nor_video_is_refused(here: Path) -> None:
    Path("text.mp4").write_text("hello\n" * 1000)
    Path("noise.mp4").write_bytes(b"\x17\x99\xabz" * 50_000)
    with zipfile.ZipFile("zip.mp4", "w") as archive:
        archive.writestr("a", b"a" * 1000)
    for name in ("text.mp4", "noise.mp4", "zip.mp4"):
        assert refusal(name) == "not an image or video that can be read"


def test_formats_of_images_that_are_not_read_are_no_playlists(here: Path) -> None:
    vector = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    Path("a.png").write_text(vector)
    Path("b.png").write_text(f'<?xml version="1.0"?>\n{vector}')
    for name in ("c.ico", "d.tga"):
        Image.fromarray(picture()).save(name)
    for name in ("a.png", "b.png", "c.ico", "d.tga"):
        assert refusal(name) == "not an image or video that can be read"


def test_the_highest_size_limit_is_no_obstacle(here: Path) -> None:
    config = SourceConfig(max_megapixels=MAX_MEGAPIXELS)
    Image.fromarray(picture()).save("a.png")
    make_clip(here / "a.mp4", frames=3)
    for name, frames in (("a.png", 1), ("a.mp4", 3)):
        with open_source(name, config) as source:
            assert len(list(source)) == frames
            assert not source.failures


def test_devices_and_sockets_are_refused(here: Path) -> None:
    assert refusal("/dev/zero") == "this is a device, not a file. For a camera use its number, e.g. 0"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.mp4")
        assert refusal("socket.mp4") == "this is not a file that can be read"


def test_a_recording_without_its_index_is_explained(here: Path) -> None:
    cut(make_clip(here / "a.mp4", frames=50), 0.5)
    assert refusal("a.mp4") == "the MP4 or MOV file has no index (moov): it was cut off, or its recording never ended"


def test_sound_alone_is_no_video(here: Path) -> None:
    with wave.open("sound.wav", "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(8000))
    assert refusal("sound.wav") == "it holds sound but no video"


def test_a_cover_picture_is_no_video(here: Path) -> None:
    with av.open("song.mp4", "w") as out:
        sound = out.add_stream("aac", rate=48000, layout="mono")
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(picture(), format="bgr24")))
        out.mux(cover.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        tone.sample_rate = 48000
        out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
    assert refusal("song.mp4") == "it holds sound but no video"


def test_a_video_without_a_single_frame_is_refused(here: Path) -> None:
    with av.open("none.mp4", "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    assert refusal("none.mp4") == "it holds no video"


def test_a_video_whose_frames_are_all_damaged_is_refused(here: Path) -> None:
    path = fast_start(here / "a.mp4")
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    assert refusal("a.mp4") == "no frame of its video can be decoded: damaged, or larger than allowed"


def grown_by_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_video_that_claims_a_huge_picture_is_refused_from_its_header(here: Path) -> None:
    path = make_clip(here / "a.avi", frames=2, codec="rawvideo", pix_fmt="bgr24")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12
    assert struct.unpack_from("<ii", data, at)[0] == 64
    struct.pack_into("<ii", data, at, 30000, 30000)
    path.write_bytes(data)
    before = grown_by_bytes()
    assert "larger than allowed" in refusal("a.avi")
    assert grown_by_bytes() - before < 100e6


def test_a_frame_that_claims_a_huge_picture_is_not_decoded(here: Path) -> None:
    path = make_clip(here / "a.avi", frames=2, codec="mjpeg", pix_fmt="yuvj420p")
    path.write_bytes(path.read_bytes().replace(struct.pack(">HH", 48, 64), struct.pack(">HH", 30000, 30000)))
    before = grown_by_bytes()
    assert refusal("a.avi") == "no frame of its video can be decoded: damaged, or larger than allowed"
    assert grown_by_bytes() - before < 100e6


class Listener:
    """A local port that counts who knocks."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.socket.settimeout(0.05)

    def was_called(self) -> bool:
        try:
            self.socket.accept()[0].close()
        except TimeoutError:
            return False
        return True


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    with listener.socket:
        yield listener


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile {target}\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation '
    'id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "pls": "[playlist]\nFile1={target}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("where", ["clip", "file url", "http"])
def test_a_playlist_opens_nothing_else(here: Path, listener: Listener, kind: str, where: str) -> None:
    clip = make_clip(here / "secret.mp4", frames=2)
    target = {"clip": "secret.mp4", "file url": f"file:{clip}", "http": f"{listener.url}/secret.ts"}[where]
    Path("list.mp4").write_text(PLAYLISTS[kind].format(target=target, port=listener.url.rpartition(":")[2]))
    assert refusal("list.mp4").startswith("it points to other files, as a playlist does")
    assert not listener.was_called()


def test_a_movie_with_its_data_in_another_file_does_not_reach_it(here: Path) -> None:
    """QuickTime may refer to media by path; only what is inside counts."""
    path = make_clip(here / "a.mov", frames=2)
    data = path.read_bytes()
    at = data.index(b"url \0\0\0\1")
    path.write_bytes(data[:at] + b"alis\0\0\0\0" + data[at + 8 :])
    with open_source("a.mov") as source:
        assert len(list(source)) == 2


def test_a_pipe_without_a_writer_is_given_up(here: Path) -> None:
    os.mkfifo("pipe.mp4")
    assert refusal("pipe.mp4", SourceConfig(open_timeout_seconds=0.05)) == "nobody wrote to this pipe within 0.05 s"


def feed(path: str, data: bytes) -> threading.Thread:
    def write() -> None:
        with contextlib.suppress(BrokenPipeError):  # the reader may have seen enough
            Path(path).write_bytes(data)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi"])
def test_a_named_pipe_can_be_read(here: Path, name: str) -> None:
    data = make_clip(here / name, codec="mpeg4").read_bytes()
    os.mkfifo("pipe")
    writer = feed("pipe", data)
    with open_source("pipe", SourceConfig(start_seconds=0.5)) as source:
        assert [frame.index for frame in source] == list(range(5, 20))
    writer.join(60)


def test_an_mp4_whose_index_comes_last_cannot_come_through_a_pipe(here: Path) -> None:
    data = make_clip(here / "a.mp4", frames=50).read_bytes()
    index = data.index(b"moov") - 4
    far = struct.pack(">I", 3_000_000) + b"free" + bytes(3_000_000 - 8)  # a short way back is still in the buffer
    os.mkfifo("pipe")
    writer = feed("pipe", data[:index] + far + data[index:])
    assert refusal("pipe").endswith("save it as a file and give its name")
    writer.join(60)


@pytest.fixture
def stdin() -> Iterator[None]:
    """Give standard input back after the test."""
    saved = os.dup(0)
    yield
    os.dup2(saved, 0)
    os.close(saved)


def put_on_stdin(data: bytes) -> threading.Thread:
    read_end, write_end = os.pipe()
    os.dup2(read_end, 0)
    os.close(read_end)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(write_end, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.usefixtures("stdin")
def test_video_on_stdin_is_read(here: Path) -> None:
    writer = put_on_stdin(make_clip(here / "a.mp4", movflags="frag_keyframe+empty_moov").read_bytes())
    with open_source("-") as source:
        frames = list(source)
    writer.join(60)
    assert [frame.index for frame in frames] == list(range(20))
    assert {frame.source for frame in frames} == {"-"}


@pytest.mark.usefixtures("stdin")
def test_an_image_on_stdin_is_read(here: Path) -> None:
    from humandetect.media.images import encode_jpeg

    writer = put_on_stdin(encode_jpeg(picture()))
    with open_source("-") as source:
        assert source.info.kind == "image"
        assert len(list(source)) == 1
    writer.join(60)


@pytest.mark.usefixtures("stdin")
@pytest.mark.parametrize(("kind", "names"), [("TIFF", ["-", "-_page2"]), ("WEBP", ["-", "-"])])
def test_pages_and_animations_on_stdin_are_read_like_those_of_a_file(kind: str, names: list[str]) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48)).save(out, kind, save_all=True, append_images=[Image.new("RGB", (64, 48), "red")])
    writer = put_on_stdin(out.getvalue())
    with open_source("-") as source:
        assert [frame.source for frame in source] == names
        assert source.info.kind == ("image" if kind == "TIFF" else "video")
    writer.join(60)


@pytest.mark.usefixtures("stdin")
@pytest.mark.parametrize(("head", "kind", "count"), [(b"", "video", 3), (b"\xff\xe2\x00\x06MPF\x00", "image", 1)])
def test_jpegs_one_after_the_other_on_stdin_are_a_video_unless_they_are_views_of_one_picture(
    head: bytes, kind: str, count: int
) -> None:
    from humandetect.media.images import encode_jpeg

    noise = encode_jpeg(np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8))
    writer = put_on_stdin((noise[:2] + head + noise[2:]) * 3)
    with open_source("-") as source:
        assert source.info.kind == kind
        assert len(list(source)) == count
    writer.join(60)


@pytest.mark.usefixtures("stdin")
def test_a_file_on_stdin_is_read_like_a_file(here: Path) -> None:
    with make_clip(here / "a.mp4").open("rb") as file:
        os.dup2(file.fileno(), 0)
        with open_source("-") as source:
            assert len(list(source)) == 20


@pytest.mark.usefixtures("stdin")
def test_nothing_on_stdin_says_so() -> None:
    writer = put_on_stdin(b"")
    assert refusal("-") == "nothing came through the pipe"
    writer.join(60)


@pytest.mark.usefixtures("stdin")
def test_stdin_that_is_a_device_or_endless_is_refused() -> None:
    for device in ("/dev/zero", "/dev/null"):
        with Path(device).open("rb") as file:
            os.dup2(file.fileno(), 0)
        assert refusal("-") == "stdin is a device, not a file or a pipe"
    writer = put_on_stdin(bytes(20_000_000))
    assert refusal("-") == "not an image or video that can be read"
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    writer.join(60)


@pytest.mark.usefixtures("stdin")
def test_an_endless_image_is_given_up() -> None:
    writer = put_on_stdin(b"\xff\xd8\xff" + bytes(3_000_000))
    assert refusal("-", SourceConfig(max_megapixels=0.1)) == "longer than any image of 0.1 megapixels"
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    writer.join(60)


def test_an_interrupt_while_libav_reads_is_not_lost(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from humandetect.media.sources import container

    make_clip(here / "a.mp4")

    class Interrupted(container.Input):
        def read(self, size: int) -> bytes:
            self.error = KeyboardInterrupt()
            return b""

    monkeypatch.setattr(container, "Input", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_source("a.mp4")


def test_a_disk_that_fails_in_mid_file_is_an_error_after_the_good_frames(here: Path) -> None:
    fast_start(here / "a.mp4", frames=100, width=320, height=240)
    with open_source("a.mp4") as source:
        data = source._media.bytes  # type: ignore[attr-defined]
        frames = iter(source)
        next(frames)
        data.error = OSError(5, "Input/output error")
        with pytest.raises(SourceError, match=r"'a.mp4' ended after \d+ frames?: reading failed: Input/output error"):
            list(frames)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (IncompleteRead(b""), SourceError, "the server broke off"),
        (TimeoutError("timed out"), NothingSent, "timed out"),
        (OSError(5, "Input/output error"), SourceError, "Input/output error"),
    ],
)
def test_how_a_stream_over_http_broke_is_told(error: Exception, kind: type[SourceError], words: str) -> None:
    def read1(_: int) -> bytes:
        raise error

    data = Input(SimpleNamespace(read1=read1))  # type: ignore[arg-type]
    assert data.read(100) == b""
    with pytest.raises(SourceError, match=f"reading failed: {words}") as told:
        data.check()
    assert type(told.value) is kind


def test_libav_prints_nothing(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = fast_start(here / "a.mp4", frames=50)
    path.write_bytes(path.read_bytes()[:-500] + bytes(200))
    with open_source("a.mp4") as source:
        list(source)
    assert capfd.readouterr() == ("", "")
