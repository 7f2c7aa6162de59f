"""The models of the package can be rebuilt from what was published, and say where they come from."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from humandetect.detection.detector import open_detector
from humandetect.models.find import bundled, find_model
from humandetect.models.metadata import verify

tf = pytest.importorskip("tensorflow")
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import detection_graph  # noqa: E402
import export_human_detection  # noqa: E402
import export_movenet_multipose  # noqa: E402
import tfjs_network  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPORTS: dict[str, Any] = {"human_detection": export_human_detection, "movenet_multipose": export_movenet_multipose}
CANDIDATES = 256
"""Boxes that suppression is tried on."""


@pytest.fixture(scope="module", params=EXPORTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def archive(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published package, where npm can fetch it."""
    try:
        return Path(EXPORTS[name].PACKAGE.fetch(tmp_path_factory.mktemp("npm")))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"npm cannot fetch the package: {error}")


def export(name: str, archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "argv", ["export", "--archive", str(archive), "--output", str(folder)])
    EXPORTS[name].main()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rebuilding_gives_the_committed_files(
    name: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = find_model(name, bundled("models"))
    verify(committed)
    assert contents(export(name, archive, tmp_path / "1", monkeypatch)) == contents(committed.path)


def test_weights_stored_as_float16_find_the_people_of_the_published_float32_weights(
    name: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = find_model(name, bundled("models"))
    monkeypatch.setattr(tfjs_network, "constant", lambda value: tf.constant(np.asarray(value, np.float32)))
    exact = export(name, archive, tmp_path / "1", monkeypatch)

    assert (exact / "saved_model.pb").stat().st_size > 1.8 * (committed.path / "saved_model.pb").stat().st_size
    with av.open(str(bundled("examples/plaza.mp4"))) as clip:
        frames = [
            np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in islice(clip.decode(video=0), 0, 71, 70)
        ]
    answers = []
    for path in (exact, committed.path):
        with open_detector(path, engine="openvino", precision="f32") as detector:
            answers.append(detector.infer([detector.prepare(frame) for frame in frames]))
    for expected, found in zip(*answers, strict=True):
        sure = expected.scores > 0.3
        assert sure.sum() > 1
        np.testing.assert_allclose(found.scores[sure], expected.scores[sure], atol=0.01)
        np.testing.assert_allclose(found.xyxy[sure], expected.xyxy[sure], atol=0.005)


def test_licence_and_origin_travel_with_the_model(name: str) -> None:
    committed = find_model(name, bundled("models"))
    package = EXPORTS[name].PACKAGE
    assets = committed.path / "assets.extra"
    assert committed.metadata.licence == "Apache-2.0"
    assert "Apache License" in (assets / "LICENSE").read_text(encoding="utf-8")
    notice = (assets / "NOTICE").read_text(encoding="utf-8")
    assert f"npm package {package.name} {package.version}" in notice.replace("\n", " ")
    assert "Changes made by" in notice


def iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    shared = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(0).prod(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(shared / ((box[2:] - box[:2]).prod() + area - shared))


def test_suppression_is_greedy_suppression() -> None:
    random = np.random.default_rng(7)
    centres = random.uniform(0.2, 0.8, (2, 12, 2)).repeat(22, axis=1)[:, :CANDIDATES]
    middle = centres + random.normal(0, 0.02, centres.shape)
    half = random.uniform(0.05, 0.09, centres.shape)
    boxes = np.concatenate([middle - half, middle + half], axis=2).astype(np.float32)
    scores = random.integers(1, 50, boxes.shape[:2]).astype(np.float32) / 50  # few values: equal scores are common

    kept = detection_graph.survivors(tf.constant(boxes), tf.constant(scores), scores.shape[1]).numpy()

    for image in range(2):
        expected: list[int] = []
        for candidate in np.argsort(-scores[image], kind="stable"):
            if (
                not expected
                or iou(boxes[image, candidate], boxes[image, expected]).max() <= detection_graph.IOU_THRESHOLD
            ):
                expected.append(int(candidate))
        assert len(expected) < CANDIDATES / 2
        assert sorted(expected) == np.flatnonzero(kept[image]).tolist()
