"""Presets of x264 on the annotated 720p clip: CPU time, size, closeness to the original. The default comes from here.

python benchmarks/presets.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import av
import cv2
import numpy as np
from common import clip_720p, measured, parser, print_machine, print_table, say

from humandetect.config import Preset, SourceConfig
from humandetect.detection.detector import open_detector
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.frames import DetectedFrame
from humandetect.media.sinks.video import VideoSink
from humandetect.media.sources import open_source

if TYPE_CHECKING:
    from humandetect.media.frames import VideoInfo

FRAMES = 100


def main() -> None:
    args = parser(__doc__).parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = args.clip or clip_720p(folder)
        with open_source(str(clip), SourceConfig(limit=FRAMES)) as source, open_detector() as detector:
            info = source.info
            results = [DetectedFrame(frame, detector.detect(frame.image)) for frame in source]
        annotator = Annotator()
        for result in results:
            annotator.draw(result)
        rows = [_row(preset, results, info, folder / "out.mp4") for preset in get_args(Preset)]
    print_table("Presets of x264", ["", "CPU ms/frame", "kbit/s", "PSNR-Y dB"], rows)


def _row(preset: Preset, results: list[DetectedFrame], info: VideoInfo, path: Path) -> list[str]:
    with measured() as cost, VideoSink(path, info, preset=preset) as sink:
        for result in results:
            sink.write(result)
        sink.close()
        cost.frames = len(results)
    with av.open(str(path)) as video:
        seconds = video.duration / av.time_base if video.duration else 0.0
        psnr = [_psnr(frame.to_ndarray(), results[at]) for at, frame in enumerate(video.decode(video=0))]
    kilobits = path.stat().st_size * 8 / 1000 / seconds
    say(preset)
    return [preset, f"{cost.cpu_ms:.2f}", f"{kilobits:.0f}", f"{np.mean(psnr):.2f}"]


def _psnr(written: np.ndarray, result: DetectedFrame) -> float:
    """Compare luma with luma: both through the range that video uses."""
    luma = cv2.cvtColor(result.frame.image, cv2.COLOR_BGR2YUV_I420)
    height = result.frame.image.shape[0]
    error = np.mean((written[:height].astype(np.float32) - luma[:height]) ** 2)
    return float(10 * np.log10(255**2 / error))


if __name__ == "__main__":
    main()
