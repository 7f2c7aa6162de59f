"""Annotated pictures are whole, in the format of their name, and where they were sent."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from humandetect.errors import SinkError
from humandetect.media.sinks.pictures import ImageSink, write_image
from tests.builders import detected, picture

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_images_go_where_they_are_told(tmp_path: Path) -> None:
    with ImageSink(lambda frame: tmp_path / f"{frame.index}.png") as sink:
        sink.write(detected(0))
        assert sink.close() == tmp_path / "0.png"
        sink.write(detected(1))
    assert sink.close() == tmp_path
    for index in range(2):
        back = cv2.imdecode(np.frombuffer((tmp_path / f"{index}.png").read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        assert back is not None
        assert np.array_equal(back, picture(shade=index * 8))


def test_no_image_is_no_result(tmp_path: Path) -> None:
    with ImageSink(lambda frame: tmp_path / "never.jpg") as sink:
        pass
    assert sink.close() is None


def test_a_name_that_is_not_utf8_will_do(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    write_image(tmp_path / name, picture())
    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".png", ".webp", ".bmp", ".tiff"])
def test_images_come_in_the_format_of_their_ending(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"image{ending}"
    write_image(path, picture(shade=90))
    back = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert back is not None
    assert np.abs(back.astype(int) - picture(shade=90)).mean() < 4
    assert names(tmp_path) == [path.name]


def test_an_image_too_large_for_its_format_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"a \.jpg cannot hold 70000 x 1"):
        write_image(tmp_path / "wide.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert names(tmp_path) == []


@pytest.mark.parametrize(("name", "width"), [("a.jpg", 70_000), ("a.JPEG", 70_000), ("a.webp", 20_000)])
def test_a_picture_longer_than_its_format_is_told_by_us_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, width: int
) -> None:
    with pytest.raises(SinkError, match=f"cannot hold {width} x 1"):
        write_image(tmp_path / name, np.zeros((1, width, 3), np.uint8))
    assert capfd.readouterr().err == ""


def test_an_image_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match="the disk is full"):
        write_image(tmp_path / "image.png", picture())
    assert names(tmp_path) == []
