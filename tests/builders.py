"""Small real things that tests are made of."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import supervision as sv

from humandetect.media.frames import DetectedFrame, Frame

if TYPE_CHECKING:
    from collections.abc import Sequence


def picture(width: int = 64, height: int = 48, *, shade: int = 0) -> np.ndarray:
    """A BGR gradient that changes with `shade`, so that frames can be told apart."""
    row = np.linspace(0, 200, width, dtype=np.uint8)
    image = np.repeat(row[None, :, None], height, axis=0).repeat(3, axis=2)
    image[..., 2] = shade % 256
    return np.ascontiguousarray(image)


def frame(index: int = 0, *, width: int = 64, height: int = 48, fps: float = 10, source: str = "clip.mp4") -> Frame:
    return Frame(picture(width, height, shade=index * 8), index=index, time_seconds=index / fps, source=source)


def people(boxes: Sequence[Sequence[float]], scores: Sequence[float] | None = None) -> sv.Detections:
    if not boxes:
        return sv.Detections.empty()
    confidence = np.array(scores if scores is not None else [0.9] * len(boxes), np.float32)
    return sv.Detections(
        xyxy=np.array(boxes, np.float32), confidence=confidence, class_id=np.ones(len(boxes), dtype=int)
    )


def detected(index: int = 0, boxes: Sequence[Sequence[float]] = (), **options: object) -> DetectedFrame:
    return DetectedFrame(frame(index, **options), people(boxes))  # type: ignore[arg-type]


def make_clip(path: Path, *, ticks: Sequence[int] = (), **options: Any) -> Path:
    """Write a clip with the options of `write_clip`, which is encoded once for all tests of a process."""
    path.write_bytes(_encoded(path.suffix, ticks=tuple(ticks), **options))
    return path


@cache
def _encoded(ending: str, **options: Any) -> bytes:
    with TemporaryDirectory() as folder:
        return write_clip(Path(folder) / f"clip{ending}", **options).read_bytes()


def write_clip(
    path: Path,
    *,
    frames: int = 20,
    fps: int = 10,
    width: int = 64,
    height: int = 48,
    audio: str | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 5,
    ticks: Sequence[int] = (),
    **options: str,
) -> Path:
    """Write a clip; `audio` names a codec for a quiet tone as long as the pictures.

    Timestamps are frame / fps, or with `ticks` those / fps.
    """
    with av.open(str(path), "w", options=options) as out:
        video_options = {"g": str(gop), "preset": "superfast"} if codec == "libx264" else {}
        video = cast("av.VideoStream", out.add_stream(codec, rate=fps, options=video_options))
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        sound = cast("av.AudioStream", out.add_stream(audio, rate=48000, layout="mono")) if audio else None
        for index in range(frames):
            image = av.VideoFrame.from_ndarray(picture(width, height, shade=index * 8), format="bgr24")
            if ticks:
                image.pts, image.time_base = ticks[index], Fraction(1, fps)
            out.mux(video.encode(image))
            if sound is not None:
                out.mux(sound.encode(tone(index, samples=48000 // fps)))
        out.mux(video.encode(None))
        if sound is not None:
            out.mux(sound.encode(None))
    return path


def tone(index: int, samples: int) -> av.AudioFrame:
    """Return the next piece of a quiet tone at 48 kHz."""
    wave = (np.sin(np.arange(samples) * 0.06) * 3000).astype(np.int16)
    chunk = av.AudioFrame.from_ndarray(wave[None, :], format="s16", layout="mono")
    chunk.sample_rate, chunk.pts, chunk.time_base = 48000, index * samples, Fraction(1, 48000)
    return chunk
