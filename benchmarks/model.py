"""The models of the package: speed in each engine, and F1 by score on annotated clips.

python benchmarks/model.py [--images 200] [--clips VIDEO=GROUNDTRUTH.txt ...]

GROUNDTRUTH is MOTChallenge: rows of frame (from 1), id, x, y, width, height, flag (0: neither hit nor miss).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Cost, measured, parser, print_machine, print_table, say
from numpy.typing import NDArray

from humandetect.detection.detector import open_detector
from humandetect.media.sources import open_source
from humandetect.models.find import bundled, find_model
from humandetect.models.metadata import read_metadata

if TYPE_CHECKING:
    import supervision as sv

Runner = Callable[[list[NDArray[np.uint8]]], None]
"""Puts prepared images, (1, H, W, 3) each, through a model."""

MODELS = ("human_detection", "movenet_multipose")

REQUESTS = 4
ROUNDS = 3
SCORES = [round(0.05 * step, 2) for step in range(2, 11)]


def main() -> None:
    arguments = parser(__doc__, clip=False)
    arguments.add_argument("--images", type=int, default=200, help="images per measured round")
    arguments.add_argument("--clips", nargs="*", default=[], metavar="VIDEO=GROUNDTRUTH")
    chosen = arguments.parse_args()
    print_machine()
    print_speeds(chosen.images)
    for pair in chosen.clips:
        video, _, truth = pair.partition("=")
        for model in MODELS:
            print_f1(model, Path(video), Path(truth))


def sample_images(model: str, count: int) -> list[NDArray[np.uint8]]:
    """Return frames of the sample as the model takes them, (1, H, W, 3) each, repeated up to `count`."""
    with (
        open_detector(model, engine="openvino") as detector,
        open_source(str(bundled("examples/plaza.mp4"))) as source,
    ):
        images = [detector.prepare(frame.image).pixels[None] for frame in source]
    return [images[index % len(images)] for index in range(count)]


def print_speeds(count: int) -> None:
    rows = [[name] for name in SETTINGS]
    for model in MODELS:
        images, path = sample_images(model, count), find_model(model).path
        for row, load in zip(rows, SETTINGS.values(), strict=True):
            cost = measure(load(path), images)
            row.append(f"{cost.fps:.0f} ({cost.cpu_ms:.1f})")
            say(f"{model}, {row[0]}: {row[-1]}")
    print_table(f"images/s (CPU ms an image), {count} images, medians of {ROUNDS} rounds", ["", *MODELS], rows)


def openvino_runner(path: Path, *, precision: str) -> Runner:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape([1, *(read_metadata(path).preset.input_hw or ()), 3])
    compiled = core.compile_model(
        model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    )
    queue = ov.AsyncInferQueue(compiled, REQUESTS)

    def run(images: list[NDArray[np.uint8]]) -> None:
        for image in images:
            queue.start_async({0: image})
        queue.wait_all()

    return run


def tensorflow_runner(path: Path, *, batch: int) -> Runner:
    import tensorflow as tf

    model = tf.saved_model.load(str(path))

    def run(images: list[NDArray[np.uint8]]) -> None:
        for start in range(0, len(images), batch):
            model.signatures["serving_default"](inputs=tf.constant(np.concatenate(images[start : start + batch])))

    return run


def measure(runner: Runner, images: list[NDArray[np.uint8]]) -> Cost:
    """Return the median of several rounds."""
    runner(images[:32])
    costs = []
    for _ in range(ROUNDS):
        with measured() as cost:
            runner(images)
        cost.frames = len(images)
        costs.append(cost)
    return sorted(costs, key=lambda cost: cost.fps)[len(costs) // 2]


SETTINGS: dict[str, Callable[[Path], Runner]] = {
    f"openvino f32, {REQUESTS} requests": partial(openvino_runner, precision="f32"),
    f"openvino bf16, {REQUESTS} requests": partial(openvino_runner, precision="bf16"),
    "tensorflow f32, batch 1": partial(tensorflow_runner, batch=1),
    "tensorflow f32, batch 16": partial(tensorflow_runner, batch=16),
}


def print_f1(model: str, video: Path, truth_path: Path) -> None:
    """Print precision, recall and F1 at IoU 0.5 for each score."""
    truth = ground_truth(truth_path)
    with (
        open_detector(model, engine="openvino", precision="f32", score=min(SCORES)) as detector,
        open_source(str(video)) as source,
    ):
        found = {frame.index: detector.detect(frame.image) for frame in source if frame.index <= max(truth)}
    rows = []
    for score in SCORES:
        counts = np.sum([hits(truth[index], people, score) for index, people in found.items()], axis=0)
        precision, recall = counts[0] / max(counts[1], 1), counts[0] / max(counts[2], 1)
        f1 = statistics.harmonic_mean([precision, recall])
        rows.append([f"{score:.2f}", f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}"])
    print_table(
        f"{model}, {video.name}: {len(found)} frames, float32, IoU 0.5", ["score", "precision", "recall", "F1"], rows
    )


def ground_truth(path: Path) -> defaultdict[int, NDArray[np.float64]]:
    """Return boxes by frame from 0: (N, 5) of x1, y1, x2, y2 and 1 where the box is to be ignored."""
    frames: dict[int, list[list[float]]] = defaultdict(list)
    for frame, _, x, y, width, height, flag, *_ in np.loadtxt(path, delimiter=","):
        frames[int(frame) - 1].append([x, y, x + width, y + height, flag == 0])
    return defaultdict(lambda: np.zeros((0, 5)), {index: np.array(rows) for index, rows in frames.items()})


def hits(truth: NDArray[np.float64], people: sv.Detections, score: float) -> tuple[int, int, int]:
    """Match greedily, best first: hits, people that count as found, people there are."""
    from supervision.detection.utils.iou_and_nms import box_iou_batch

    assert people.confidence is not None
    boxes = people.xyxy[people.confidence >= score]
    real, ignored = truth[truth[:, 4] == 0, :4], truth[truth[:, 4] > 0, :4]
    overlap = box_iou_batch(boxes, real) if len(real) else np.zeros((len(boxes), 0))
    hit = counted = 0
    for index, row in enumerate(overlap):
        best = int(row.argmax()) if len(row) else -1
        if best >= 0 and row[best] >= 0.5:
            overlap[:, best] = 0
            hit, counted = hit + 1, counted + 1
        elif not covered(boxes[index], ignored):
            counted += 1
    return hit, counted, len(real)


def covered(box: NDArray[Any], ignored: NDArray[np.float64]) -> bool:
    """Tell whether half of a box lies inside one that is to be ignored."""
    shared = (np.minimum(box[2:], ignored[:, 2:]) - np.maximum(box[:2], ignored[:, :2])).clip(0).prod(axis=1)
    return bool((shared >= 0.5 * (box[2:] - box[:2]).prod()).any())


if __name__ == "__main__":
    main()
