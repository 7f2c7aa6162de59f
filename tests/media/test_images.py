"""Promises of the still-picture codec."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import threading
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from humandetect.errors import SourceError
from humandetect.media.av1_sizes import coded_sizes
from humandetect.media.image_headers import is_image
from humandetect.media.images import count_pictures, decode_image, each_picture, encode_jpeg, read_size, upright
from tests.builders import picture


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return decode_image(data, max_megapixels=50)


def four_corners() -> Image.Image:
    """Red, green, blue and white quarters of an upright 32 x 16 picture."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[:8, 16:], pixels[8:, :16], pixels[8:, 16:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_every_format_gives_the_same_bgr_pixels(kind: str) -> None:
    bgr = picture()
    image = decoded(encoded(Image.fromarray(bgr[..., ::-1]), kind, **({"lossless": True} if kind == "WEBP" else {})))
    np.testing.assert_array_equal(image, bgr)
    assert image.flags.writeable


def test_jpeg_survives_a_round_trip() -> None:
    image = decoded(encode_jpeg(picture(), quality=95))
    assert np.abs(image.astype(int) - picture()).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_every_pixel_mode_looks_like_its_picture(mode: str) -> None:
    gray = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (16, 1))
    if mode == "I;16":
        source = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "F":
        source = Image.fromarray(gray.astype(np.float32) / 255)
    else:
        source = Image.fromarray(gray).convert("RGB").convert(mode)
    kind = "TIFF" if mode in {"CMYK", "YCbCr", "F"} else "PNG"
    image = decoded(encoded(source, kind))
    assert image.shape == (16, 64, 3)
    assert image.dtype == np.uint8
    assert image[:, :4].mean() < 25
    assert image[:, -4:].mean() > 230


def test_cmyk_jpeg_keeps_its_colours() -> None:
    image = decoded(encoded(four_corners().convert("CMYK"), "JPEG", quality=95))
    blue, green, red = image[4, 8]
    assert red > 200
    assert max(blue, green) < 60


def test_transparent_pixels_become_white() -> None:
    image = decoded(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))))
    assert image.min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_undone(orientation: int, kind: str) -> None:
    lie_down = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = four_corners().transpose(lie_down[orientation]) if orientation > 1 else four_corners()
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif)

    image = decoded(data)

    assert image.shape == (16, 32, 3)
    assert read_size(io.BytesIO(data), max_megapixels=50) == (32, 16)
    expected = np.asarray(four_corners())[..., ::-1]
    assert np.abs(image.astype(int) - expected).mean() < 12


def test_unknown_orientation_leaves_the_picture_alone() -> None:
    np.testing.assert_array_equal(upright(picture(), 99), picture())


def huge_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def huge_jpeg() -> bytes:
    data = encode_jpeg(picture())
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 30000, 30000) + data[at + 4 :]


