"""Models of every exporter, served by a real server, give the answers that they give in the other engines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from humandetect.config import EngineConfig, ServingConfig
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.errors import ModelError, ModelNotFound
from tests.engines.models import PERSON_BOX, Kind, saved_model
from tests.engines.tfserving.served import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from humandetect.engines.base import Engine

    Serve = Callable[..., Engine]

BRIGHT = np.full((5, 40, 60, 3), 204, np.uint8)


@pytest.fixture
def serve(serving_address: str, tmp_path: Path) -> Iterator[Serve]:
    """Start the engine on one of the served models; what is known of it here lies in tmp_path."""
    started: list[Engine] = []

    def start(model: str, **options: Any) -> Engine:
        config = ServingConfig(targets=(serving_address,), **{"timeout_seconds": 20, **options})
        started.append(load_engine(EngineConfig("tf-serving", model=model, models_dir=tmp_path, serving=config)))
        return started[-1]

    yield start
    for engine in started:
        engine.close()


def assert_answers(engine: Engine, images: np.ndarray) -> None:
    raw = engine.infer(images)
    ymin, xmin, ymax, xmax = PERSON_BOX
    np.testing.assert_allclose(raw.xyxy[:, 0], [[xmin, ymin, xmax, ymax]] * len(images), atol=1e-6)
    likely = images.mean(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(raw.scores[:, 0], likely, atol=2e-3)
    np.testing.assert_allclose(raw.scores[:, 1], likely / 2, atol=2e-3)
    assert not raw.scores[:, 2].any()
    assert raw.class_ids[:, :2].tolist() == [[1, 18]] * len(images)


@pytest.mark.parametrize("name", [*KINDS, "modern", "jpeg", "one_jpeg"])
def test_models_of_all_exporters_work(serve: Serve, name: str) -> None:
    engine = serve(name)
    assert engine.info.name == name
    assert engine.info.version == ("3" if name == "jpeg" else "1")
    assert engine.info.input_hw == ((40, 60) if name == "sized" else None)
    shades = (BRIGHT * np.linspace(0.2, 1, 5)[:, None, None, None]).astype(np.uint8)
    assert_answers(engine, shades)
    assert_answers(engine, shades[:1])


@pytest.mark.parametrize("name", ["open", "jpeg"])
def test_full_frames_may_change_their_size(serve: Serve, name: str) -> None:
    engine = serve(name)
    for height, width in ((40, 60), (90, 30), (40, 60)):
        assert_answers(engine, np.full((2, height, width, 3), 204, np.uint8))


def test_encoded_pictures_have_the_right_colours_and_lose_next_to_nothing(serve: Serve) -> None:
    """Through the detector, which turns BGR into RGB: a red picture stays as bright as red is."""
    with Detector(serve("jpeg"), score=0.01) as detector:
        red = np.zeros((40, 60, 3), np.uint8)
        red[..., 2] = 255
        people = detector.detect(red)
    assert people.confidence is not None
    np.testing.assert_allclose(people.confidence, [1 / 3], atol=3e-3)


def test_what_is_known_of_a_model_here_counts(serve: Serve, tmp_path: Path) -> None:
    version = tmp_path / "open" / "1"
    saved_model(version, Kind())
    (version / "assets.extra").mkdir()
    known = {"input_hw": [20, 30], "default_score": 0.25, "labels": {"1": "walker"}, "resize": "legacy"}
    (version / "assets.extra" / "humandetect.json").write_text(json.dumps(known))
    engine = serve("open")
    assert engine.info.input_hw == (20, 30)
    assert engine.info.preset.default_score == 0.25
    assert (engine.info.metadata.labels, engine.info.metadata.resize) == ({1: "walker"}, "legacy")
    assert serve("integers").info.preset.default_score == 0.5


def test_a_fixed_size_on_the_server_counts_more_than_what_is_known_here(serve: Serve, tmp_path: Path) -> None:
    version = tmp_path / "sized" / "1"
    saved_model(version, Kind())
    (version / "assets.extra").mkdir()
    (version / "assets.extra" / "humandetect.json").write_text('{"input_hw": [20, 30]}')
    assert serve("sized").info.input_hw == (40, 60)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_scores", r"lacks the outputs detection_scores; it has detection_boxes"),
        ("floats", r"no image input; .* the model has inputs: float32 \(\?, \?, \?, 3\)"),
        ("flat_boxes", r"do not have the shapes of the .* API: detection_boxes \(\d, 3\) float32"),
    ],
)  # fmt: skip
def test_other_models_are_refused_with_the_reason(serve: Serve, name: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        serve(name)


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [
        ("nonsense", {}, "serves no model 'nonsense', of the models known here it serves open; choose with"),
        ("open", {"version": 7}, r"has no version 7 of 'open'; it has version 1 \(available\)"),
        ("open", {"label": "stable"}, r"knows no label 'stable' of 'open'; it serves version 1 \(available\)"),
        ("open", {"signature": "detect"}, "no signature 'detect'; it has serving_default"),
    ],
)
def test_what_is_not_served_is_refused_with_what_is(
    serve: Serve, model: str, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    saved_model(tmp_path / "open" / "1", Kind())
    with pytest.raises((ModelError, ModelNotFound), match=reason):
        serve(model, **options)


def test_a_version_can_be_chosen(serve: Serve) -> None:
    engine = serve("jpeg", version=3)
    assert engine.info.version == "3"
    assert_answers(engine, BRIGHT)
