"""Nothing of an address is shown unless it is known to be harmless."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import av
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from humandetect.addresses import (
    address_trouble,
    address_words,
    has_doubtful_host,
    is_object_store,
    looks_like_address,
    shown_address,
    without_secrets,
)
from humandetect.config import BenchConfig, DetectConfig, FeedConfig
from humandetect.detection.detector import Detector
from humandetect.errors import UsageError
from humandetect.pipeline.run import run
from tests.command_line import invoke
from tests.fakes import FakeEngine
from tests.media.sources.test_live import Motion, serving

SECRETS = st.from_regex(r"[A-Za-z0-9]{4,24}", fullmatch=True).filter(
    lambda text: shown_address(f"http://h/{text}") != f"http://h/{text}"
)
PLACES = [
    "rtsp://{}@cam.example/live",
    "rtsp://admin:{}@cam.example:554/live",
    "RTSP://admin:{}@cam.example/live",
    "rtsp://admin:{}@[fe80::1]:554/live",
    "rtsp://admin:{}/1@cam.example/live",
    "rtsp://admin:{}#1@cam.example/live",
    "rtsp://admin:{}?1@cam.example/live",
    "rtsp://admin:x\\{}@cam.example/live",
    "rtsp://admin:x/{}@cam.example/live",
    "rtsp://admin:x@{}@cam.example/live",
    "rtsp://admin:12/{}%40cam.example/live",
    "rtsp://admin:12/{}%2540cam.example/live",
    "rtsp://admin:%2F{}%23@cam.example/live",
    "rtsp://admin:{}:cam.example/live",
    "rtsp:admin:{}@cam.example/live",
    "rtsp:/admin:{}@cam.example/live",
    "rtsp:///admin:{}@cam.example/live",
    "admin:{}@cam.example/live",
    "cam.example/live?password={}",
    "rtsp://cam.example/user=admin_password={}_channel=1_stream=0.sdp?real_stream",
    "rtsp://cam.example/user=admin&password={}&channel=1",
    "rtsp://cam.example/live/{}/ch1",
    "rtsp://cam.example/live/{}.mp4",
    "rtsp://cam.example/live;{}",
    "rtsp://cam.example/ch1-{}-main",
    "rtsp://cam.example/{}=1/live",
    "rtsp://cam.example/cam/realmonitor?channel=1&subtype=0&authbasic={}",
    "http://cam.example/videostream.cgi?loginuse=admin&loginpas={}",
    "http://cam.example/mjpegstream.cgi?-usr=admin&-pwd={}",
    "http://cam.example/live?access_token={}",
    "http://cam.example/live?channel={}",
    "http://cam.example/live?{}",
    "http://cam.example/live?{}=1",
    "http://cam.example/live?a=b;{}",
    "http://cam.example/live?channel=1?{}",
    "http://cam.example/live#{}",
    "http://cam.example/live#channel={}",
    "foo://admin:{}@cam.example/live",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=25)
@given(secret=SECRETS)
@example(secret="S3cret")  # noqa: S106
@example(secret="123456")  # noqa: S106
def test_no_secret_comes_out_wherever_it_stands(place: str, secret: str) -> None:
    assume(secret not in place)
    address = place.format(secret)
    assert looks_like_address(address)
    shown = shown_address(address)
    assert secret not in shown
    assert secret not in address_words(shown)
    assert secret not in without_secrets(f"asked {place.format(secret)}.") or "://" not in place


ODD = st.text("abXY79:/?#@%&=;._-\\ '\"…é", max_size=12)


@given(before=ODD, after=ODD, secret=SECRETS, place=st.sampled_from(PLACES))
def test_odd_characters_around_a_secret_do_not_bring_it_out(before: str, after: str, secret: str, place: str) -> None:
    assume(secret not in place)
    # A letter or digit beside it would make another word of it.
    around = re.sub(r"\w$", "", before), re.sub(r"^\w", "", after)
    assert secret not in shown_address(place.format(secret.join(around)))


@given(address=st.one_of(st.text(), st.builds(str.format, st.sampled_from(PLACES), ODD)))
def test_what_is_shown_stays_so_when_it_is_shown_again(address: str) -> None:
    shown = shown_address(address)
    assert shown_address(shown) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:s3cret@cam:554/live", "rtsp://…@cam:554/live"),
        ("rtsp://admin:s3:c@ret@cam/live", "rtsp://…@cam/live"),
        ("rtsp://admin:s3cret/1@cam/live", "rtsp://…"),
        ("http://cam/v.cgi?user=a&pwd=s3cret&channel=2", "http://cam/v.cgi?…&channel=2"),
        ("http://host/my-party.mp4?Token=s3cret", "http://host/….mp4?…"),
        ("rtsp://h/user=a_password=s_channel=1_stream=0.sdp?real_stream", "rtsp://h/…_channel=1_stream=0.sdp?real_stream"),
        ("RTSP:admin:s3cret@cam", "RTSP://…"),
        ("admin:s3cret@cam", "…"),
    ],
)  # fmt: skip
def test_the_rest_is_left_out(address: str, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://[::1]:8554/live",
        "rtsp://192.168.1.5:554/Streaming/Channels/101",
        "rtsp://192.168.1.5/h264/ch1/main/av_stream",
        "rtsp://192.168.1.5/cam/realmonitor?channel=2&subtype=1",
        "rtsp://192.168.1.5/h264Preview_01_main",
        "rtsp://192.168.1.5/onvif1",
        "rtsp://192.168.1.5/unicast/c1/s0/live",
        "http://192.168.1.5/axis-media/media.amp?videocodec=h264&camera=1",
        "http://192.168.1.5/cgi-bin/mjpg/video.cgi?channel=1",
        "http://127.0.0.1:8000",
        "https://detect.example/api/v1",
        "s3://bucket/2026-11-26/front door.mp4",
    ],
)
def test_what_tells_cameras_apart_is_shown(address: str) -> None:
    assert shown_address(address) == address


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("s3://bucket/a", True),
        ("GS://bucket", True),
        ("s3://", False),
        ("s3:bucket", False),
        ("s3://key:pw@bucket/a", False),
        ("http://host/a", False),
    ],
)
def test_an_object_store_is_told_by_scheme_and_bucket(address: str, is_one: bool) -> None:
    assert is_object_store(address) == is_one


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtsp://host:554/live/main?x=1", "main"),
        ("rtsp://admin:pw@host/cam/realmonitor?channel=2&subtype=1", "realmonitor_channel_2_subtype_1"),
        ("rtsp://admin:pw@host/user=a_password=b_channel=1.sdp", "channel_1"),
        ("http://host", "host"),
        ("http://host/holiday.mp4", "host"),
        ("rtsp://[::1]:8554/s3cret", "1_8554"),
    ],
)
def test_file_names_are_made_of_harmless_words(address: str, words: str) -> None:
    assert address_words(shown_address(address)) == words


@pytest.mark.parametrize(
    "name", ["a@b.mp4", "C:\\x", "C:\\a@b.mp4", "what?.mp4", "clip#2.mkv", "a:b.mp4", "x=1.png", "-"]
)
def test_names_of_files_are_no_addresses(name: str) -> None:
    assert not looks_like_address(name)


@pytest.mark.parametrize(
    ("address", "doubtful"), [("rtsp://a:b/c@h/live", True), ("rtsp://a:b@h/live", False), ("rtsp://h/%40", False)]
)
def test_an_at_sign_behind_the_host_makes_it_doubtful(address: str, doubtful: bool) -> None:
    assert has_doubtful_host(address) is doubtful


@pytest.mark.parametrize(
    ("address", "trouble"),
    [
        ("rtsp://u:p[1@cam/s", "in a user name or password write [ and ] as %5B and %5D"),
        ("rtsp://[fe80/s", "its host in [ ] is no IPv6 address"),
        ("rtsp://cam\u2100/s", "its host is no name"),
        ("rtsp://:554/s", "it names no host"),
        ("rtsp://u:p@cam:0/s", "its port 0 is no number from 1 to 65535"),
        ("rtsp://cam:99999/s", "its port 99999 is no number from 1 to 65535"),
        ("rtsp://user:password", "its port is no number from 1 to 65535"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_password(address: str, trouble: str) -> None:
    assert address_trouble(address) == f"{trouble}: rtsp://HOST:PORT/… is expected"
    assert address_trouble("rtsp://u:p%5B1@cam:554/s") is None


def test_what_an_address_should_look_like_is_not_hidden_as_if_it_were_one() -> None:
    expected = "rtsp://HOST:PORT/… is expected"
    assert without_secrets(expected) == expected


def test_addresses_within_a_text_are_shown_as_they_may_be() -> None:
    text = "no 'rtsp://a:pw@cam/live', (http://h/tok3n), nor http://127.0.0.1:8000: https:// there?"
    assert without_secrets(text) == "no 'rtsp://…@cam/live', (http://h/…), nor http://127.0.0.1:8000: https:// there?"


def test_a_refused_address_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="urls must be a tuple") as refused:
        BenchConfig(urls="http://me:sesame@host")  # type: ignore[arg-type]
    assert "sesame" not in str(refused.value)


def test_configs_are_shown_without_addresses() -> None:
    address = "rtsp://admin:S3cret@cam/live"
    for config in (DetectConfig((address,)), FeedConfig((address,), url=address), BenchConfig(urls=(address,))):
        assert "S3cret" not in repr(config)


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("place", [place for place in PLACES if "cam.example" in place])
def test_no_command_tells_a_secret(
    place: str, closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = (
        place.format("S3cret")
        .replace("cam.example:554", "cam.example")
        .replace("cam.example", f"127.0.0.1:{closed_port}")
    )
    done = invoke("detect", address, "--json", "--debug", "--results", "results.csv")
    av.logging.set_level(None)
    assert done.returncode == 1
    assert "error: cannot read" in done.stderr
    assert "S3cret" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


PATHS = ["/live?access_token={}", "/user=admin_password={}_channel=1", "/{}/live", "/live#{}"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_that_a_run_writes_holds_a_secret(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(Motion) as url:
        cameras = tuple(
            f"{url.replace('//', '//admin:S3cret@')}{path.format(secret)}" for secret in ("S3cret", "0S3cret")
        )
        config = DetectConfig(cameras, Path("out"), results=("r.jsonl", "r.csv", "r.coco.json"), crops=Path("crops"))
        summary = run(config, detector=Detector(FakeEngine()))
    assert summary.frames
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not any("S3cret" in str(file) or b"S3cret" in file.read_bytes() for file in files)
    assert "S3cret" not in json.dumps(summary.as_dict())
    names = {json.loads(line)["source"] for line in (tmp_path / "r.jsonl").read_text().splitlines()}
    first, second = sorted(names)
    assert second == f"{first} #2"
    assert len(list((tmp_path / "out").iterdir())) == 2
