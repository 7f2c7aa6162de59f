"""What every engine promises, on models of the package and real frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest
import supervision as sv

from humandetect.engines import load_engine
from humandetect.engines.base import RawDetections
from humandetect.errors import Closed, EngineError
from tests.engines.conftest import MODELS, NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.config import EngineName
    from humandetect.detection.detector import Detector
    from tests.engines.conftest import ConfigFor


def assert_same(first: RawDetections, second: RawDetections) -> None:
    """Batching may change the last bits of a sum, hence the order of almost equal rows that nobody reports."""
    sure = first.scores > 0.1
    assert np.array_equal(sure, second.scores > 0.1)
    for field in fields(RawDetections):
        a, b = getattr(first, field.name), getattr(second, field.name)
        np.testing.assert_allclose(a[sure], b[sure], atol=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "tensorflow"])
def test_engines_find_the_same_people(name: str, detectors: dict[str, Detector], street: list[np.ndarray]) -> None:
    for image in street:
        first, second = (detectors[engine].detect(image) for engine in (name, "tensorflow"))
        assert len(first) == len(second) > 0
        assert first.confidence is not None
        assert second.confidence is not None
        np.testing.assert_allclose(first.confidence, second.confidence, atol=1e-3)
        assert (sv.box_iou_batch(first.xyxy, second.xyxy).diagonal() > 0.99).all()


def test_the_engine_says_who_runs_the_model(detectors: dict[str, Detector], model: str) -> None:
    for info in (detector.info for detector in detectors.values()):
        assert info.engine.endswith("CPU, f32") or info.engine.startswith("tf-serving, 127.0.0.1:")
        assert info.name == model
        assert (info.version, info.input_hw) == MODELS[model]
        assert info.metadata.person_classes == {1}
        assert info.parallel >= 1
        assert info.best_batch >= 1


@pytest.mark.parametrize("size", [1, 3, 17])
def test_any_batch_size_gives_the_answers_of_single_images(detector: Detector, prepared: np.ndarray, size: int) -> None:
    images = prepared[np.arange(size) % len(prepared)]
    singles = [detector.engine.infer(image[None]) for image in prepared]
    together = detector.engine.infer(images)
    assert len(together.scores) == size
    for index in range(size):
        one = slice(index, index + 1)
        row = RawDetections(together.xyxy[one], together.scores[one], together.class_ids[one])
        assert_same(row, singles[index % len(prepared)])


def test_threads_get_the_answers_of_their_own_images(detector: Detector, prepared: np.ndarray) -> None:
    batches = [np.roll(prepared, shift, axis=0)[: 1 + shift % 3] for shift in range(12)]
    expected = [detector.engine.infer(batch) for batch in batches]
    with ThreadPoolExecutor(6) as threads:
        for answer, alone in zip(threads.map(detector.engine.infer, batches), expected, strict=True):
            assert_same(answer, alone)


def test_answers_outlive_later_calls(detector: Detector, prepared: np.ndarray) -> None:
    first = detector.engine.infer(prepared[:1])
    kept = first.scores.copy(), first.xyxy.copy()
    for image in prepared:
        detector.engine.infer(255 - image[None])
    np.testing.assert_array_equal(first.scores, kept[0])
    np.testing.assert_array_equal(first.xyxy, kept[1])


def test_images_need_not_lie_in_one_piece(detector: Detector, prepared: np.ndarray) -> None:
    spread = np.repeat(prepared, 2, axis=2)[:, :, ::2]
    assert not spread.flags.c_contiguous
    assert_same(detector.engine.infer(spread[:2]), detector.engine.infer(prepared[:2]))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: images[0],
        lambda images: images.astype(np.float32),
        lambda images: images[:, :0],
        lambda images: np.repeat(images, 2, axis=3)[..., :4],
        lambda images: images[:0],
    ],
)
def test_images_of_wrong_shape_or_type_are_refused(
    detector: Detector, prepared: np.ndarray, spoil: Callable[[np.ndarray], np.ndarray]
) -> None:
    height, width = prepared.shape[1:3]
    expected = rf"expected RGB images \(B, {height}, {width}, 3\) uint8, got \(.*\) (uint8|float32)"
    with pytest.raises(EngineError, match=expected):
        detector.engine.infer(spoil(prepared))


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_engine_refuses_work_and_closes_again(
    name: EngineName, config_for: ConfigFor, prepared: np.ndarray
) -> None:
    engine = load_engine(config_for(name, size="192x256"))
    engine.close()
    engine.close()
    with pytest.raises(Closed, match=f"the {name} engine is closed"):
        engine.infer(prepared[:1])


@pytest.mark.parametrize("name", NAMES)
def test_closing_lets_running_calls_end_well(name: EngineName, config_for: ConfigFor, prepared: np.ndarray) -> None:
    engine = load_engine(config_for(name, size="192x256"))
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(engine.infer, np.repeat(prepared, 4, axis=0))
        while not running.running() and not running.done():
            pass
        engine.close()
        with suppress(Closed):  # where the thread came second
            assert len(running.result().scores) == 4 * len(prepared)
