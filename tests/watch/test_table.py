from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console

from humandetect.watch.base import CameraStatus
from humandetect.watch.table import status_table

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def lines(*statuses: CameraStatus) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(status_table(statuses))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_camera_is_a_row_of_how_it_is() -> None:
    door = CameraStatus(
        "door", "rtsp://cam/a", "live", None, NOW, size=(1280, 720), people=3, totals={"gate": (15, 18)},
        delay_seconds=0.1234, detected=12_345, dropped={"busy": 2, "late": 1},
    )  # fmt: skip
    assert lines(door)[1] == "door live 3 gate 15 / 18 123 ms 12,345 3 1280 x 720"


def test_what_the_motion_gate_saved_is_said() -> None:
    yard = CameraStatus("yard", "rtsp://cam/b", "live", None, NOW, detected=20, spared=1_980)
    assert "20 (1,980 spared)" in lines(yard)[1]


def test_what_is_not_known_is_a_dash_and_a_loss_has_its_reason() -> None:
    yard = CameraStatus("yard", "rtsp://cam/b", "waiting", "nothing came for 20 s", NOW)
    assert lines(yard)[1] == "yard waiting (nothing came for 20 s) - - - 0 0 -"
