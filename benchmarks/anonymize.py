"""How many heads of people who are there `--anonymize` leaves uncovered, and how much it hides where nobody is.

python benchmarks/anonymize.py --clips VIDEO=GROUNDTRUTH.txt ... [--models NAME ...] [--lowest SCORE]

A head is the upper quarter of a person's box, uncovered where less than half of it is hidden. Each frame of a clip is
looked at, in bf16 where the processor has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import parser, print_machine, print_table, say
from ground_truth import read_ground_truth

from humandetect.analytics.anonymize import Anonymizer
from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.analytics.tracking import Tracker
from humandetect.detection.detector import open_detector
from humandetect.detection.finders import EngineFinder, detect_in_order, open_batcher
from humandetect.media.annotate.hiding import enlarged
from humandetect.media.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from humandetect.detection.detector import Detector

    Truth = NDArray[np.float64]
    Hidden = NDArray[np.bool_]

HIDDEN_SHARE = 0.5


def main() -> None:
    arguments = parser(__doc__, clip=False)
    arguments.add_argument("--clips", nargs="+", required=True, metavar="VIDEO=GROUNDTRUTH")
    arguments.add_argument("--models", nargs="*", default=("human_detection", "movenet_multipose"), metavar="NAME")
    arguments.add_argument("--lowest", type=float, default=WEAKEST_SCORE, help="hide boxes from this score on")
    chosen = arguments.parse_args()
    print_machine()
    rows = []
    for model in chosen.models:
        with open_detector(model, engine="openvino") as detector:
            for clip in chosen.clips:
                video, truth = clip.split("=")
                for tracked in (False, True):
                    uncovered, needless = measure(detector, video, truth, tracked=tracked, lowest=chosen.lowest)
                    what = "with tracks" if tracked else "boxes alone"
                    rows.append([model, Path(video).name, what, f"{uncovered:.1%}", f"{needless:.1%}"])
                    say(" | ".join(rows[-1]))
    print_table("Hidden", ["model", "clip", "", "heads left uncovered", "hidden of where nobody is"], rows)


def measure(detector: Detector, video: str, truth: str, *, tracked: bool, lowest: float) -> tuple[float, float]:
    """Return the share of heads left uncovered, and of the place without people that is hidden."""
    known = read_ground_truth(Path(truth))
    heads = open_heads = empty = needless = 0
    for index, hidden in hidden_in(detector, video, tracked=tracked, lowest=lowest):
        if index not in known:
            continue
        people = known[index]
        for x1, y1, x2, y2, ignored in people:
            head = part(hidden, x1, y1, x2, y1 + (y2 - y1) / 4)
            if not ignored and head.size:
                heads += 1
                open_heads += head.mean() < HIDDEN_SHARE
        nobody = np.ones_like(hidden)
        for x1, y1, x2, y2 in enlarged(people[:, :4]):
            part(nobody, x1, y1, x2, y2)[:] = False
        empty += nobody.sum()
        needless += (nobody & hidden).sum()
    return open_heads / max(heads, 1), float(needless / max(empty, 1))


def hidden_in(detector: Detector, video: str, *, tracked: bool, lowest: float) -> Iterator[tuple[int, Hidden]]:
    """Yield of each frame what is hidden, (H, W)."""
    start_score, high_score = detector.track_scores
    boxes: list[NDArray[np.float64]] = []
    stage = Anonymizer(
        lambda _, xyxy: boxes.append(xyxy),
        tracker=Tracker(start_score=start_score, high_score=high_score) if tracked else None,
        gives_ids=False,
    )
    with open_source(video) as source, open_batcher(detector.info, detector.infer) as batcher:
        finder = EngineFinder(detector, batcher, weakest_score=lowest)
        for result in map(stage.update, detect_in_order(source, finder, every=1)):
            hidden = np.zeros(result.frame.image.shape[:2], bool)
            for box in enlarged(boxes.pop()):
                part(hidden, *box)[:] = True
            yield result.frame.index, hidden


def part(image: Hidden, x1: float, y1: float, x2: float, y2: float) -> Hidden:
    """Return the part of an image in a box, as a view."""
    rows, columns = slice(max(0, round(y1)), max(0, round(y2))), slice(max(0, round(x1)), max(0, round(x2)))
    return image[rows, columns]


if __name__ == "__main__":
    main()
