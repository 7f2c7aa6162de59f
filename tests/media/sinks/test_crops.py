"""Crops show the people."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from humandetect.errors import SinkError
from humandetect.media.frames import DetectedFrame
from humandetect.media.sinks.crops import CropsSink
from tests.builders import detected, frame, people

if TYPE_CHECKING:
    from pathlib import Path

BOX = [10, 10, 30, 40]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def crop(path: Path) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_each_person_becomes_a_picture_of_its_own(tmp_path: Path) -> None:
    with CropsSink(tmp_path / "new" / "crops") as sink:
        sink.write(detected(123, [[10, 10, 30, 40], [20.4, 5.6, 60, 20]]))
    folder = tmp_path / "new" / "crops"
    assert sink.close() == folder
    assert names(folder) == ["clip_frame000123_1.jpg", "clip_frame000123_2.jpg"]
    first = crop(folder / "clip_frame000123_1.jpg")
    assert first.shape == (30, 20, 3)
    assert np.abs(first.astype(int) - frame(123).image[10:40, 10:30]).mean() < 4
    assert crop(folder / "clip_frame000123_2.jpg").shape == (14, 40, 3)


def test_crops_are_clipped_to_the_picture_and_empty_ones_left_out(tmp_path: Path) -> None:
    with CropsSink(tmp_path) as sink:
        sink.write(detected(0, [[-5, -5, 8, 8], [60, 40, 90, 90], [70, 0, 90, 20], [5, 5, 5.2, 5.2], [3, 3, 4, 4]]))
    assert names(tmp_path) == [f"clip_frame000000_{number}.jpg" for number in (1, 2, 5)]
    assert crop(tmp_path / "clip_frame000000_1.jpg").shape == (8, 8, 3)
    assert crop(tmp_path / "clip_frame000000_2.jpg").shape == (8, 4, 3)


def test_boxes_that_were_only_kept_are_not_cropped_again(tmp_path: Path) -> None:
    with CropsSink(tmp_path) as sink:
        sink.write(dataclasses.replace(detected(1, [BOX]), detected=False))
    assert sink.close() is None
    assert names(tmp_path) == []


def test_sources_with_one_name_keep_their_crops_apart(tmp_path: Path) -> None:
    with CropsSink(tmp_path) as sink:
        for source in ("a/cam.mp4", "b/cam.mp4", "cam_2.mp4"):
            sink.write(DetectedFrame(frame(0, source=source), people([BOX])))
    assert names(tmp_path) == [f"{name}_frame000000_1.jpg" for name in ("cam_2_2", "cam_2", "cam")]


def test_a_source_given_twice_keeps_the_crops_of_both_passes(tmp_path: Path) -> None:
    with CropsSink(tmp_path) as sink:
        for index in (0, 1, 0, 1):
            sink.write(detected(index, [BOX]))
    stems = ("clip_2_frame000000", "clip_2_frame000001", "clip_frame000000", "clip_frame000001")
    assert names(tmp_path) == [f"{stem}_1.jpg" for stem in stems]


def test_crops_of_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    with CropsSink(tmp_path) as sink:
        sink.write(DetectedFrame(frame(0, source=os.fsdecode(b"caf\xe9.mp4")), people([BOX])))
    assert [os.fsencode(name) for name in names(tmp_path)] == [b"caf\xe9_frame000000_1.jpg"]


def test_a_crops_folder_that_cannot_be_made_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot make the folder"):
        CropsSink(tmp_path / "file")
