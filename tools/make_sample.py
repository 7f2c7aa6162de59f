"""Cut `examples/plaza.mp4` from OpenCV's sample clip `vtest.avi`, which Debian's package `opencv-doc` holds."""

from __future__ import annotations

import argparse
from pathlib import Path

import av

START_SECONDS = 57
"""From here on the clip shows most people: 6.8 in the average frame, 10 different ones."""
SECONDS = 22
ENCODER_OPTIONS = {"crf": "23", "preset": "veryslow", "threads": "1"}
"""Under 2 MB; one thread, so that the same x264 writes the same bytes."""


def cut(source: Path, target: Path) -> None:
    """Encode the chosen seconds as H.264 that plays everywhere and starts before it is fully loaded."""
    with av.open(str(source)) as clip, av.open(str(target), "w", options={"movflags": "+faststart"}) as sample:
        video = clip.streams.video[0]
        rate = video.average_rate
        assert rate is not None
        encoded = sample.add_stream("libx264", rate=rate, options=ENCODER_OPTIONS)
        encoded.width, encoded.height, encoded.pix_fmt = video.width, video.height, "yuv420p"
        first, last = int(START_SECONDS * rate), int((START_SECONDS + SECONDS) * rate)
        for index, frame in enumerate(clip.decode(video)):
            if first <= index < last:
                frame.pts, frame.time_base = index - first, 1 / rate
                sample.mux(encoded.encode(frame.reformat(format="yuv420p")))
        sample.mux(encoded.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="usr/share/doc/opencv-doc/examples/data/vtest.avi")
    parser.add_argument("--output", type=Path, default=Path("examples/plaza.mp4"))
    args = parser.parse_args()
    cut(args.source, args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
