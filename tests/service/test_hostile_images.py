"""Pictures made to hurt: refused from their header, with little memory, in words that help."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from humandetect.errors import SourceError
from humandetect.media.decode_limits import MAX_SCANS
from humandetect.media.images import decode_image, read_size
from tests.service.images import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("JPEG", "PNG")
MEGABYTE = 1_000_000
LITTLE_MEMORY = 50 * MEGABYTE


def decoded(data: bytes) -> np.ndarray:
    return decode_image(data, max_megapixels=50, formats=FORMATS)


def refusal(data: bytes) -> str:
    with pytest.raises(SourceError) as caught:
        decoded(data)
    with pytest.raises(SourceError) as from_header:
        read_size(io.BytesIO(data), max_megapixels=50, formats=FORMATS)
    assert str(caught.value) == str(from_header.value)
    return str(caught.value)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, width: int = 4, height: int = 4, after: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(min(MEGABYTE, height * (1 + 3 * width)))))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + after + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_with(inserted: bytes) -> bytes:
    whole = jpeg()
    return whole[:2] + inserted + whole[2:]


def jpeg_of(width: int, height: int) -> bytes:
    whole = jpeg()
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RED = Image.new("RGB", (40, 30), (200, 10, 10))
TAGS = b"II*\0" + struct.pack("<IH", 8, 65535) + b"".join(
    struct.pack("<HHII", tag, 4, 1, 1) for tag in range(65535) if tag != 0x0112
)  # fmt: skip
HONEST = "30 megapixels"
INFLATED = zlib.compress(bytes(MEGABYTE), 9)

BOMB_REASON = r"damaged|scans|too many small parts|compressed texts|bytes of Exif"
PIXEL_BOMBS = {"png": png(width=30000, height=30000), "jpeg": jpeg_of(30000, 30000)}
BOMBS: dict[str, Callable[[], bytes]] = {
    "one text of 200 MB": lambda: png(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200 * MEGABYTE), 9))),
    "one profile of 200 MB": lambda: png(chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(200 * MEGABYTE), 9))),
    "60 texts": lambda: png(*[chunk(b"zTXt", b"k%d\0\0" % index + INFLATED) for index in range(60)]),
    "60 texts after the pixels": lambda: png(
        after=b"".join(chunk(b"iTXt", b"k%d\0\1\0\0\0" % index + INFLATED) for index in range(60))
    ),
    "4000 profiles": lambda: png(chunk(b"iCCP", b"k\0\0" + INFLATED) * 4000),
    "60,000 pictures of no pixels": lambda: png(
        after=b"".join(chunk(b"fcTL", index.to_bytes(4) + bytes(22)) for index in range(60_000))
    ),
    "400,000 chunks": lambda: png(chunk(b"abCd", b"") * 400_000),
    "a million segments": lambda: jpeg_with(segment(0xE5, b"") * 1_200_000),
    "a million comments": lambda: jpeg_with(segment(0xFE, b"") * 1_200_000),
    "fill bytes": lambda: jpeg_with(b"\xff" * 4_900_000),
    "65,535 tags in a jpeg": lambda: jpeg_with(
        b"".join(segment(0xE1, b"Exif\0\0" + TAGS[at : at + 65_000]) for at in range(0, len(TAGS), 65_000))
    ),
    "65,535 tags in a png": lambda: png(chunk(b"eXIf", TAGS)),
    "a million scans": lambda: jpeg()[:-2] + b"\xff\xda\0\2" * 1_200_000,
    "a million segments after a scan": lambda: (
        jpeg()[:-2] + segment(0xE5, b"\xff\xda" * 60) + b"\xff\xe5\0\2" * 1_200_000
    ),
    "70,000 tables": lambda: jpeg_with(segment(0xDB, bytes([0, *[1] * 64])) * 70_000),
}


@pytest.mark.parametrize("kind", PIXEL_BOMBS)
def test_sixteen_bombs_at_once_are_refused_with_little_memory(kind: str) -> None:
    reasons: list[str] = []
    threads = [threading.Thread(target=lambda: reasons.append(refusal(PIXEL_BOMBS[kind]))) for _ in range(16)]
    tracemalloc.start()
    before = resident_bytes()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(reasons) == {"image of 30000 x 30000 pixels is too large (limit 50 megapixels)"}
    assert len(reasons) == 16
    assert peak < LITTLE_MEMORY
    assert resident_bytes() - before < LITTLE_MEMORY


def resident_bytes() -> int:
    import psutil

    return int(psutil.Process(os.getpid()).memory_info().rss)


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_in_the_metadata_is_refused_with_little_memory(kind: str) -> None:
    data = BOMBS[kind]()
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match=BOMB_REASON):
            decoded(data)
        with contextlib.suppress(SourceError):  # the header of some is good
            read_size(io.BytesIO(data), max_megapixels=50)
        assert tracemalloc.get_traced_memory()[1] < LITTLE_MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak")
def test_no_bomb_takes_memory_where_only_the_system_sees_it() -> None:
    """Decoders have allocators of their own; what they take shows in a process that does nothing else."""
    code = "from tests.service import test_hostile_images; test_hostile_images.print_peaks()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    peaks = {kind: int(peak) for kind, peak in (line.rsplit(" ", 1) for line in run.stdout.splitlines())}
    assert peaks.pop(HONEST) > LITTLE_MEMORY  # else nothing was measured
    assert len(peaks) == len(PIXEL_BOMBS) + len(BOMBS)
    assert {kind: peak for kind, peak in peaks.items() if peak > LITTLE_MEMORY} == {}


def print_peaks() -> None:
    """Print by how many bytes this process grew at most with each bomb."""
    decoded(jpeg())  # what the first picture loads is no bomb's doing
    pictures: dict[str, Callable[[], bytes]] = {
        **{kind: functools.partial(bytes, data) for kind, data in PIXEL_BOMBS.items()},
        **BOMBS,
        HONEST: lambda: jpeg(6000, 5000),
    }
    for kind, make in pictures.items():
        data = make()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = peak_bytes()
        with contextlib.suppress(SourceError):
            decoded(data)
        sys.stdout.write(f"{kind} {peak_bytes() - before}\n")


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_texts_and_profiles_of_honest_pictures_are_no_bombs() -> None:
    texts = [chunk(b"zTXt", b"k%d\0\0" % index + zlib.compress(b"words")) for index in range(15)]
    assert decoded(png(*texts, chunk(b"tEXt", b"k\0" + b"a" * MEGABYTE))).shape == (4, 4, 3)
    assert decoded(jpeg_with(segment(0xE2, bytes(60_000)) * 80)).shape == (48, 64, 3)


def test_a_png_in_many_honest_chunks_is_decoded() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (900, 900, 3), np.uint8)
    whole = saved(Image.fromarray(noise), "PNG")
    begin = whole.index(b"IDAT") - 4
    stream = b"".join(zlib_parts(whole))
    chunks = b"".join(chunk(b"IDAT", stream[at : at + 4096]) for at in range(0, len(stream), 4096))
    image = decoded(whole[:begin] + chunks + chunk(b"IEND", b""))
    np.testing.assert_array_equal(image, noise[..., ::-1])


def zlib_parts(whole: bytes) -> list[bytes]:
    parts, at = [], 8
    while at < len(whole):
        (length,) = struct.unpack_from(">I", whole, at)
        if whole[at + 4 : at + 8] == b"IDAT":
            parts.append(whole[at + 8 : at + 8 + length])
        at += length + 12
    return parts


def test_more_pixel_data_than_pixels_does_no_harm() -> None:
    data = png()
    at = data.index(b"IDAT") - 4
    flood = chunk(b"IDAT", zlib.compress(bytes(100 * MEGABYTE), 9))
    tracemalloc.start()
    decoded(data[:at] + flood + chunk(b"IEND", b""))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LITTLE_MEMORY


def progressive(scans: int) -> bytes:
    """A good progressive JPEG whose last scan comes again and again."""
    whole = saved(RED, "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xc4", 0, whole.rindex(b"\xff\xda")) : -2]
    return whole[:-2] + last * (scans - whole.count(b"\xff\xda")) + whole[-2:]


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    assert decoded(progressive(MAX_SCANS)).shape == (30, 40, 3)
    for scans in (MAX_SCANS + 1, 5000):
        with pytest.raises(SourceError, match=rf"^a JPEG of more than {MAX_SCANS} scans$"):
            decoded(progressive(scans))


def test_bytes_that_look_like_scans_are_not_counted_outside_the_picture() -> None:
    fake = b"\xff\xda" * 5000
    assert decoded(jpeg_with(segment(0xE5, fake))).shape == (48, 64, 3)
    assert decoded(jpeg() + fake).shape == (48, 64, 3)
    # Fill bytes, which a careless search would go through once for each of them.
    assert decoded(jpeg()[:-2] + segment(0xE5, fake) + b"\xff" * 4_900_000).shape == (48, 64, 3)


@pytest.mark.parametrize("data", [png(width=0), png(height=0), jpeg_of(0, 48), jpeg_of(64, 0)])
def test_pictures_without_pixels_are_refused(data: bytes) -> None:
    with pytest.raises(SourceError, match="damaged"):
        decoded(data)


@pytest.mark.parametrize("whole", [jpeg(), png(width=64, height=48)], ids=["jpeg", "png"])
def test_every_truncation_is_refused(whole: bytes) -> None:
    for length in range(1, len(whole) - 20, max(1, len(whole) // 50)):
        with pytest.raises(SourceError, match=r"damaged|not an image"):
            decoded(whole[:length])
    with pytest.raises(SourceError, match=r"^empty$"):
        decoded(b"")


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "TIFF", "PPM", "AVIF", "GIF", "JPEG2000"])
def test_another_picture_format_is_named(kind: str) -> None:
    assert refusal(saved(RED, kind)) == f"a {kind} image: only JPEG and PNG are taken"


def test_the_picture_of_a_telephone_is_named() -> None:
    telephone = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    assert refusal(telephone) == "a HEIC image: only JPEG and PNG are taken"
    with pytest.raises(SourceError, match="a damaged image"):
        decode_image(telephone, max_megapixels=50)


def test_a_picture_that_begins_as_another_is_the_other() -> None:
    assert refusal(b"GIF89a/*" + jpeg()) == "a GIF image: only JPEG and PNG are taken"


@pytest.mark.parametrize(
    "data",
    [
        saved(RED, "ICO"), saved(RED, "PDF"),
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>',
        b"<!DOCTYPE html><html><img src=x></html>", b"\x7fELF" + bytes(60), b"PK\3\4" + bytes(60),
        b"\n" + jpeg(), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"#define x_width 9\n",
    ],
    ids=["ico", "pdf", "svg", "html", "elf", "zip", "newline+jpeg", "eps", "xbm"],
)  # fmt: skip
def test_what_no_decoder_here_knows_is_no_image(data: bytes) -> None:
    assert refusal(data) == "not an image that can be read: only JPEG and PNG are taken"


def test_a_name_or_a_tail_of_another_kind_changes_nothing() -> None:
    page = b"<script>alert(1)</script>PK\3\4%PDF-1.7"
    assert decoded(jpeg() + page).shape == (48, 64, 3)
    assert decoded(png() + page).shape == (4, 4, 3)
    assert decoded(jpeg_with(segment(0xFE, page))).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (RED.convert("CMYK"), "JPEG"), (RED.convert("L"), "JPEG"), (RED.convert("L"), "PNG"),
        (RED.convert("RGBA"), "PNG"), (RED.convert("P"), "PNG"), (RED.convert("1"), "PNG"), (RED.convert("LA"), "PNG"),
        (Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"),
    ],
    ids=["cmyk jpeg", "gray jpeg", "gray png", "rgba png", "palette png", "1 bit png", "gray+alpha png", "16 bit png"],
)  # fmt: skip
def test_honest_pictures_of_every_mode_are_taken(image: Image.Image, kind: str) -> None:
    assert decoded(saved(image, kind)).shape == (30, 40, 3)


def test_a_palette_with_a_transparent_colour_lies_on_white() -> None:
    image = Image.new("P", (40, 30), 0)
    image.putpalette([0, 0, 0, 200, 10, 10])
    image.paste(1, (0, 0, 20, 30))
    pixels = decoded(saved(image, "PNG", transparency=0))
    assert pixels[15, 5].tolist() == [10, 10, 200]
    assert pixels[15, 35].tolist() == [255, 255, 255]


def test_a_picture_taken_upright_comes_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in FORMATS:
        assert decoded(saved(RED, kind, exif=exif)).shape == (40, 30, 3)


@pytest.mark.parametrize("kind", ["MPO", "PNG"])
def test_of_many_pictures_in_a_file_the_first_counts(kind: str) -> None:
    data = saved(RED, kind, save_all=True, append_images=[Image.new("RGB", (40, 30), (10, 10, 200))])
    assert decoded(data)[15, 20, 2] > 150


def test_sixteen_threads_decode_the_same_pixels() -> None:
    data = jpeg(320, 240)
    expected = decoded(data)
    wrong: list[int] = []

    def decode_many() -> None:
        wrong.extend(1 for _ in range(20) if not np.array_equal(decoded(data), expected))

    threads = [threading.Thread(target=decode_many) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