def large_webp(kind: bytes) -> bytes:
    """Claim 3000 x 2000 pixels, in the words of each kind of WebP."""
    size = {
        b"VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 3000, 2000),
        b"VP8L": b"\x2f" + struct.pack("<I", 2999 | 1999 << 14),
        b"VP8X": bytes(4) + (2999).to_bytes(3, "little") + (1999).to_bytes(3, "little"),
    }[kind]
    return b"RIFF" + struct.pack("<I", 100) + b"WEBP" + kind + struct.pack("<I", 88) + size.ljust(88, b"\0")


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L", b"VP8X"])
def test_the_size_limit_of_webp_is_ours_alone(kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    for most in (0.1, 5.9):
        with pytest.raises(SourceError, match=rf"image of 3000 x 2000 pixels .*limit {most:g} megapixels"):
            decode_image(large_webp(kind), max_megapixels=most)
    with pytest.raises(SourceError, match=r"a damaged image: (could not create decoder|failed to read next frame)"):
        decode_image(large_webp(kind), max_megapixels=6)
    assert decoded(encoded(NOISE, "WEBP")).shape == (200, 200, 3)
    assert Image.MAX_IMAGE_PIXELS == 10_000


@pytest.mark.parametrize("data", [huge_png(), huge_jpeg()], ids=["png", "jpeg"])
def test_image_bomb_is_refused_from_its_header(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", explode)
    with pytest.raises(SourceError, match=r"image of 30000 x 30000 pixels is too large \(limit 50 megapixels\)"):
        decoded(data)


@pytest.mark.parametrize("animated", [False, True])
def test_an_avif_that_lies_about_its_size_is_refused_before_it_is_decoded(
    animated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    more = {"save_all": True, "append_images": [Image.new("RGB", (512, 384))]} if animated else {}
    data = bytearray(encoded(Image.new("RGB", (512, 384), "red"), "AVIF", speed=10, **more))
    for said in re.finditer(b"ispe....(?=\0\0\2\0\0\0\1\x80)", data, re.DOTALL):
        data[said.end() : said.end() + 8] = struct.pack(">II", 64, 48)
    if animated:
        data = data.replace(b"iloc", b"free")  # only as a film
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", explode)
    with pytest.raises(SourceError, match=r"image of 512 x 384 pixels is too large"):
        decode_image(bytes(data), max_megapixels=0.1)
    with pytest.raises(SourceError, match=r"image of 512 x 384 pixels is too large"):
        read_size(io.BytesIO(data), max_megapixels=0.1)


def test_an_avif_that_is_said_to_be_huge_is_told_as_that_not_as_damaged() -> None:
    """Its tiles may be small."""
    data = bytearray(encoded(Image.new("RGB", (64, 48)), "AVIF", speed=10))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 30_000, 20_000)
    with pytest.raises(SourceError, match=r"image of 30000 x 20000 pixels is too large \(limit 50 megapixels\)"):
        decode_image(bytes(data), max_megapixels=50)


def test_sizes_in_an_avif_are_read_from_every_kind_of_it() -> None:
    for mode, subsampling in (("L", "4:0:0"), ("RGB", "4:4:4"), ("RGBA", "4:2:0")):
        data = encoded(Image.new(mode, (50, 30)), "AVIF", speed=10, subsampling=subsampling)
        assert set(coded_sizes(io.BytesIO(data))) == {(50, 30)}


def test_an_avif_of_too_many_parts_is_refused_before_they_are_read() -> None:
    data = encoded(Image.new("RGB", (50, 30)), "AVIF", speed=10)
    at = data.index(b"mdat") - 4
    with pytest.raises(SourceError, match="too many small parts"):
        decoded(data[:at] + b"\0\0\0\x08free" * 5000 + data[at:])


@pytest.mark.parametrize("place", ["before its header", "in its header", "in its resolution", "in its palette"])
def test_a_jpeg_2000_of_too_many_parts_is_refused_before_they_are_read(place: str) -> None:
    data, crumbs = encoded(Image.new("RGB", (64, 48)), "JPEG2000"), b"\0\0\0\x08free" * 5000
    if place in {"in its resolution", "in its palette"}:
        kind = b"res " if place == "in its resolution" else b"pclr"
        crumbs = (8 + len(crumbs)).to_bytes(4) + kind + crumbs
    at = data.index(b"jp2h") - 4
    length = int.from_bytes(data[at : at + 4]) + (0 if place == "before its header" else len(crumbs))
    header = length.to_bytes(4) + data[at + 4 :]
    many = crumbs + header if place == "before its header" else header[:8] + crumbs + header[8:]
    with pytest.raises(SourceError, match="too many small parts"):
        read_size(io.BytesIO(data[:at] + many), max_megapixels=1)


def test_later_headers_of_a_jpeg_2000_are_not_walked_through() -> None:
    data, crumbs = encoded(Image.new("RGB", (64, 48)), "JPEG2000"), b"\0\0\0\x08free" * 300_000
    later = (8 + len(crumbs)).to_bytes(4) + b"jp2h" + crumbs
    reads = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            reads.append(size)
            return super().read(size)

    assert read_size(Counted(data + later), max_megapixels=1) == (64, 48)
    assert len(reads) < 1000


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
def test_an_animation_in_which_little_moves_is_not_taken_for_crumbs(kind: str) -> None:
    shown = [Image.new("L", (16, 16)) for _ in range(700 if kind == "AVIF" else 300)]
    for number, image in enumerate(shown):
        image.putpixel((number % 16, number // 16 % 16), 255)
    data = encoded(shown[0], kind, save_all=True, append_images=shown[1:], **({"speed": 10} if kind == "AVIF" else {}))
    assert sum(1 for _ in each_picture(data, max_megapixels=1)) == len(shown)
    assert count_pictures(data, max_megapixels=1) == len(shown)


def test_pictures_without_pixels_do_not_add_up_to_room_for_crumbs() -> None:
    number = b"\0\0\0\x1afcTL" + bytes(30)
    with pytest.raises(SourceError, match="too many small parts"):
        next(each_picture(encoded(four_corners())[:-12] + number * 120_000, max_megapixels=1))


def test_the_size_limit_can_be_raised() -> None:
    data = encoded(Image.new("L", (1200, 1000)))
    with pytest.raises(SourceError, match="1200 x 1000"):
        decode_image(data, max_megapixels=1)
    assert decode_image(data, max_megapixels=1.2).shape == (1000, 1200, 3)


def test_truncated_image_is_an_error() -> None:
    data = encode_jpeg(picture(640, 480))
    with pytest.raises(SourceError, match="damaged"):
        decoded(data[: len(data) // 2])
    with pytest.raises(SourceError, match="damaged"):
        decoded(encoded(four_corners().convert("P"))[:-30])


@pytest.mark.parametrize("data", [b"hello world", b"%PDF-1.4", b"PK\x03\x04" + bytes(50)])
def test_what_is_no_image_is_said_to_be_none(data: bytes) -> None:
    assert not is_image(data)
    with pytest.raises(SourceError, match="not an image"):
        decoded(data)


def test_nothing_is_said_to_be_empty() -> None:
    with pytest.raises(SourceError, match="empty"):
        decoded(b"")


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))


def overwritten(data: bytes) -> bytes:
    """Damage the middle and leave beginning and end."""
    middle = len(data) // 2
    return data[:middle] + b"\xff\xc4\0\4" * 50 + data[middle + 200 :]


@pytest.mark.parametrize(
    "data",
    [
        encoded(NOISE, "JPEG")[:-500],
        overwritten(encoded(NOISE, "JPEG", progressive=True)),
        encoded(NOISE, "PNG")[:-500],
        overwritten(encoded(NOISE, "PNG")),
        overwritten(encoded(NOISE, "TIFF", compression="tiff_lzw")),
        encoded(NOISE, "WEBP")[:-500],
    ],
    ids=["cut jpeg", "damaged jpeg", "cut png", "damaged png", "damaged tiff", "cut webp"],
)
def test_a_damaged_image_is_an_error_and_prints_nothing(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="damaged"):
        decoded(data)
    assert capfd.readouterr() == ("", "")


def test_damaged_metadata_costs_only_itself() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    data = encoded(four_corners(), "JPEG", exif=exif)
    at = data.index(b"II*") if b"II*" in data else data.index(b"MM\0*")
    image = decoded(data[: at + 8] + b"\xff" * 12 + data[at + 20 :])
    assert image.shape == (16, 32, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "AVIF"])
def test_damaged_bytes_never_raise_anything_else(kind: str) -> None:
    whole = encoded(four_corners(), kind)
    random = np.random.default_rng(7)
    for _ in range(60):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 6):
            data[at] = random.integers(256)
        with contextlib.suppress(SourceError):
            assert decode_image(bytes(data), max_megapixels=1).shape[2] == 3


def test_damaged_header_is_an_error_not_a_crash() -> None:
    for data in (b"\x89PNG\r\n\x1a\n" + bytes(40), b"\xff\xd8\xff" + bytes(20), b"BM" + bytes(30), b"II*\0" + bytes(9)):
        with pytest.raises(SourceError, match=r"damaged|not an image"):
            decoded(data)
        with pytest.raises(SourceError, match=r"damaged|not an image"):
            read_size(io.BytesIO(data), max_megapixels=50)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "AVIF"])
