"""Pictures as they should be seen: HDR in the colours of SDR, interlaced ones without combs, HD by its own matrix."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from humandetect.config import SourceConfig
from humandetect.media.sources import open_source
from tests.builders import make_clip, picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = (112, 48)
BARS = {
    "white": (1, 1, 1), "yellow": (1, 1, 0), "green": (0, 1, 0), "red": (1, 0, 0), "blue": (0, 0, 1),
    "grey": (0.2, 0.2, 0.2), "black": (0, 0, 0),
}  # fmt: skip
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Of light in BT.709."""


def pq(nits: np.ndarray) -> np.ndarray:
    root = (nits / 10_000) ** 0.1593017578125
    return np.asarray(((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375)


def hlg(nits: np.ndarray) -> np.ndarray:
    scene = (nits / 1000) ** (1 / 1.2)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright))


def sdr(nits: np.ndarray) -> np.ndarray:
    return np.asarray((nits / 203) ** (1 / 2.2))


def write_hdr(path: Path, curve: Callable[[np.ndarray], np.ndarray], transfer: int) -> Path:
    """Write the bars in 10 bits of BT.2020, white at 203 nits."""
    red, green, blue = curve(TO_2020 @ (np.array(list(BARS.values())).T ** 2.2 * 203))
    luma = 0.2627 * red + 0.678 * green + 0.0593 * blue
    values = (64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746)
    image = av.VideoFrame(*SIZE, "yuv420p10le")
    for plane, bars in zip(image.planes, values, strict=True):
        row = np.zeros(plane.line_size // 2, np.uint16)
        row[: plane.width] = bars.round().repeat(-(-plane.width // len(bars)))[: plane.width]
        plane.update(np.tile(row, plane.height).tobytes())
    image.colorspace, image.color_range, image.color_primaries, image.color_trc = 9, 1, 9, transfer
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p10le"
        context = video.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = 9, 1, 9, transfer
        for index in range(3):
            image.pts, image.time_base = index, Fraction(1, 10)
            out.mux(video.encode(image))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize(("curve", "transfer"), [(pq, 16), (hlg, 18), (sdr, 14), (sdr, 1)])
def test_hdr_and_wide_colours_have_the_colours_that_they_were_made_of(
    tmp_path: Path, curve: Callable[[np.ndarray], np.ndarray], transfer: int
) -> None:
    with open_source(str(write_hdr(tmp_path / "in.mkv", curve, transfer))) as source:
        frames = list(source)
    assert [frame.time_seconds for frame in frames] == pytest.approx([0, 0.1, 0.2])
    width = SIZE[0] // len(BARS)
    for place, (name, colour) in enumerate(BARS.items()):
        off = np.abs(frames[1].image[20, width * place + width // 2] - 255 * np.array(colour)[::-1])
        assert off.max() < 56, f"{name}: colours at the edge of what BT.709 has are the farthest off"
        assert off.mean() < 26, name


def test_hdr_is_told_once_and_only_to_those_who_ask(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "humandetect")
    with open_source(str(write_hdr(tmp_path / "in.mkv", pq, 16))) as source:
        list(source)
        assert source.warnings == []
    assert [one.getMessage() for one in caplog.records if "PQ is mapped to SDR" in one.getMessage()] != []


_TOP_FIRST, _BOTTOM_FIRST = 2, 3
"""Of libav's AVFieldOrder."""


def combed(shift: int, *, first: int = 0) -> np.ndarray:
    """A bar that moves from the field of the `first` line to the other."""
    image = np.full((*SIZE[::-1], 3), 30, np.uint8)
    image[first::2, shift : shift + 16] = image[1 - first :: 2, shift + 8 : shift + 24] = 220
    return image


def write_interlaced(path: Path, frames: int = 8, *, codec: str = "mpeg2video", order: int = 0) -> Path:
    """Of `order` tells the container, too."""
    options = {"flags": "+ildct+ilme", "qscale": "2"} if codec == "mpeg2video" else {}
    with av.open(str(path), "w") as out:
        video = cast("av.VideoStream", out.add_stream(codec, rate=25, options=options))
        video.width, video.height, video.pix_fmt = *SIZE, "yuvj422p" if codec == "mjpeg" else "yuv420p"
        video.codec_context.field_order = order
        for index in range(frames):
            image = av.VideoFrame.from_ndarray(combed(3 * index, first=order == _BOTTOM_FIRST), format="bgr24")
            out.mux(video.encode(image))
        out.mux(video.encode(None))
    return path


def combs(image: np.ndarray) -> float:
    """How much lines differ from those beside them, where a line on has less."""
    lines = image.astype(float).mean(axis=2)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


@pytest.mark.parametrize("ending", [".ts", ".mp4", ".mkv"])
def test_interlaced_pictures_come_whole_as_many_and_when_they_were(tmp_path: Path, ending: str) -> None:
    assert_whole(write_interlaced(tmp_path / f"in{ending}"))


@pytest.mark.parametrize(("ending", "codec"), [(".mov", "mjpeg"), (".mkv", "mjpeg"), (".mkv", "ffv1")])
@pytest.mark.parametrize("order", [_TOP_FIRST, _BOTTOM_FIRST])
def test_those_are_that_only_the_container_calls_interlaced(
    tmp_path: Path, ending: str, codec: str, order: int
) -> None:
    assert_whole(write_interlaced(tmp_path / f"in{ending}", codec=codec, order=order))


def assert_whole(path: Path) -> None:
    with av.open(str(path)) as video:
        raw = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]
    with open_source(str(path)) as source:
        frames = list(source)
    assert len(frames) == len(raw) == 8
    assert [frame.time_seconds for frame in frames] == pytest.approx([index / 25 for index in range(8)], abs=1e-3)
    assert np.mean([combs(frame.image) for frame in frames]) < 0.5 * np.mean(list(map(combs, raw)))


def test_numbers_of_interlaced_frames_are_the_same_from_a_later_start(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path / "in.mp4", frames=40)
    with open_source(str(path), SourceConfig(start_seconds=1.0)) as source:
        first = next(iter(source))
    assert (first.index, round(first.time_seconds, 3)) == (25, 1.0)


def test_progressive_pictures_are_left_alone(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4")
    with av.open(str(path)) as video:
        raw = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]
    with open_source(str(path)) as source:
        assert all((frame.image == before).all() for frame, before in zip(source, raw, strict=True))


@pytest.mark.parametrize(
    ("size", "tag", "matrix"),
    [
        ((1280, 720), 2, Colorspace.ITU709),
        ((720, 576), 2, Colorspace.ITU601),
        ((1280, 720), 6, Colorspace.ITU601),
        ((720, 576), 1, Colorspace.ITU709),
    ],
)
def test_colours_are_read_by_the_matrix_that_is_said_or_by_the_size(
    tmp_path: Path, size: tuple[int, int], tag: Any, matrix: Any
) -> None:
    image = picture(*size)
    image[:] = (20, 200, 60)
    with av.open(str(tmp_path / "in.mkv"), "w") as out:
        video = out.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.colorspace = tag
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p", dst_colorspace=matrix)
        frame.colorspace = tag
        out.mux(video.encode(frame))
        out.mux(video.encode(None))
    with open_source(str(tmp_path / "in.mkv")) as source:
        assert np.abs(next(iter(source)).image[50, 50].astype(int) - (20, 200, 60)).max() <= 4
