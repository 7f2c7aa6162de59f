from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, cast
from unittest import mock

import pytest
from rich.table import Table

from humandetect.config.watch import CameraConfig
from humandetect.cpus import usable_cpus
from humandetect.detection.detector import Detector
from humandetect.errors import SourceError
from humandetect.watch import check
from humandetect.watch.check import Checked, check_cameras, measure_detection, usable_cores
from humandetect.watch.connection import CameraPicture, ReaderSettings
from humandetect.watch.openings import OPENINGS_AT_ONCE
from humandetect.watch.table import check_table
from tests.fakes import SizesEngine
from tests.watch.rtsp_farm import farm_in_thread

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from humandetect.config.detect import RtspTransport
    from humandetect.config.watch import Decode
    from tests.watch.rtsp_farm import RunningFarm

SETTINGS = ReaderSettings(decode="all")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LOOK_SECONDS", 1.3)


def camera(
    name: str, url: str, *, rate: float = 2.0, decode: Decode = "all", transport: RtspTransport = "auto",
    size: str | None = None,
) -> CameraConfig:  # fmt: skip
    return CameraConfig(name, url, rate=rate, decode=decode, gate="off", transport=transport, size=size)


def test_it_says_what_a_camera_sends(farm: RunningFarm) -> None:
    (door,) = check_cameras([camera("door", farm.url("door"))], SETTINGS)
    assert (door.problem, door.size, door.codec) == (None, (320, 240), "h264")
    assert door.rate == pytest.approx(10, abs=4)
    assert door.key_seconds == pytest.approx(0.5, abs=0.3)
    assert door.decode_ms is not None
    assert 0 < door.decode_ms < 50


def test_it_says_the_size_of_pictures_though_sound_came_last(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = mock.MagicMock()
    picture = mock.Mock(size=(320, 240), arrived_seconds=1.0)
    connected.return_value.__enter__.return_value.pictures.return_value = [picture, None]
    monkeypatch.setattr(check, "Connection", connected)
    (door,) = check_cameras([camera("door", "rtsp://a")], SETTINGS)
    assert (door.problem, door.size) == (None, (320, 240))


def test_one_without_an_answer_says_why_and_the_others_are_looked_at_in_their_order(clip: Path) -> None:
    with farm_in_thread({"door": str(clip), "yard": str(clip)}, auth="user:right") as farm:
        wanted = [
            camera("wrong", farm.url("door", login="user:s3cret")),
            camera("yard", farm.url("yard", login="user:right")),
        ]
        wrong, yard = check_cameras(wanted, SETTINGS)
    assert wrong.problem is not None
    assert "401" in wrong.problem
    assert "s3cret" not in wrong.problem
    assert wrong.cores == 0
    assert (yard.problem, yard.size) == (None, (320, 240))


def test_who_ends_it_does_not_wait_for_cameras_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked, left = threading.Event(), list[str](), mock.Mock()

    def look(camera: CameraConfig, _: ReaderSettings) -> Checked:
        asked.append(camera.name)
        if camera.name != "first":
            answered.wait(30)
        return Checked(camera, None)

    monkeypatch.setattr(check, "_look", look)
    monkeypatch.setattr(check, "leave_behind", left)
    cameras = check_cameras([camera(name, "rtsp://a") for name in ("first", *"abcdefgh")], SETTINGS)
    next(iter(cameras))
    began = time.monotonic()
    cast("Generator[Checked]", cameras).close()
    assert time.monotonic() - began < 5
    answered.set()
    assert len(asked) <= 1 + OPENINGS_AT_ONCE
    left.assert_called_once_with()


def test_a_camera_takes_what_its_pictures_and_its_looks_cost() -> None:
    one = Checked(
        camera("door", "rtsp://a", rate=2), None, (1280, 720), "h264", rate=10.0, decode_ms=2.0, detect_ms=15.0
    )
    assert one.cores == pytest.approx((10 * 2 + 2 * 15) / 1000)


@pytest.mark.parametrize(
    ("decode", "looks", "decoded"),
    [("all", 2, 10), ("key", 2, 1), ("auto", 2, 10), ("auto", 1, 1)],
)
def test_a_camera_of_which_only_key_frames_are_decoded_takes_less(decode: Decode, looks: float, decoded: float) -> None:
    wanted = camera("door", "rtsp://a", rate=looks, decode=decode)
    one = Checked(wanted, None, (1280, 720), "h264", rate=10.0, key_seconds=1.0, decode_ms=2.0, detect_ms=15.0)
    assert one.cores == pytest.approx((decoded * 2 + looks * 15) / 1000)


def test_a_camera_is_opened_as_it_will_be(farm: RunningFarm) -> None:
    (door,) = check_cameras([camera("door", farm.url("door"), transport="udp")], SETTINGS)
    assert door.problem is not None


def test_a_look_is_measured_once_for_each_size_of_pictures_and_each_that_cameras_want() -> None:
    engine = SizesEngine()
    with Detector(engine) as detector:
        checked = measure_detection(
            detector,
            [
                Checked(camera("door", "rtsp://a"), None, (320, 240)),
                Checked(camera("yard", "rtsp://b"), None, (1920, 1080)),
                Checked(camera("gate", "rtsp://c"), None, (1920, 1080)),
                Checked(camera("hall", "rtsp://d", size="small"), None, (1920, 1080)),
                Checked(camera("shed", "rtsp://e", size="small"), "no picture came"),
            ],
        )
    door, yard, gate, hall, shed = (one.detect_ms for one in checked)
    assert yard == gate
    assert len({door, yard, hall, shed}) == 4
    looks = Counter(engine.shapes)
    assert looks[24, 32] == 2 * (1 + check._TRIES)
    assert looks[12, 16] >= 2 * (1 + check._TRIES)


def test_a_look_is_also_what_it_costs_to_convert_the_picture_that_a_camera_sends(
    farm: RunningFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(_: CameraPicture) -> None:
        ends = time.thread_time() + 0.03
        while time.thread_time() < ends:
            pass

    monkeypatch.setattr(CameraPicture, "image", convert)
    with Detector(SizesEngine()) as detector:
        (door,) = measure_detection(detector, check_cameras([camera("door", farm.url("door"))], SETTINGS))
    assert door.detect_ms >= door.convert_ms >= 30


def test_a_picture_that_cannot_be_converted_is_said(farm: RunningFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CameraPicture, "image", mock.Mock(side_effect=SourceError("its pixels cannot be converted")))
    (door,) = check_cameras([camera("door", farm.url("door"))], SETTINGS)
    assert door.problem == "its pixels cannot be converted"


def test_not_all_of_the_machine_is_used() -> None:
    assert 0 < usable_cores() < usable_cpus()


def test_the_table_has_a_row_for_each_with_its_problem_or_its_cost() -> None:
    checked = [
        Checked(
            camera("door", "rtsp://a"),
            None,
            (1280, 720),
            "h264",
            rate=10.0,
            key_seconds=1.0,
            decode_ms=2.0,
            detect_ms=15.0,
        ),
        Checked(camera("yard", "rtsp://b"), "401 Unauthorized"),
    ]
    table, problem = check_table(checked).renderables
    assert isinstance(table, Table)
    assert [next(iter(column.cells)) for column in table.columns] == [
        "door", "1280 x 720", "h264", "10.0", "1.0 s", "2.0 ms", "15.0 ms", "0.050",
    ]  # fmt: skip
    assert str(problem) == "yard: 401 Unauthorized"
    assert [str(one) for one in check_table(checked[1:]).renderables] == ["yard: 401 Unauthorized"]