def test_a_caller_says_which_formats_it_takes(kind: str) -> None:
    data = encoded(four_corners(), kind)
    assert decode_image(data, max_megapixels=1, formats=(kind, "OTHER")).shape == (16, 32, 3)
    for refuse in (decode_image, lambda data, **options: read_size(io.BytesIO(data), **options)):
        with pytest.raises(SourceError, match=rf"^a {kind} image: only X and Y are taken$"):
            refuse(data, max_megapixels=1, formats=("X", "Y"))


WHOLE = {kind: encoded(NOISE.crop((0, 0, 40, 30)), kind) for kind in ("JPEG", "PNG")}
WHOLE["progressive"] = encoded(NOISE.crop((0, 0, 40, 30)), "JPEG", progressive=True)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good picture with bytes changed, cut out, put in, or cut off."""
    data = bytearray(WHOLE[draw(st.sampled_from(sorted(WHOLE)))])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.integers(0, 8))
        data[at:end] = draw(st.binary(max_size=8) | st.sampled_from([b"\xff\xda", b"\xff\xc2", b"IDAT", b"\xff" * 4]))
    return bytes(data[: draw(st.integers(len(data) // 2, len(data)))] if draw(st.booleans()) else data)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(mutated())
def test_mutated_bytes_give_a_picture_within_limits_or_a_reason(data: bytes) -> None:
    try:
        image = decode_image(data, max_megapixels=0.01, formats=("JPEG", "PNG"))
    except SourceError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.shape[0] * image.shape[1] <= 10_000
    assert read_size(io.BytesIO(data), max_megapixels=0.01) == (image.shape[1], image.shape[0])


def test_decoding_leaves_the_warning_filters_as_they_are() -> None:
    data = encode_jpeg(picture())
    decoded(data)
    filters = list(warnings.filters)
    for _ in range(50):
        decoded(data)
    assert warnings.filters == filters


def test_odd_metadata_is_no_warning_in_any_thread() -> None:
    data = encode_jpeg(picture())
    odd = data[:2] + b"\xff\xe2\0\x10MPF\0" + bytes(10) + data[2:]  # Pillow warns of a malformed MPO
    shapes = []
    threads = [threading.Thread(target=lambda: shapes.append(decoded(odd).shape)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [(48, 64, 3)] * 8


@pytest.mark.parametrize("height", [1, 31, 32, 33, 100])
def test_strips_join_without_a_seam(height: int) -> None:
    bgr = picture(50, height)
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(bgr[..., ::-1]))), bgr)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_decoding_takes_less_than_three_times_the_pixels(mode: str) -> None:
    data = encoded(Image.new(mode, (2000, 1500)))
    tracemalloc.start()  # NumPy's share; Pillow's own is 1 to 4 bytes a pixel
    image = decoded(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * image.nbytes


@pytest.mark.parametrize("size", [(1, 300_000), (300_000, 1), (300, 1000)])
def test_pictures_of_any_shape_are_converted_whole(size: tuple[int, int]) -> None:
    shades = np.arange(300_000, dtype=np.uint32).astype(np.uint8).reshape(size[::-1])
    assert np.array_equal(decoded(encoded(Image.fromarray(shades)))[..., 1], shades)


def test_the_size_of_a_png_is_read_without_its_pixels() -> None:
    whole = encoded(Image.new("RGB", (700, 300)))
    pixels = whole.index(b"IDAT")
    assert read_size(io.BytesIO(whole[: pixels + 8] + b"damage"), max_megapixels=50) == (700, 300)
