"""How well tracks follow people, and crossings and visits are counted, on clips whose people are known.

python benchmarks/counting.py --clips VIDEO=GROUNDTRUTH.txt=SCENE.toml ... [--models NAME ...] [--every N]

The events that are true are those of the true tracks at the same lines and zones. `off` is the count error: what each
line and way is off, summed, as a share of the crossings. In bf16 where the processor has it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import parser, print_machine, print_table, say

from humandetect import detect_video, open_detector
from humandetect.analytics.evaluate import evaluate
from humandetect.config import EvalConfig

if TYPE_CHECKING:
    from humandetect.analytics.evaluate import Evaluation
    from humandetect.detection.detector import Detector


def main() -> None:
    arguments = parser(__doc__, clip=False)
    arguments.add_argument("--clips", nargs="+", required=True, metavar="VIDEO=GROUNDTRUTH=SCENE")
    arguments.add_argument("--models", nargs="*", default=("human_detection", "movenet_multipose"), metavar="NAME")
    arguments.add_argument("--every", type=int, default=1, metavar="N", help="detect each Nth frame")
    chosen = arguments.parse_args()
    print_machine()
    rows, zones = [], []
    for model in chosen.models:
        with open_detector(model, engine="openvino") as detector:
            for clip in chosen.clips:
                video, truth, scene = map(Path, clip.split("="))
                figures = measure(detector, video, truth, scene, every=chosen.every)
                rows.append([model, video.name, *_row(figures)])
                zones += [[model, video.name, *row] for row in _zones(figures)]
                say(" | ".join(rows[-1]))
    head = ["model", "clip", "MOTA", "IDF1", "HOTA", "id switches", "crossings", "counted", "F1", "off"]
    print_table("Tracks and crossings", head, rows)
    head = ["model", "clip", "zone", "visits", "counted", "person-seconds", "counted"]
    print_table("Zones", head, zones)


def measure(detector: Detector, video: Path, truth: Path, scene: Path, *, every: int) -> Evaluation:
    """Follow people in a clip as `detect --track` does, and judge what it writes as `eval` does."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "tracks.jsonl"
        detect_video(video, results=results, detector=detector, track=True, every=every)
        return evaluate(EvalConfig(results, truth=truth, scene=scene, every=every))


def _row(figures: Evaluation) -> list[str]:
    tracks, events = figures.tracks, figures.events
    assert tracks is not None
    assert events is not None
    shares = (f"{share:.1%}" for share in (tracks.mota, tracks.idf1, tracks.hota))
    return [
        *shares, str(tracks.id_switches), str(events.true), str(events.counted), f"{events.f1:.3f}",
        f"{events.count_error:.1%}",
    ]  # fmt: skip


def _zones(figures: Evaluation) -> list[list[str]]:
    assert figures.events is not None
    return [
        [zone.name, str(zone.true), str(zone.counted), f"{zone.true_person_seconds:.1f}", f"{zone.person_seconds:.1f}"]
        for zone in figures.events.zones
    ]


if __name__ == "__main__":
    main()
