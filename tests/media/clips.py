"""Odd clips, made on the spot."""

from __future__ import annotations

import io
import re
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
from PIL import Image

from tests.builders import make_clip, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np

PAL_WIDE = Fraction(64, 45)


def write_frames(path: Path, images: Sequence[np.ndarray], *, fps: int = 10, codec: str = "libx264rgb") -> Path:
    """Write exact pixels (lossless RGB)."""
    with av.open(str(path), "w") as out:
        video = cast("av.VideoStream", out.add_stream(codec, rate=fps, options={"qp": "0"}))
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "rgb24"
        for image in images:
            out.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(video.encode(None))
    return path


def write_stamps(path: Path, stamps: Sequence[int | None], *, time_base: Fraction = Fraction(1, 1000)) -> Path:
    """Write one MJPEG frame for each timestamp, in the order given."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mjpeg", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        for index, stamp in enumerate(stamps):
            (packet,) = video.encode(av.VideoFrame.from_ndarray(picture(shade=index * 8), format="bgr24"))
            packet.time_base = time_base
            packet.pts = packet.dts = stamp
            out.mux(packet)
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Put (a, b, c, d) of a display matrix into the first track header of an MP4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def edit(path: Path, pieces: dict[float, float]) -> Path:
    """Show only pieces of an MP4 whose index comes last, told by their begins and lengths in seconds."""
    data = path.read_bytes()
    index = data.index(b"moov") - 4
    path.write_bytes(data[:index] + _edited(data[index:], pieces))
    return path


def _edited(box: bytes, pieces: dict[float, float]) -> bytes:
    """Return `moov` or `trak` with the edit lists of its tracks replaced."""
    content = b""
    at = 8
    while at < len(box):
        size, kind = struct.unpack_from(">I4s", box, at)
        inner = box[at : at + size]
        if kind == b"trak":
            inner = _edited(inner, pieces)
        if kind != b"edts":
            content += inner
        if kind == b"tkhd":
            (ticks,) = struct.unpack_from(">I", box, box.index(b"mdhd") + 16)
            rows = [
                struct.pack(">IiI", round(1000 * long), round(begin * ticks), 1 << 16) for begin, long in pieces.items()
            ]
            table = struct.pack(">IIII", 16 + 12 * len(rows), int.from_bytes(b"elst"), 0, len(rows)) + b"".join(rows)
            content += struct.pack(">I4s", 8 + len(table), b"edts") + table
        at += size
    return struct.pack(">I", 8 + len(content)) + box[4:8] + content


def damage(path: Path, *, every: int = 3, after: float = 0.3) -> Path:
    """Overwrite how every third packet of the second part of a video begins, and nothing of the container around it."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as video:
        packets = [(packet.pos, bytes(packet)[:64]) for packet in video.demux(video=0) if packet.size]
    for near, begin in packets[int(len(packets) * after) :: every]:
        start = data.index(begin, near)  # some containers say where the header of a packet is
        data[start : start + len(begin)] = (b"\xff\x00\xa5\x5a" * 16)[: len(begin)]
    path.write_bytes(data)
    return path


def cut(path: Path, part: float) -> Path:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def fast_start(path: Path, **options: object) -> Path:
    """Write a clip whose index comes first."""
    return make_clip(path, movflags="+faststart", **options)  # type: ignore[arg-type]


def late_pictures(path: Path, seconds: float) -> Path:
    """Write a clip whose pictures begin this long after its sound."""
    make_clip(path.with_suffix(".in.mkv"), audio="aac")
    with av.open(str(path.with_suffix(".in.mkv"))) as source, av.open(str(path), "w") as out:
        streams = [out.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.size and packet.pts is not None and packet.dts is not None and packet.time_base is not None:
                late = round(seconds / packet.time_base) if packet.stream.type == "video" else 0
                packet.pts, packet.dts = packet.pts + late, packet.dts + late
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    return path


def heic(width: int = 64, height: int = 48, *, orientation: int = 1) -> bytes:
    """Encode a telephone's photo, red with a blue left half."""
    from pillow_heif import from_pillow

    image = Image.new("RGB", (width, height), (200, 40, 40))
    image.paste((40, 40, 200), (0, 0, width // 2, height))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    from_pillow(image).save(out, format="HEIF", quality=90, exif=exif.tobytes())
    return out.getvalue()


def write_anamorphic(
    path: Path, aspect: Fraction = PAL_WIDE, *, codec: str = "libx264", size: tuple[int, int] = (72, 58)
) -> Path:
    """Write four pictures whose pixels are not square."""
    with av.open(str(path), "w") as out:
        video = cast("av.VideoStream", out.add_stream(codec, rate=25))
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.sample_aspect_ratio = aspect
        for index in range(4):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture(*size, shade=index), format="bgr24")))
        out.mux(video.encode(None))
    return path


