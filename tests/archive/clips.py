"""Small videos of people whose frames are hard to tell apart by packets: shown in another order, at uneven times."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import accumulate, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import av
import numpy as np

from tests.builders import tone
from tests.command_line import SAMPLE

EVEN, UNEVEN = (40,), (33, 40, 100)
"""Milliseconds from frame to frame."""
OPEN_GOP = {"bf": "3", "x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0"}
INTRA_REFRESH = {"bf": "0", "x264-params": "intra-refresh=1:keyint=10:scenecut=0"}
B_FRAMES = {"bf": "2", "g": "12"}
TEN = {"g": "10", "bf": "0"}
SIZE = (320, 240)


def write_people(
    path: Path, *, frames: int = 60, steps: tuple[int, ...] = EVEN, codec: str = "libx264",
    options: dict[str, str] | None = None, sound: str | None = None,
) -> Path:  # fmt: skip
    """Write the sample's first frames, small; `sound` names a codec for a tone of two seconds beside them."""
    path.write_bytes(_encoded(path.suffix, frames, steps, codec, tuple((options or {}).items()), sound))
    return path


@cache
def _encoded(
    ending: str,
    frames: int,
    steps: tuple[int, ...],
    codec: str,
    options: tuple[tuple[str, str], ...],
    sound: str | None,
) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"people{ending}"
        with av.open(str(path), "w") as video:
            stream = cast("av.VideoStream", video.add_stream(codec, rate=25, options=dict(options)))
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            if codec == "libx264":
                stream.codec_context.time_base = Fraction(1, 1000)
            beside = cast("av.AudioStream", video.add_stream(sound, rate=48_000, layout="mono")) if sound else None
            tick = stream.codec_context.time_base or Fraction(1, 25)
            times = accumulate(cycle(steps), initial=0)
            for pixels, milliseconds in zip(_people(frames), times, strict=False):
                shown = av.VideoFrame.from_ndarray(pixels, "yuv420p")
                shown.pts, shown.time_base = round(Fraction(milliseconds, 1000) / tick), tick
                video.mux(stream.encode(shown))
            video.mux(stream.encode(None))
            if beside:
                for piece in (*(tone(index, 4_800) for index in range(20)), None):
                    video.mux(beside.encode(piece))
        return path.read_bytes()


@cache
def _people(frames: int) -> list[np.ndarray]:
    with av.open(SAMPLE) as sample:
        pictures = islice(sample.decode(video=0), frames)
        return [picture.reformat(*SIZE, "yuv420p").to_ndarray().astype(np.uint8) for picture in pictures]
