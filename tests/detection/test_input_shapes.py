"""Few shapes of input are in use at once."""

from __future__ import annotations

import time

import pytest

from humandetect.detection import input_shapes
from humandetect.detection.input_shapes import InputShapes
from humandetect.models.sizes import InputSize

SIZE = InputSize((288, 384), step=32, multiple=32)
CAMERAS = [(480, 640), (1080, 1920), (1920, 1080), (500, 500)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def full(clock: list[float]) -> InputShapes:
    """Four shapes in use."""
    chosen = InputShapes()
    assert [chosen.choose(SIZE, hw) for hw in CAMERAS] == [(288, 384), (288, 512), (512, 288), (288, 288)]
    return chosen


@pytest.mark.parametrize(
    ("picture_hw", "nearest"),
    [((1000, 2000), (288, 512)), ((2000, 1000), (512, 288)), ((600, 760), (288, 384)), ((600, 1000), (288, 512))],
)
def test_a_fifth_shape_takes_the_nearest(
    full: InputShapes, picture_hw: tuple[int, int], nearest: tuple[int, int]
) -> None:
    assert full.choose(SIZE, picture_hw) == nearest


def test_a_shape_that_nobody_used_for_long_makes_room(full: InputShapes, clock: list[float]) -> None:
    clock[0] += input_shapes.IDLE_SECONDS - 1
    for hw in CAMERAS[1:]:
        full.choose(SIZE, hw)
    clock[0] += 2
    assert full.choose(SIZE, (1000, 2000)) == (288, 576)
    assert full.choose(SIZE, CAMERAS[0]) != (288, 384)


def test_of_shapes_of_many_sizes_a_fifth_takes_that_which_shows_the_picture_as_large(clock: list[float]) -> None:
    chosen = InputShapes()
    for size in ((96, 128), (288, 384), (480, 640), (640, 480)):
        chosen.choose(InputSize(size), (480, 640))
    assert chosen.choose(InputSize((96, 160)), (480, 640)) == (96, 128)
    assert chosen.choose(InputSize((448, 640)), (480, 640)) == (480, 640)