def write_dhav(path: Path, frames: int) -> Path:
    """Write a clip at 25 a second as Dahua's recorders export it: each picture in a packet that tells no length."""
    make_clip(path.with_suffix(".h264"), frames=frames, fps=25)
    with av.open(str(path.with_suffix(".h264"))) as clip:
        units = [(bytes(packet), packet.is_keyframe) for packet in clip.demux(video=0) if packet.size]
    data = b""
    for number, (unit, is_key) in enumerate(units):
        told = b"\x81\0\x02\x19\x82\0\0\0" + struct.pack("<HH", 64, 48) if is_key else b""  # H.264, 25 a second, size
        size = 24 + len(told) + len(unit) + 8
        kind = b"DHAV" + bytes([0xFD if is_key else 0xFC, 0, 0, 0])
        head = kind + struct.pack("<IIIHB", number, size, 1 << 22 | 1 << 17, 40 * number, len(told))
        data += head + bytes([sum(head) & 255]) + told + unit + b"dhav" + struct.pack("<I", size)
    path.write_bytes(data)
    return path


def write_fields(path: Path, count: int, *, whole: Callable[[int], bool] = lambda _: False) -> Path:
    """Write interlaced H.264 of 64 x 64 at 25 a second, which no encoder here makes.

    Each field is a packet of its own, but for the `whole` pictures.
    """
    units = []
    for number in range(count):
        if whole(number):
            units.append((3600 * number, 3600, _picture(number)))
        else:
            units += [(3600 * number + 1800 * bottom, 1800, _picture(number, bottom=bottom)) for bottom in (0, 1)]
    raw = io.BytesIO(b"".join(unit for *_, unit in units))
    with av.open(raw, format="h264") as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.time_base = Fraction(1, 90_000)
        for stamp, duration, unit in units:
            packet = av.Packet(unit)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 90_000), stamp % 3600 == 0
            packet.pts = packet.dts = stamp
            packet.duration = duration
            out.mux(packet)
    return path


def _picture(number: int, *, bottom: int | None = None) -> bytes:
    """Write a picture, or a field, as an intra slice of raw macroblocks (I_PCM), with the parameter sets before it."""
    # Main profile, level 2.1; a frame number and an order count of 4 bits; 4 x 2 map units in fields, nothing else.
    sequence = f"{77:08b}{0:08b}{21:08b}" + _golomb(0, 0, 0, 0, 1) + "0" + _golomb(3, 1) + "001000"
    picture_set = _golomb(0, 0) + "00" + _golomb(0, 0, 0) + "000" + _golomb(0, 0, 0) + "000"
    which = "0" if bottom is None else f"1{bottom}"
    slice_head = _golomb(0, 7, 0) + "0000" + which + ("" if bottom else _golomb(number % 2))
    bits = slice_head + f"{bottom or 0:04b}" + ("0" if bottom else "00") + _golomb(0)
    for _ in range(16 if bottom is None else 8):
        bits += _golomb(25)
        bits += "0" * (-len(bits) % 8) + f"{16 + 2 * number % 200:08b}" * 256 + f"{128:08b}" * 128
    sets = b"" if bottom else _nal(0x67, sequence) + _nal(0x68, picture_set)
    return sets + _nal(0x61 if bottom else 0x65, bits)


def _golomb(*values: int) -> str:
    return "".join("0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}" for value in values)


def _nal(head: int, bits: str) -> bytes:
    bits += "1"
    data = int(bits + "0" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8))
    return b"\0\0\0\1" + bytes([head]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", data)
