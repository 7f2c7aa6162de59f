"""Whatever `detect` reads as a camera is watched, and none of it takes the machine's memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from itertools import islice
from typing import TYPE_CHECKING
from unittest import mock

import cv2
import pytest
import trustme

from humandetect.media.images import encode_jpeg
from humandetect.media.sources import snapshots
from humandetect.watch.connection import Connection, Lost, ReaderSettings
from tests.builders import make_clip, picture
from tests.certificates import issued
from tests.media.sources.test_expand import FakeCapture
from tests.media.sources.test_live import Files, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from humandetect.config.watch import Decode


SETTINGS = ReaderSettings(rate=20, watchdog_seconds=30.0, open_seconds=30.0)
JPEG = encode_jpeg(picture())
MOTION, SINGLE = "multipart/x-mixed-replace;boundary=frame", "image/jpeg"
HEAD = b"Content-Type: image/jpeg\r\n"
PART = b"--frame\r\n%sContent-Length: %d\r\n\r\n%s\r\n" % (HEAD, len(JPEG), JPEG)


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def sending(
    *begin: bytes, then: bytes = b"", kind: str = "multipart/x-mixed-replace;boundary=frame",
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[str]:  # fmt: skip
    """Serve what a camera sends, and `then` again and again for as long as somebody takes it."""

    class Camera(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            with suppress(OSError):
                for piece in begin:
                    self.wfile.write(piece)
                while then:
                    self.wfile.write(then)

    with serving(Camera, certificate=certificate) as url:
        yield f"{url}/stream"


def shown(url: str, *, pictures: int = 3) -> list[tuple[int, ...]]:
    """Return the shapes of the first pictures of a camera."""
    with Connection(url, SETTINGS) as connection:
        found = islice(filter(None, connection.pictures()), pictures)
        return [one.image().shape for one in found]


def lost(url: str, settings: ReaderSettings = SETTINGS) -> Lost:
    with pytest.raises(Lost) as told, Connection(url, settings) as connection:
        list(connection.pictures())
    return told.value


@pytest.mark.parametrize(
    "begin",
    [b"", b"\r\n", HEAD + b"\r\n" + JPEG + b"\r\n", JPEG + b"\r\n"],
    ids=["as it should", "after a blank line", "without its boundary", "without anything"],
)
def test_motion_jpeg_is_watched_however_it_begins(begin: bytes) -> None:
    with sending(begin, *[PART] * 20) as url:
        assert shown(url) == [(48, 64, 3)] * 3


@pytest.mark.parametrize(
    ("boundary", "said_bytes"),
    [
        ("--frame", len(JPEG) // 2),
        ("--frame", len(JPEG) * 3 // 2),
        ("--frame", 10**12),
        ("--frame", None),
        ("--", len(JPEG) // 2),
        ("--another", len(JPEG) * 3 // 2),
    ],
)
def test_motion_jpeg_is_whole_whatever_is_said_of_its_lengths_and_its_boundary(
    boundary: str, said_bytes: int | None
) -> None:
    length = f"Content-Length: {said_bytes}\r\n" if said_bytes else ""
    part = f"{boundary}\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + JPEG + b"\r\n"
    with sending(*[part] * 20) as url, Connection(url, SETTINGS) as connection:
        pictures = [one.image() for one in islice(filter(None, connection.pictures()), 5)]
    assert all((one == pictures[0]).all() for one in pictures)
    assert abs(pictures[0].astype(int) - picture()).mean() < 5
    assert connection.skipped.total() == 0


@pytest.mark.parametrize(("first", "then"), [("h264", "hevc"), ("hevc", "h264")])
def test_a_camera_that_changes_its_codec_in_band_is_connected_to_anew(first: str, then: str, tmp_path: Path) -> None:
    codecs = {"h264": "libx264", "hevc": "libx265"}
    clips = [make_clip(tmp_path / f"{name}.ts", codec=codecs[name], frames=40) for name in (first, then)]
    with sending(*(clip.read_bytes() for clip in clips), kind="video/mp2t") as url:
        told = lost(url)
    assert (told.kind, str(told)) == ("closed", f"the camera sends {then} now, and no more {first}")


BASIC, MD5 = 'Basic realm="cam"', 'Digest realm="cam", nonce="1"'


@pytest.mark.parametrize(
    ("kind", "challenges"),
    [
        (MOTION, [f"{MD5}, algorithm=SHA-256", MD5]),
        (SINGLE, [f"{MD5}, algorithm=SHA-256", MD5]),
        (MOTION, [BASIC, MD5]),
        (SINGLE, [BASIC, MD5]),
        (MOTION, [f'{MD5}, algorithm=MD5-sess, qop="auth"']),
    ],
    ids=[
        "a new way first",
        "a new way first, a lone one",
        "another way first",
        "another way first, a lone one",
        "libav's",
    ],
)
def test_a_camera_is_told_its_password_in_one_of_the_ways_that_it_takes(kind: str, challenges: list[str]) -> None:
    class Guarded(Quiet):
        def do_GET(self) -> None:
            told = self.headers["Authorization"] or ""
            welcome = told.startswith("Digest") and "SHA" not in told
            self.send_response(200 if welcome else 401)
            for challenge in challenges:
                self.send_header("WWW-Authenticate", challenge)
            self.send_header("Content-Type", kind)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write((JPEG if kind == SINGLE else PART * 20) * welcome)

    with serving(Guarded) as url:
        assert shown(url.replace("://", "://u:p@")) == [(48, 64, 3)] * 3


@pytest.mark.parametrize("begin", [b"", HEAD + b"\r\n" + JPEG + b"\r\n"], ids=["as it should", "without its boundary"])
def test_a_camera_for_one_client_is_watched_once_it_has_noticed_that_we_left(begin: bytes) -> None:
    busy = threading.Lock()
    ended = threading.Event()

    class Single(Quiet):
        def do_GET(self) -> None:
            if not busy.acquire(blocking=False):
                self.send_error(503)
                return
            with suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
                self.end_headers()
                self.wfile.write(begin)
                while not ended.wait(0.05):
                    self.wfile.write(PART * 10)
            busy.release()

    with serving(Single) as url:
        assert shown(url) == [(48, 64, 3)] * 3
        ended.set()


def test_cameras_that_sign_their_certificates_themselves_are_watched(tmp_path: Path) -> None:
    """As libav takes them: no camera has a certificate that anybody else trusts."""
    certificate = issued(trustme.CA(), tmp_path)
    with sending(*[PART] * 20, certificate=certificate) as url:
        assert url.startswith("https://")
        assert shown(url) == [(48, 64, 3)] * 3


def test_a_camera_with_nothing_but_a_picture_is_asked_for_it_again_and_again() -> None:
    with sending(JPEG, kind="image/jpeg") as url:
        assert shown(url) == [(48, 64, 3)] * 3


@contextmanager
def answering(*answers: int) -> Iterator[tuple[str, list[int]]]:
    """Give a picture with these answers, one after the other and then the last again; also those that were given."""
    given: list[int] = []

    class Single(Quiet):
        def do_GET(self) -> None:
            mine = not self.headers["User-Agent"].startswith("Lavf")
            answer = answers[min(len(given), len(answers) - 1)] if mine else 200
            self.send_response(answer)
            self.send_header("Content-Type", "image/jpeg")
            self.end_headers()
            self.wfile.write(JPEG)
            given.extend([answer] * mine)

    with serving(Single) as url:
        yield f"{url}/snap.jpg", given


def test_a_camera_with_nothing_but_a_picture_may_fail_to_give_it_now_and_then() -> None:
    with answering(200, 200, 503, 200, 503, 503, 200) as (url, given):
        assert shown(url) == [(48, 64, 3)] * 3
    assert 503 in given


def test_a_picture_that_is_given_no_more_is_missed_after_the_time_of_the_watchdog() -> None:
    with answering(200, 200, 200, 200, 503) as (url, given):
        told = lost(url, ReaderSettings(rate=20, watchdog_seconds=0.3))
    assert (told.kind, str(told)) == ("silent", "no picture for 0.3 s: the image cannot be fetched: HTTP 503")
    assert given.count(503) >= 2


def test_a_stream_of_packets_over_http_is_watched(tmp_path: Path) -> None:
    make_clip(tmp_path / "live.ts", frames=60)
    with serving(partial(Files, directory=str(tmp_path))) as url:
        assert shown(f"{url}/live.ts") == [(48, 64, 3)] * 3


@pytest.mark.parametrize("url", ["0", "/dev/video0"])
def test_a_camera_of_this_machine_is_watched(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    assert shown(url) == [(48, 64, 3)] * 3


@pytest.mark.parametrize("decode", ["auto", "all"])
def test_a_camera_of_this_machine_encodes_no_more_than_is_looked_at_or_wanted(
    decode: Decode, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = mock.Mock(wraps=encode_jpeg)
    monkeypatch.setattr(snapshots, "encode_jpeg", encoded)
    taken = mock.Mock(wraps=FakeCapture(0).read)
    monkeypatch.setattr(FakeCapture, "read", taken)
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    with Connection("0", replace(SETTINGS, decode=decode)) as connection:
        assert len(list(islice(filter(None, connection.pictures()), 3))) == 3
    first = 1  # tells the size
    skipped = taken.call_count - first - encoded.call_count
    assert skipped == 0 if decode == "all" else skipped > 10


def test_what_is_no_camera_is_unreachable_and_says_what_is_there() -> None:
    with sending(b"ffconcat version 1.0\nfile a.ts\n", kind="text/plain") as url:
        told = lost(url)
    assert (told.kind, "playlist" in str(told)) == ("unreachable", True)
    assert "begin with http, " in str(lost("ftp://127.0.0.1:9"))


@pytest.mark.parametrize("begin", [b"", PART * 20], ids=["the first", "a later one"])
def test_a_picture_that_never_ends_is_given_up_by_its_bytes(begin: bytes) -> None:
    with sending(begin, b"--frame\r\n" + HEAD + b"\r\n", then=bytes(1_000_000)) as url:
        told = lost(url, ReaderSettings(watchdog_seconds=60, open_seconds=60))
    assert (told.kind, "a picture of more than 32 MB" in str(told)) == ("unreadable", True)


def test_a_lone_picture_that_never_ends_is_given_up_by_its_bytes() -> None:
    with sending(JPEG[:20], then=bytes(1_000_000), kind="image/jpeg") as url:
        told = lost(url, ReaderSettings(watchdog_seconds=60, open_seconds=60))
    assert (told.kind, "a picture of more than 32 MB" in str(told)) == ("unreadable", True)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_a_camera_may_give_its_picture_in_another_format(kind: str) -> None:
    data = cv2.imencode(f".{kind}", picture())[1].tobytes()
    with sending(data, kind=f"image/{kind}") as url:
        assert shown(url) == [(48, 64, 3)] * 3


@pytest.mark.parametrize(
    ("kind", "begin", "text"),
    [
        (MOTION, PART * 20, "no picture for 0.3 s"),
        (MOTION, b"", "no picture for 0.3 s"),
        (SINGLE, JPEG[:100], "no picture within 0.3 s"),
        (SINGLE, b"", "no picture within 0.3 s"),
    ],
    ids=["a later part", "its first bytes", "a lone one", "the head of a lone one"],
)
def test_a_picture_that_comes_drop_by_drop_is_given_up_by_its_time(kind: str, begin: bytes, text: str) -> None:
    ended = threading.Event()

    class Dripping(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            with suppress(OSError):
                if self.headers["User-Agent"].startswith("Lavf"):  # libav, which bounds what drips by itself
                    self.wfile.write(PART * 20 if kind == MOTION else JPEG)
                    return
                self.wfile.write(begin)
                while not ended.wait(0.02):
                    self.wfile.write(b"-")

    with serving(Dripping) as url:
        told = lost(f"{url}/stream", ReaderSettings(watchdog_seconds=0.3))
        ended.set()
    assert (told.kind, str(told)) == ("silent", text)


def test_what_a_camera_says_of_its_end_is_the_reason() -> None:
    with sending(*[PART] * 3) as url:
        told = lost(url)
    assert (told.kind, str(told)) == ("closed", "the camera ended the stream")
