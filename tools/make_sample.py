"""Make the samples: `examples/plaza.mp4`, cut from OpenCV's clip `vtest.avi` of Debian's package `opencv-doc`, and of
that the picture of `humandetect serve`, with the people that the default model finds in it.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import av
import numpy as np

from humandetect.config import DEFAULT_MODEL
from humandetect.detection.detector import open_detector
from humandetect.media.frames import people_in
from humandetect.media.images import decode_image, encode_jpeg
from humandetect.models.find import find_model

SERVICE = Path("humandetect/service")
PICTURE_FRAME = 108
"""Seven people, each at 0.72 or above with the default model, and nothing else above 0.3."""

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


def picture(clip: Path, target: Path) -> None:
    """Save the frame in which the default model is surest of who is there and who is not."""
    with av.open(str(clip)) as sample:
        frame = next(islice(sample.decode(video=0), PICTURE_FRAME, None))
        target.write_bytes(encode_jpeg(frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)))


def answer(picture: Path, target: Path) -> None:
    """Write down who is in the picture, in float32, and of which graph that is the answer."""
    model = find_model(DEFAULT_MODEL)
    with open_detector(engine="openvino", precision="f32") as detector:
        found = people_in(detector.detect(decode_image(picture.read_bytes(), max_megapixels=1)))
        people = [{"box": person.box, "score": person.score} for person in found]
    target.write_text(
        json.dumps({"sha256": model.metadata.sha256, "people": people}, indent=1) + "\n", encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", help="usr/share/doc/opencv-doc/examples/data/vtest.avi")
    parser.add_argument("--output", type=Path, default=Path("examples/plaza.mp4"))
    args = parser.parse_args()
    if args.source is not None:
        cut(args.source, args.output)
    picture(args.output, SERVICE / "static" / "sample.jpg")
    answer(SERVICE / "static" / "sample.jpg", SERVICE / "sample.json")
    for made in (args.output, SERVICE / "static" / "sample.jpg", SERVICE / "sample.json"):
        print(f"{made}: {made.stat().st_size / 1e6:.3f} MB")


if __name__ == "__main__":
    main()
