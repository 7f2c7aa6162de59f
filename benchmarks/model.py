"""The models of the package at each size: accuracy on annotated clips, and speed in each engine.

python benchmarks/model.py [--clips VIDEO=GROUNDTRUTH.txt ...] [--every N] [--canvas W:H] [--precision P] [--images N]

Accuracy is that of `Detector`. `--canvas` pads the clips to another aspect first, people as large as before.
Speed is that of `Detector` and its batcher on prepared pictures, beside OpenVINO's own AsyncInferQueue on the same
graph and shape, and on its convolutions alone, which is what was published; and of TensorFlow's calls, one after the
other, of a picture and of four.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np
from common import parser, print_machine, print_table, say
from ground_truth import Agreement, Boxes, compare, read_ground_truth

from humandetect.detection.detector import Detector, open_detector
from humandetect.detection.finders import open_batcher
from humandetect.errors import DeviceError
from humandetect.media.sources import open_source
from humandetect.models.find import bundled, find_model

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    import openvino as ov
    from numpy.typing import NDArray

    from humandetect.detection.preprocess import PreparedImage

    Run = Callable[[], None]

MODELS = ("human_detection", "movenet_multipose")
SIZES = ("small", "default", "far")
LOWEST = 0.01
SCORES = [round(0.05 * step, 2) for step in range(5, 13)]
REQUESTS = 4
ROUNDS = 15
ENGINES = {
    "openvino f32": {"engine": "openvino", "precision": "f32"},
    "openvino bf16": {"engine": "openvino", "precision": "bf16"},
    "tensorflow": {"engine": "tensorflow"},
}
CALLS = {"one by one": 1, "four at once": 4}


def main() -> None:
    arguments = parser(__doc__, clip=False)
    arguments.add_argument("--models", nargs="*", default=MODELS, metavar="NAME", help="names or paths")
    arguments.add_argument("--images", type=int, default=40, help="images per measured round; 0: no speed")
    arguments.add_argument("--clips", nargs="*", default=[], metavar="VIDEO=GROUNDTRUTH")
    arguments.add_argument("--every", type=int, default=1, help="look at each Nth frame of clips over 100")
    arguments.add_argument("--canvas", metavar="W:H", help="pad the clips to this aspect")
    arguments.add_argument("--precision", default="f32", choices=["f32", "bf16"], help="of accuracy")
    chosen = arguments.parse_args()
    print_machine()
    if chosen.clips:
        print_accuracy(chosen)
    if chosen.images:
        print_speed(chosen.models, chosen.images)


def sizes_of(model: str) -> list[str]:
    known = find_model(model).metadata.sizes
    return [size for size in SIZES if size == "default" or size in known]


def print_accuracy(chosen: Namespace) -> None:
    """Print AP50 and, at the default score, precision, recall and F1; then F1 by score."""
    clips, every, canvas = chosen.clips, chosen.every, chosen.canvas
    rows, by_score = [], []
    for model in chosen.models:
        for size in sizes_of(model):
            one = open_detector(model, engine="openvino", precision=chosen.precision, size=size, score=LOWEST)
            with one as detector:
                usual = detector.info.preset.default_score
                found = [agreement(detector, *clip.split("="), every=every, canvas=canvas) for clip in clips]
            values = [f"{one.ap50:.1f}; {' '.join(f'{value:.2f}' for value in one.at(usual))}" for one in found]
            rows.append([f"{Path(model).name} {size}", f"{usual:g}", *values])
            means = [np.mean([one.at(score)[2] for one in found]) for score in SCORES]
            by_score.append([rows[-1][0], *(f"{mean:.3f}" for mean in means)])
            say(" | ".join(rows[-1]))
    names = [Path(clip.split("=")[0]).name for clip in clips]
    on = f", {chosen.precision}" + (f", padded to {canvas}" if canvas else "")
    print_table(f"AP50; precision, recall, F1 at the default score{on}", ["model, size", "score", *names], rows)
    print_table("mean F1 by score", ["model, size", *map(str, SCORES)], by_score)


def agreement(detector: Detector, video: str, truth: str, *, every: int, canvas: str | None) -> Agreement:
    """Detect in a clip and compare with what is known."""
    known: Mapping[int, Boxes] = read_ground_truth(Path(truth))
    step = every if len(known) > 100 else 1
    found: dict[int, Boxes] = {}
    with open_source(video) as source:
        for frame in source:
            if frame.index % step == 0 and frame.index in known:
                image, (x, y) = padded(frame.image, canvas)
                people = detector.detect(image)
                assert people.confidence is not None
                found[frame.index] = np.column_stack([people.xyxy - [x, y, x, y], people.confidence]).astype(float)
    return compare(known, found)


def padded(image: NDArray[np.uint8], canvas: str | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Put a picture into the middle of a larger one; return it and where the picture's corner lies."""
    if canvas is None:
        return image, (0, 0)
    across, down = map(int, canvas.split(":"))
    height, width = image.shape[:2]
    new_height, new_width = max(height, round(width * down / across)), max(width, round(height * across / down))
    top, left = (new_height - height) // 2, (new_width - width) // 2
    bottom, right = new_height - height - top, new_width - width - left
    whole = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return np.asarray(whole, np.uint8), (left, top)


