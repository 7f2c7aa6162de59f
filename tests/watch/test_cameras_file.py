from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from humandetect.config import WatchConfig
from humandetect.config.counting import CountingConfig
from humandetect.config.delivery import DeliveryConfig
from humandetect.config.recording import RecordConfig
from humandetect.errors import UsageError
from humandetect.watch.cameras_file import MOST_CAMERAS, read_cameras

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.config.watch import CameraConfig


def read(folder: Path, text: str, **options: object) -> list[CameraConfig]:
    path = folder / "cameras.toml"
    path.write_text(text, encoding="utf-8")
    return read_cameras(WatchConfig((str(path),), **options))  # type: ignore[arg-type]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


def given(*cameras: str, **options: object) -> list[CameraConfig]:
    return read_cameras(WatchConfig(cameras, **options))  # type: ignore[arg-type]


def test_a_camera_is_its_name_and_its_address() -> None:
    door, yard = given("door=rtsp://cam/a?b=c", "yard=http://other/x.mjpg")
    assert (door.name, door.url) == ("door", "rtsp://cam/a?b=c")
    assert (yard.name, yard.url, yard.rate) == ("yard", "http://other/x.mjpg", 2.0)


def test_a_camera_of_this_machine_is_its_number_or_its_device(tmp_path: Path) -> None:
    assert [camera.url for camera in given("desk=0", "door=/dev/video2")] == ["0", "/dev/video2"]
    assert read(tmp_path, '[camera.desk]\nurl = "/dev/video0"')[0].url == "/dev/video0"


