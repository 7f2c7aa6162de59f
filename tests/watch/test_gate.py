from __future__ import annotations

import numpy as np
import pytest

from humandetect.watch.gate import LONGEST_REST_SECONDS, MotionGate


def room(*, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A grey room of 720p as a camera sees it."""
    image = np.full((720, 1280, 3), 120, np.uint8)
    if noise:
        image = np.clip(image + np.random.default_rng(seed).normal(0, noise, image.shape), 0, 255).astype(np.uint8)
    return image


def with_somebody(image: np.ndarray, *, x: int = 600, height: int = 80) -> np.ndarray:
    image = image.copy()
    image[300 : 300 + height, x : x + height * 2 // 5] = 30
    return image


def test_the_first_picture_is_looked_at_and_the_same_one_not_again() -> None:
    gate = MotionGate()
    assert gate.opens(room(), 0, somebody=False)
    assert not gate.opens(room(), 0.5, somebody=False)
    assert gate.spared == 1


@pytest.mark.parametrize("height", [72, 150, 400])
def test_somebody_who_comes_in_opens_it(height: int) -> None:
    gate = MotionGate()
    gate.opens(room(), 0, somebody=False)
    assert gate.opens(with_somebody(room(), height=height), 0.5, somebody=False)


def test_who_comes_in_slowly_opens_it_as_each_picture_is_compared_with_the_last_that_was_looked_at() -> None:
    gate = MotionGate()
    gate.opens(room(), 0, somebody=False)
    assert any(
        gate.opens(np.full((720, 1280, 3), 120 + shade, np.uint8), 0.1 * shade, somebody=False) for shade in range(30)
    )


def test_noise_does_not() -> None:
    gate = MotionGate()
    gate.opens(room(noise=8, seed=1), 0, somebody=False)
    assert not any(gate.opens(room(noise=8, seed=seed), seed * 0.5, somebody=False) for seed in range(2, 5))


def test_where_somebody_is_it_always_opens() -> None:
    gate = MotionGate()
    assert all(gate.opens(room(), number * 0.5, somebody=True) for number in range(5))


def test_it_opens_at_least_every_ten_seconds() -> None:
    gate = MotionGate()
    opened = [second for second in range(31) if gate.opens(room(), second, somebody=False)]
    assert opened == [0, LONGEST_REST_SECONDS, 2 * LONGEST_REST_SECONDS, 3 * LONGEST_REST_SECONDS]


def test_another_size_opens_it() -> None:
    gate = MotionGate()
    gate.opens(room(), 0, somebody=False)
    assert gate.opens(np.full((480, 640, 3), 120, np.uint8), 0.5, somebody=False)
