"""Each stage of `detect` alone, the whole run, and the naive loop that it replaces: ratios in one run on one machine.

python benchmarks/pipeline.py [--engine openvino|tensorflow] [--precision auto|f32|bf16] [--preset veryfast]
"""

from __future__ import annotations

import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
from common import Cost, PlainModel, clip_720p, measured, parser, print_machine, print_table, say

from humandetect.config import DetectConfig, EngineConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.frames import DetectedFrame, Frame
from humandetect.media.sinks.video import VideoSink
from humandetect.media.sources import open_source
from humandetect.pipeline.run import NoProgress, run

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_FRAMES = 100
"""Decoded frames kept in memory for the stages that need them: 280 MB."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--engine", default="openvino", choices=["openvino", "tensorflow"])
    options.add_argument("--precision", default="auto", choices=["auto", "f32", "bf16"])
    options.add_argument("--preset", default=DetectConfig(()).preset)
    options.add_argument("--rounds", type=int, default=3, help="medians of this many interleaved rounds")
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = args.clip or clip_720p(folder)
        engine = EngineConfig(engine=args.engine, precision=args.precision)
        with Detector(load_engine(engine)) as detector:
            print(f"* settings: {detector.engine.info.engine}, x264 {args.preset}, {clip.name}")
            frames = _frames(clip)
            stages: dict[str, Callable[[], Cost]] = {
                "decode to BGR": lambda: _decode(clip),
                "shrink": lambda: _shrink(detector, frames),
                "infer": lambda: _infer(detector, frames),
                "draw": lambda: _draw(detector, frames),
                "encode": lambda: _encode(frames, folder, args.preset),
            }
            _report(stages, clip, engine, folder, args)


def _report(stages: dict[str, Callable[[], Cost]], clip: Path, engine: EngineConfig, folder: Path, args: Any) -> None:
    naive = NaiveLoop()
    rounds: dict[str, list[Cost]] = {}
    for number in range(args.rounds):  # interleaved: a machine that drifts hurts all alike
        for name, stage in stages.items():
            rounds.setdefault(name, []).append(stage())
        rounds.setdefault("run, video", []).append(_whole(clip, engine, args.preset, output=folder / "out.mp4"))
        rounds.setdefault("run, results", []).append(_whole(clip, engine, args.preset, results=folder / "out.jsonl"))
        rounds.setdefault("naive loop", []).append(naive.run(clip, folder / "naive.mp4"))
        say(f"round {number + 1} of {args.rounds}")
    cells = [
        [name, f"{_median(costs, 'cpu_ms'):.2f}", f"{_median(costs, 'fps'):.1f}", f"{_median(costs, 'busy'):.0%}"]
        for name, costs in rounds.items()
    ]
    print_table(f"Medians of {args.rounds} rounds", ["", "CPU ms/frame", "frames/s", "cores busy"], cells)
    _print_ratios(rounds, alone=sum(_median(rounds[name], "cpu_ms") for name in stages))


def _print_ratios(rounds: dict[str, list[Cost]], *, alone: float) -> None:
    no_video = alone - _median(rounds["draw"], "cpu_ms") - _median(rounds["encode"], "cpu_ms")
    video, results = rounds["run, video"], rounds["run, results"]
    ratios = {
        f"run with video: CPU against the {alone:.2f} ms of its stages": _median(video, "cpu_ms") / alone,
        "run with video: frame rate against the naive loop": _ratio(video, rounds["naive loop"]),
        f"run with results: CPU against the {no_video:.2f} ms of its stages": _median(results, "cpu_ms") / no_video,
        "run with results: frame rate against the engine alone": _ratio(results, rounds["infer"]),
    }
    print_table("Ratios", ["", "times"], [[name, f"{ratio:.2f}"] for name, ratio in ratios.items()])


def _median(costs: list[Cost], what: str) -> float:
    return float(statistics.median(getattr(cost, what) for cost in costs))


def _ratio(costs: list[Cost], others: list[Cost]) -> float:
    """Median of the ratios round by round."""
    return statistics.median(cost.fps / other.fps for cost, other in zip(costs, others, strict=True))


def _frames(clip: Path) -> list[Frame]:
    with open_source(str(clip), SourceConfig(limit=HELD_FRAMES)) as source:
        return list(source)


def _decode(clip: Path) -> Cost:
    with open_source(str(clip), SourceConfig()) as source, measured() as cost:
        cost.frames = sum(1 for _ in source)
    return cost


def _shrink(detector: Detector, frames: list[Frame]) -> Cost:
    with measured() as cost:
        for frame in frames:
            detector.prepare(frame.image)
        cost.frames = len(frames)
    return cost


def _infer(detector: Detector, frames: list[Frame]) -> Cost:
    """Keep the engine as busy as it can be, on frames that are ready in memory."""
    info = detector.engine.info
    ready = [detector.prepare(frame.image) for frame in frames] * 3
    batches = [ready[at : at + info.best_batch] for at in range(0, len(ready), info.best_batch)]
    with ThreadPoolExecutor(info.parallel) as pool, measured() as cost:
        for _ in pool.map(detector.infer, batches):
            pass
        cost.frames = len(ready)
    return cost


def _draw(detector: Detector, frames: list[Frame]) -> Cost:
    results = [DetectedFrame(frame, detector.detect(frame.image)) for frame in frames]
    annotator = Annotator()
    with measured() as cost:
        for result in results:
            annotator.draw(result)
        cost.frames = len(results)
    return cost


def _encode(frames: list[Frame], folder: Path, preset: Any) -> Cost:
    import supervision as sv

    with open_source(str(clip_720p(folder)), SourceConfig()) as source:
        info = source.info
    with measured() as cost:
        sink = VideoSink(folder / "encode.mp4", info, preset=preset)
        for frame in frames:
            sink.write(DetectedFrame(frame, sv.Detections.empty()))
        sink.close()
        cost.frames = len(frames)
    return cost


class _FromFirstFrame(NoProgress):
    """Measures a run from its first frame on, as the summary does."""

    def start(self, _name: str, _total: int | None) -> None:
        self._context = measured()
        self.cost = self._context.__enter__()

    def advance(self, _result: DetectedFrame) -> None:
        self.cost.frames += 1

    def stop(self) -> None: ...

    def end(self) -> Cost:
        self._context.__exit__(None, None, None)
        return self.cost


def _whole(
    clip: Path, engine: EngineConfig, preset: Any, *, output: Path | None = None, results: Path | None = None
) -> Cost:
    progress = _FromFirstFrame()
    config = DetectConfig(
        sources=(str(clip),), output=output, results=(str(results),) if results else (), engine=engine, preset=preset
    )
    summary = run(config, progress=progress)
    assert not summary.failures, summary.failures
    return progress.end()


class NaiveLoop:
    """What people write first: one thread, OpenCV in and out, the model called frame by frame."""

    def __init__(self) -> None:
        self._model = PlainModel()

    def run(self, clip: Path, output: Path) -> Cost:
        video = cv2.VideoCapture(str(clip))
        size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), video.get(cv2.CAP_PROP_FPS), size)
        with measured() as cost:
            while True:
                good, image = video.read()
                if not good:
                    break
                rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                for box, _ in self._model(rgb, score=0.5):
                    x1, y1, x2, y2 = (box * [*size, *size]).astype(int).tolist()
                    cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 2)
                writer.write(image)
                cost.frames += 1
            writer.release()
        return cost


if __name__ == "__main__":
    main()