def test_what_the_file_says_of_a_camera_goes_before_the_options(tmp_path: Path) -> None:
    text = """
        [camera.door]
        url = "rtsp://cam/a"
        rate = 5
        decode = "key"
        gate = "motion"
        transport = "udp"
        anonymize = "fill"
        scene = "door.scene.toml"
        size = "384x640"
        [camera.yard]
        url = "rtsp://cam/b"
    """
    (tmp_path / "door.scene.toml").touch()
    counting = CountingConfig(scene=tmp_path / "all.toml")
    door, yard = read(tmp_path, text, rate=3.0, rtsp_transport="tcp", counting=counting)
    assert (door.rate, door.decode, door.gate, door.transport, door.anonymize) == (5, "key", "motion", "udp", "fill")
    assert (door.scene, door.size) == (tmp_path / "door.scene.toml", "384x640")
    assert (yard.rate, yard.decode, yard.gate, yard.transport, yard.anonymize) == (3, "auto", "off", "tcp", None)
    assert (yard.scene, yard.size) == (tmp_path / "all.toml", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cameras.toml:1: there is no camera"),
        ("[camera]", "cameras.toml:1: there is no camera"),
        ("camera = 3", "cameras.toml:1: there is no camera"),
        ('[cameras.door]\nurl = "rtsp://a"', "cameras.toml:1: there is no 'cameras' here: did you mean 'camera'?"),
        ('\n[camera]\ndoor = "rtsp://a"', "cameras.toml:3: write a table: [camera.door]"),
        ("[camera.door]\nrate = 2", "cameras.toml:1: camera 'door' needs its address"),
        ("[camera.door]\nurl = 5", "cameras.toml:2: camera 'door' needs its address"),
        ('[camera.door]\nurl = "cam/stream"', "cameras.toml:2: camera 'door' needs its address"),
        ('[camera."a/b"]\nurl = "rtsp://a"', "cameras.toml:1: 'a/b' is no name of a camera"),
        ('[camera.".."]\nurl = "rtsp://a"', "cameras.toml:1: '..' is no name of a camera"),
        ('[camera.door]\nurl = "rtsp://a"\nrat = 2', "cameras.toml:3: there is no 'rat' here: did you mean 'rate'?"),
        ('[camera.door]\nurl = "rtsp://a"\nrate = 500', "cameras.toml:3: rate"),
        (
            '[camera.door]\nurl = "rtsp://a"\nsize = "huge"',
            "cameras.toml:3: the size is small, default, far, or height",
        ),
        ('[camera.door]\nurl = "rtsp://a"\nrate = "often"', "cameras.toml:3: rate"),
        ('[camera.door]\nurl = "rtsp://a"\nrate = true', "cameras.toml:3: rate"),
        ('[camera.door]\nurl = "rtsp://a"\n\ndecode = "some"', "cameras.toml:4: decode"),
        ('[camera.door]\nurl = "rtsp://a"\ngate = "open"', "cameras.toml:3: gate"),
        ('[camera.door]\nurl = "rtsp://a"\ntransport = "pigeon"', "cameras.toml:3: transport"),
        ('[camera.door]\nurl = "rtsp://a"\nanonymize = "hat"', "cameras.toml:3: anonymize"),
        ('[camera.door]\nurl = "rtsp://a"\nscene = 4', "cameras.toml:3: scene"),
        (
            '[camera.door]\nurl = "rtsp://a"\nscene = "~nobody-here/a.toml"',
            "cameras.toml:3: there is no scene in '~nobody-here/a.toml'",
        ),
        (
            '[camera.door]\nurl = "rtsp://a"\nscene = "no.toml"',
            "cameras.toml:3: there is no scene in 'no.toml'",
        ),
        ('[camera.door]\nurl = "rtsp://a"\nrecord = "event"', "cameras.toml:3: record is 'event'; write"),
        ('[camera.door]\nurl = "rtsp://a"\nrecord = "always"', "cameras.toml:3: there is no folder for recordings"),
        (
            '[camera.a]\nurl = "rtsp://a"\n[camera.A]\nurl = "rtsp://b"',
            "cameras.toml:3: two cameras are called 'a' and 'A'",
        ),
        ('[camera.door]\nrate = 2\nurl = "ftp://a"', "cameras.toml:3: no address that can be read: those begin with"),
        ('[camera.door]\nurl = "rtsp://"', "cameras.toml:2: it names no host"),
        ('[camera.door]\nurl = "rtsp://a:99999/"', "cameras.toml:2: its port 99999 is no number from 1 to"),
        ('[camera.door]\nurl = "rtsp://u:pa/ss@a"', "cameras.toml:2: an @ stands behind a / ? or #"),
        ('[camera.door]\nurl = "rtsp://${NO_SUCH}@a"', "cameras.toml:2: the environment variable 'NO_SUCH'"),
        ('[camera.door]\nurl = "rtsp://a', "cameras.toml is no TOML"),
    ],
)
def test_what_the_file_says_wrong_is_refused_with_its_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text).startswith(said)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the cameras in '.*none.toml': No such file"):
        given(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        given(str(tmp_path / "bytes.toml"))


@pytest.mark.parametrize(
    ("cameras", "said"),
    [
        (("rtsp://cam/a",), "a camera is NAME=URL"),
        (("door=cam",), "a camera is NAME=URL"),
        (("a b=rtsp://cam",), "'a b' is no name of a camera: letters"),
        (("rtsp://cam/?a=rtsp://b",), "a camera is NAME=URL"),
        (("door=rtsp://a", "door=rtsp://b"), "two cameras are called 'door'"),
        (("door=rtsp://a", "Door=rtsp://b"), "two cameras are called 'door' and 'Door'"),
        (("door=ftp://a",), "door: no address that can be read: those begin with http, https, rtsp, rtsps"),
        (("door=rtsp://:554/a",), "door: it names no host"),
        (("a.toml", "door=rtsp://b"), "one file of cameras, or NAME=URL of each"),
        (("a.toml", "b.toml"), "one file of cameras, or NAME=URL of each"),
        (tuple(f"c{number}=rtsp://a" for number in range(MOST_CAMERAS + 1)), "257 cameras are more than the 256"),
    ],
)
def test_what_is_given_wrong_is_refused(cameras: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        given(*cameras)


@pytest.mark.parametrize("twins", [("a.b", "a_b"), ("tür", "tfcr")])
def test_cameras_that_home_assistant_cannot_tell_apart_are_refused_where_it_is_told_of_them(
    tmp_path: Path, twins: tuple[str, str]
) -> None:
    pairs = [f"{name}=rtsp://a" for name in twins]
    told = {"delivery": DeliveryConfig(mqtt="mqtt://broker:1883")}
    assert [camera.name for camera in given(*pairs)] == [*twins]
    with pytest.raises(UsageError, match=f"two cameras are called '{twins[0]}' and '{twins[1]}', which Home Assistant"):
        given(*pairs, **told)
    file = "".join(f'[camera."{name}"]\nurl = "rtsp://a"\n' for name in twins)
    with pytest.raises(UsageError, match=r"cameras\.toml:3: two cameras are called"):
        read(tmp_path, file, **told)


def test_home_assistant_tells_cameras_apart_whatever_they_are_written_in() -> None:
    told = {"delivery": DeliveryConfig(mqtt="mqtt://broker:1883")}
    names = ["tür", "tör", "玄関", "裏庭"]
    assert [camera.name for camera in given(*(f"{name}=rtsp://a" for name in names), **told)] == names


def test_a_camera_that_would_be_recorded_with_people_is_refused_with_its_line(tmp_path: Path) -> None:
    text = '[camera.door]\nurl = "rtsp://a"\n[camera.yard]\nurl = "rtsp://b"\nanonymize = "fill"'
    with pytest.raises(UsageError, match=r"cameras\.toml:3: camera 'yard' is recorded as it comes"):
        read(tmp_path, text, recording=RecordConfig(record=tmp_path))


def test_what_is_said_of_recordings_needs_a_folder_for_them() -> None:
    with pytest.raises(UsageError, match="nothing is recorded: give --record DIR"):
        WatchConfig(("door=rtsp://a",), recording=RecordConfig(record_mode="events"))


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_USER", "admin")
    monkeypatch.setenv("DOOR_PASSWORD", "s3cret")
    (door,) = read(tmp_path, '[camera.door]\nurl = "rtsp://${DOOR_USER}:${DOOR_PASSWORD}@cam/a"')
    assert door.url == "rtsp://admin:s3cret@cam/a"
    assert given("door=rtsp://${DOOR_USER}:${DOOR_PASSWORD}@cam/a")[0].url == door.url


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "s3cret")
    url = "rtsp://admin:s3cret@cam/a"
    config = WatchConfig((f"door={url}",))
    refusals = [
        refusal(tmp_path, f'[camera.door]\nurl = "{url}"\nrate = 500'),
        refusal(tmp_path, f'[camera.door]\nurl = "{url}"\nurls = "{url}"'),
        refusal(tmp_path, f'[camera]\ndoor = "{url}"'),
        refusal(tmp_path, f'[camera.door]\nurl = ["{url}"]'),
        refusal(tmp_path, f'[camera.door]\nurl = "${{NO_SUCH}}{url}"'),
    ]
    for wrong in (url, f"a b={url}"):
        with pytest.raises(UsageError) as caught:
            given(wrong)
        refusals.append(str(caught.value))
    assert not any("s3cret" in text for text in (*refusals, repr(config), repr(read_cameras(config))))