def print_speed(models: list[str], count: int) -> None:
    """Print images a second, the best of several rounds; what decoding takes is the median of their differences."""
    rows = []
    for model in models:
        for size in sizes_of(model):
            with ExitStack() as opened:
                took = timed(runs(opened, model, size, count))
            speeds = {name: count / min(each) for name, each in took.items()}
            above = median(np.subtract(took["bare"], took["convolutions"])) / count * 1000
            bare = [f"{speeds['bare']:.0f}", f"{speeds['openvino f32'] / speeds['bare']:.2f}", f"{above:.2f}"]
            whole = [f"{speeds[name]:.0f}" if name in speeds else "-" for name in (*ENGINES, *CALLS)]
            rows.append([f"{Path(model).name} {size}", *whole[:2], *bare, *whole[2:]])
            say(" | ".join(rows[-1]))
    first, second, *others = (*ENGINES, *(f"its calls, {name}" for name in CALLS))
    heads = ["model, size", first, second, "bare AsyncInferQueue f32", "openvino to it", "its ms above convolutions"]
    print_table(f"images/s at 4:3, {count} images, best of {ROUNDS} rounds", [*heads, *others], rows)


def runs(opened: ExitStack, model: str, size: str, count: int) -> dict[str, Run]:
    """Return what the models are run by; each is open until `opened` closes."""
    found = {
        part: bare_run(model, size, count, convolutions=part == "convolutions") for part in ("bare", "convolutions")
    }
    for name, options in ENGINES.items():
        with suppress(DeviceError):  # no bf16 here
            detector = opened.enter_context(open_detector(model, size=size, score=LOWEST, **options))  # type: ignore[arg-type]
            found[name] = batcher_run(opened, detector, count)
    tensorflow = detector
    return found | {name: calls_run(tensorflow, count, batch) for name, batch in CALLS.items()}


def batcher_run(opened: ExitStack, detector: Detector, count: int) -> Run:
    """Run pictures through a detector and its batcher."""
    batcher = opened.enter_context(open_batcher(detector.info, detector.infer))
    images = prepared(detector, count)

    def run() -> None:
        for future in [batcher.submit(image, timeout_seconds=None) for image in images]:
            future.result()

    return run


def calls_run(detector: Detector, count: int, batch: int) -> Run:
    """Run pictures so many in a call, one call after the other."""
    images = prepared(detector, count)
    batches = [images[start : start + batch] for start in range(0, count, batch)]

    def run() -> None:
        for images in batches:
            detector.infer(images)

    return run


def bare_run(model: str, size: str, count: int, *, convolutions: bool) -> Run:
    """Run the same pictures through OpenVINO alone."""
    import openvino as ov

    with open_detector(model, engine="openvino", precision="f32", size=size) as detector:
        images = [image.pixels[None] for image in prepared(detector, count)]
    core = ov.Core()
    graph = core.read_model(find_model(model).path)
    graph.reshape(list(images[0].shape))
    graph = convolutions_of(graph) if convolutions else graph
    compiled = core.compile_model(graph, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"})
    queue = ov.AsyncInferQueue(compiled, REQUESTS)

    def run() -> None:
        for image in images:
            queue.start_async({0: image})
        queue.wait_all()

    return run


def convolutions_of(graph: ov.Model) -> ov.Model:
    """Cut a graph behind its last convolutions, before decoding and suppression."""
    import openvino as ov

    last: list[ov.Output] = []
    earlier: set[str] = set()
    for node in reversed(graph.get_ordered_ops()):
        next_nodes = [target.get_node() for output in node.outputs() for target in output.get_target_inputs()]
        if any(convolves(one) or one.get_name() in earlier for one in next_nodes):
            earlier.add(node.get_name())
        elif convolves(node):
            last.append(node.output(0))
    return ov.Model(last, graph.get_parameters())


def convolves(node: ov.Node) -> bool:
    return "Convolution" in node.get_type_name()


def prepared(detector: Detector, count: int) -> list[PreparedImage]:
    """Return frames of the sample as the model takes them, repeated up to `count`."""
    with open_source(str(bundled("examples/plaza.mp4"))) as source:
        images = [detector.prepare(frame.image) for frame in source]
    return [images[index % len(images)] for index in range(count)]


def timed(runs: Mapping[str, Run]) -> dict[str, list[float]]:
    """Return the seconds that each took: in turns, so that what else the machine does costs all of them."""
    for run in runs.values():
        run()
    took: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - began)
    return took


if __name__ == "__main__":
    main()
