from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from humandetect.config.recording import RecordConfig
from humandetect.watch.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 26, 12, 0).astimezone().timestamp()


def recorded(folder: Path, name: str, size: int = 100) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def retention(folder: Path, *, free: int = 1000, **limits: str) -> Retention:
    config = RecordConfig(record=folder, **{"keep": "off", "max_size": "off", "min_free": "off", **limits})  # type: ignore[arg-type]
    return Retention(folder, config, clock=lambda: NOW, disk=lambda _: (1000, free))


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_too_old_goes_with_the_folder_of_its_day(tmp_path: Path) -> None:
    recorded(tmp_path, "door/2026-11-24/23-59-00.mp4")
    recorded(tmp_path, "yard/2026-11-25/11-59-00_2.mov")
    recorded(tmp_path, "yard/2026-11-25/12-01-00.mkv")
    keeper = retention(tmp_path, keep="1d")
    keeper.make_room()
    assert left(tmp_path) == ["yard/2026-11-25/12-01-00.mkv"]
    assert not (tmp_path / "door/2026-11-24").exists()
    assert keeper.deleted == {"age": 2}


def test_the_oldest_of_all_cameras_goes_first_when_they_are_too_large(tmp_path: Path) -> None:
    for name in ("door/2026-11-26/10-00-00.mp4", "yard/2026-11-26/09-00-00.mp4", "door/2026-11-26/08-00-00.mp4"):
        recorded(tmp_path, name, 600)
    keeper = retention(tmp_path, max_size="1.2kB")
    keeper.make_room()
    assert left(tmp_path) == ["door/2026-11-26/10-00-00.mp4", "yard/2026-11-26/09-00-00.mp4"]
    keeper.add(recorded(tmp_path, "yard/2026-11-26/11-00-00.mp4", 600))
    keeper.make_room()
    assert left(tmp_path) == ["door/2026-11-26/10-00-00.mp4", "yard/2026-11-26/11-00-00.mp4"]
    assert keeper.deleted == {"size": 2}


@pytest.mark.parametrize("min_free", ["20%", "0.2kB"])
def test_a_disk_that_fills_is_given_room(min_free: str, tmp_path: Path) -> None:
    for hour in range(4):
        recorded(tmp_path, f"door/2026-11-26/0{hour}-00-00.mp4")
    keeper = retention(tmp_path, free=50, min_free=min_free)
    keeper.make_room()
    assert left(tmp_path) == ["door/2026-11-26/02-00-00.mp4", "door/2026-11-26/03-00-00.mp4"]
    assert keeper.deleted == {"space": 2}


def test_open_files_links_and_files_of_others_stay(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "rec", tmp_path / "elsewhere"
    others = ("door/2020-01-01/00-00-00.txt", "door/2020-01-01/holiday.mp4", "door/notes/00-00-00.mp4", "00-00-00.mp4")
    kept = [recorded(folder, name) for name in (*others, "door/2020-99-01/00-00-00.mp4")]
    target = recorded(elsewhere, "2020-01-01/00-00-00.mp4")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "door/2020-01-02").symlink_to(target.parent)
    (folder / "door/2020-01-01/00-01-00.mp4").symlink_to(target)
    keeper = retention(folder, keep="1s")
    keeper.make_room()
    assert all(path.exists() for path in kept)
    assert target.exists()
    assert not keeper.deleted


def test_what_cannot_be_deleted_is_said_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = [recorded(tmp_path, f"door/2020-01-01/00-00-0{second}.mp4") for second in range(3)]
    recorded(tmp_path, "door/2020-01-01/00-01-00.mp4")
    unlink = os.unlink

    def refuse(path: Path) -> None:
        if path in stubborn:
            raise PermissionError(13, "Permission denied")
        unlink(path)

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    retention(tmp_path, keep="1d").make_room()
    assert left(tmp_path) == [path.relative_to(tmp_path).as_posix() for path in stubborn]
    (said,) = caplog.messages
    assert str(stubborn[0]) in said
    assert said.endswith("(and 2 more)")


def test_a_folder_that_is_gone_is_said_once_and_looked_at_as_at_the_start_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk, away = tmp_path / "disk", tmp_path / "away"
    recorded(disk, "door/2026-01-01/00-00-00.mp4")
    keeper = Retention(disk, RecordConfig(record=disk))
    keeper.make_room()
    kept = keeper.kept_bytes
    disk.rename(away)
    for _ in range(3):
        keeper.make_room()
    assert [message.partition(" in ")[0] for message in caplog.messages] == ["cannot look for old recordings"]
    recorded(away, "door/2026-01-01/00-01-00.mp4")
    away.rename(disk)
    keeper.make_room()
    assert keeper.kept_bytes == 2 * kept
    disk.rename(away)
    keeper.make_room()
    assert len(caplog.messages) == 2
