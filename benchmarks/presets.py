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
from common import clip_720p, measured, parser, print_machine

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
        print(f"\n{'preset':<12}{'CPU ms/frame':>14}{'kbit/s':>10}{'PSNR-Y dB':>12}")
        for preset in get_args(Preset):
            _print_row(preset, results, info, folder / "out.mp4")


def _print_row(preset: Preset, results: list[DetectedFrame], info: VideoInfo, path: Path) -> None:
    with measured() as cost, VideoSink(path, info, preset=preset) as sink:
        for result in results:
            sink.write(result)
        sink.close()
        cost.frames = len(results)
    with av.open(str(path)) as video:
        seconds = video.duration / av.time_base if video.duration else 0.0
        psnr = [_psnr(frame.to_ndarray(), results[at]) for at, frame in enumerate(video.decode(video=0))]
    kilobits = path.stat().st_size * 8 / 1000 / seconds
    print(f"{preset:<12}{cost.cpu_ms:>14.2f}{kilobits:>10.0f}{np.mean(psnr):>12.2f}")


def _psnr(written: np.ndarray, result: DetectedFrame) -> float:
    """Compare luma with luma: both through the range that video uses."""
    luma = cv2.cvtColor(result.frame.image, cv2.COLOR_BGR2YUV_I420)
    height = result.frame.image.shape[0]
    error = np.mean((written[:height].astype(np.float32) - luma[:height]) ** 2)
    return float(10 * np.log10(255**2 / error))


if __name__ == "__main__":
    main()
