"""Pictures as telephones, microscopes, thermal cameras and folders hold them."""

from __future__ import annotations

import io
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin
from PIL.ExifTags import IFD

from humandetect.config import DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import SourceError
from humandetect.media.images import count_pictures, decode_image, encode_jpeg
from humandetect.media.sources import SourceRef, expand, open_source
from humandetect.pipeline.run import run
from tests.builders import make_clip, picture
from tests.fakes import FakeEngine
from tests.media.clips import heic


def test_a_telephones_photo_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(heic())
    with open_source(str(tmp_path / "photo.heic")) as source:
        (frame,) = source
        assert source.info.kind == "image"
    assert frame.image.shape == (48, 64, 3)
    assert np.abs(frame.image[24, 16].astype(int) - (200, 40, 40)).max() < 30, "BGR, blue on the left"
    assert np.abs(frame.image[24, 48].astype(int) - (40, 40, 200)).max() < 30


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(SourceError, match=r"pip install 'humandetect\[heif\]'"):
        decode_image(data, max_megapixels=50)


def test_a_telephones_photo_that_is_too_large_is_refused() -> None:
    with pytest.raises(SourceError, match="too large"):
        decode_image(heic(640, 480), max_megapixels=0.1)


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (28_000, 32_000)], ids=["12 bits", "thermal"])
def test_what_uses_a_part_of_16_bits_is_seen(tmp_path: Path, low: int, high: int) -> None:
    deep = np.linspace(low, high, 64 * 48).reshape(48, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    image = decode_image((tmp_path / "deep.png").read_bytes(), max_megapixels=1)
    assert image.min() < 5
    assert image.max() > 250
    assert np.ptp(image, axis=2).max() == 0


def test_what_uses_all_of_16_bits_stays_as_it_is(tmp_path: Path) -> None:
    deep = np.linspace(10_000, 60_000, 64 * 48).reshape(48, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    image = decode_image((tmp_path / "deep.png").read_bytes(), max_megapixels=1)
    assert (image[..., 0] == deep >> 8).all()


@pytest.mark.parametrize("high", [4095, 60_000])
def test_a_deep_tiff_in_which_white_is_zero_is_no_negative(high: int) -> None:
    deep = np.linspace(0, high, 64 * 48).reshape(48, 64).astype(np.uint16)
    out = io.BytesIO()
    Image.fromarray(deep).save(out, format="TIFF", tiffinfo={262: 0})
    image = decode_image(out.getvalue(), max_megapixels=1)
    assert image[0].min() > 240
    assert image[-1].max() < 30


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_deep_gray_with_transparency_is_seen_and_white_where_there_is_nothing() -> None:
    deep = np.stack([np.linspace(0, 4095, 64 * 48).reshape(48, 64), np.full((48, 64), 65_535)], axis=-1).astype(">u2")
    deep[:5, :, 1] = 0
    lines = b"".join(b"\0" + line.tobytes() for line in deep)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 16, 4, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    image = decode_image(png, max_megapixels=1)
    assert image[:5].min() == 255
    assert (image[5, 0, 0], image[-1, -1, 0]) == (26, 255)


@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_deep_tiff_whose_colours_lie_apart_keeps_them(order: str) -> None:
    """As Python writes (3, H, W)."""
    tags, out = TiffImagePlugin.ImageFileDirectory_v2(prefix=order.encode()), io.BytesIO()
    bands = np.array([60_000, 20_000, 5_000]).repeat(64 * 48).astype("<u2" if order == "II" else ">u2").tobytes()
    tags.update({256: 64, 257: 48, 258: (16,) * 3, 259: 1, 262: 2, 277: 3, 278: 48, 279: (6144,) * 3, 284: 2})
    tags[273] = (0, 6144, 2 * 6144)  # behind the tags
    tags.save(out)
    image = decode_image(out.getvalue() + bands, max_megapixels=1)
    assert (image == [5_000 >> 8, 20_000 >> 8, 60_000 >> 8]).all()


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
def test_where_a_thermal_picture_measured_nothing_it_is_black_and_the_rest_as_without(nothing: float) -> None:
    kelvin = np.linspace(280, 310, 64 * 48).reshape(48, 64).astype(np.float32)
    kelvin[:5] = nothing
    out = io.BytesIO()
    Image.fromarray(kelvin).save(out, format="TIFF")
    image = decode_image(out.getvalue(), max_megapixels=1)
    assert image[:5].max() == 0
    assert image[5].max() < 10
    assert image[-1].min() > 245


def several(path: Path, **options: Any) -> Path:
    pages = [Image.new("RGB", (64, 48), (60 * number, 0, 0)) for number in range(1, 4)]
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)
    return path


def test_the_pages_of_a_tiff_are_pictures_with_names_of_their_own(tmp_path: Path) -> None:
    several(tmp_path / "in.tif")
    with open_source(str(tmp_path / "in.tif")) as source:
        frames = list(source)
        assert source.warnings == []
    assert [frame.source for frame in frames] == [
        str(tmp_path / name) for name in ("in.tif", "in_page2.tif", "in_page3.tif")
    ]
    assert [int(frame.image[0, 0, 2]) for frame in frames] == [60, 120, 180]


@pytest.mark.parametrize("kind", [1, 4], ids=["made smaller", "mask"])
def test_a_smaller_copy_of_a_page_and_a_mask_are_no_pages(tmp_path: Path, kind: int) -> None:
    """As scanners and maps have them behind each page."""
    page, aside = Image.new("RGB", (64, 48), "red"), Image.new("1" if kind == 4 else "RGB", (32, 24))
    aside.encoderinfo = {"tiffinfo": {254: kind, 262: 4} if kind == 4 else {254: kind}}
    page.save(tmp_path / "in.tif", save_all=True, append_images=[aside, page])
    with open_source(str(tmp_path / "in.tif")) as source:
        assert [frame.image.shape for frame in source] == [(48, 64, 3)] * 2
        assert source.failures == []


def test_the_picture_for_who_knows_no_animated_png_is_no_part_of_the_film(tmp_path: Path) -> None:
    several(tmp_path / "in.png", default_image=True, duration=[200, 700])
    with open_source(str(tmp_path / "in.png")) as source:
        assert source.info.frame_count == 2
        assert [(round(frame.time_seconds, 3), int(frame.image[0, 0, 2])) for frame in source] == [(0, 120), (0.2, 180)]


def test_pixels_of_a_kind_that_is_not_read_are_not_called_damage() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.update({256: 1, 257: 1, 258: 64, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 8, 339: 3})
    out = io.BytesIO(b"II*\0\x10\0\0\0" + bytes(8))
    out.seek(16)
    tags.save(out)
    with pytest.raises(SourceError, match="its kind of pixels is not read: save it as JPEG"):
        decode_image(out.getvalue(), max_megapixels=1)


@pytest.mark.parametrize(("kind", "warned"), [(0, False), (0x20002, True)], ids=["beside a telephone's photo", "3D"])
def test_a_second_view_of_a_jpeg_is_told_and_what_telephones_keep_beside_theirs_is_not(
    tmp_path: Path, kind: int, warned: bool
) -> None:
    out, first = io.BytesIO(), Image.new("RGB", (64, 48))
    first.save(out, format="MPO", save_all=True, append_images=[first])
    data = bytearray(out.getvalue())
    index = data.index(b"MPF\0")
    second = data.rindex(struct.pack("<I", 0x30000), index, index + 100) + 16
    data[second : second + 4] = struct.pack("<I", kind)
    (tmp_path / "a.jpg").write_bytes(data)
    with open_source(str(tmp_path / "a.jpg")) as source:
        assert len(list(source)) == 1
        assert source.warnings == [f"'{tmp_path}/a.jpg' holds 2 pictures: the main one was read"] * warned


@pytest.mark.parametrize("ending", [".webp", ".png", ".avif"])
def test_an_animation_is_a_film_whose_pictures_last_as_long_as_they_say(tmp_path: Path, ending: str) -> None:
    several(tmp_path / f"in{ending}", duration=[300, 200, 700])
    with open_source(str(tmp_path / f"in{ending}")) as source:
        frames = list(source)
        assert (source.info.kind, source.info.frame_count) == ("video", 3)
    assert [frame.time_seconds for frame in frames] == pytest.approx([0, 0.3, 0.5])
    assert frames[-1].duration_seconds == pytest.approx(0.7)
    assert [round(int(frame.image[0, 0, 2]) / 60) for frame in frames] == [1, 2, 3]


@pytest.mark.parametrize(
    ("config", "indices"),
    [
        (SourceConfig(start_seconds=0.3), [1, 2]),
        (SourceConfig(duration_seconds=0.4), [0, 1]),
        (SourceConfig(limit=1), [0]),
    ],
)
def test_a_part_of_an_animation_is_read(tmp_path: Path, config: SourceConfig, indices: list[int]) -> None:
    several(tmp_path / "in.webp", duration=[300, 200, 700])
    with open_source(str(tmp_path / "in.webp"), config) as source:
        assert [frame.index for frame in source] == indices


def test_an_animation_that_says_nothing_of_time_goes_on_all_the_same(tmp_path: Path) -> None:
    several(tmp_path / "in.png", duration=0)
    with open_source(str(tmp_path / "in.png")) as source:
        assert [frame.time_seconds for frame in source] == pytest.approx([0, 0.1, 0.2])


def test_a_burst_is_its_main_picture_with_a_warning(tmp_path: Path) -> None:
    from pillow_heif import from_pillow

    burst = from_pillow(Image.new("RGB", (64, 48), "red"))
    burst.add_from_pillow(Image.new("RGB", (64, 48), "blue"))
    burst.save(tmp_path / "burst.heic", quality=90, primary_index=1)
    with open_source(str(tmp_path / "burst.heic")) as source:
        (blue,) = source
        assert blue.image[..., 0].min() > 200 > 50 > blue.image[..., 2].max()
        assert source.warnings == [f"'{tmp_path}/burst.heic' holds 2 pictures: the main one was read"]


@pytest.mark.parametrize("brand", [b"hevc", b"hevx", b"msf1"])
def test_a_heif_whose_pictures_are_a_sequence_is_a_film(tmp_path: Path, brand: bytes) -> None:
    data = bytearray(make_clip(tmp_path / "in.mp4", codec="libx265", frames=4).read_bytes())
    data[8:12] = brand
    (tmp_path / "in.mp4").unlink()
    (tmp_path / "in.heics").write_bytes(data)
    (ref,) = expand([str(tmp_path)])
    with open_source(ref) as source:
        assert [round(frame.time_seconds, 3) for frame in source] == [0, 0.1, 0.2, 0.3]
        assert source.info.kind == "video"


def test_one_picture_is_one(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "in.jpg")
    assert count_pictures((tmp_path / "in.jpg").read_bytes(), max_megapixels=1) == 1


def test_a_thumbnail_before_the_pages_of_a_scan_is_none_of_them(tmp_path: Path) -> None:
    thumbnail, *pages = (Image.new("RGB", size) for size in ((16, 12), (64, 48), (64, 48)))
    for page in pages:
        page.encoderinfo = {"tiffinfo": {254: 0}}
    thumbnail.save(tmp_path / "in.tif", save_all=True, append_images=pages, tiffinfo={254: 1})
    with open_source(str(tmp_path / "in.tif")) as source:
        assert [frame.image.shape for frame in source] == [(48, 64, 3)] * 2
        assert (source.info.width, source.info.height) == (64, 48)
    assert decode_image((tmp_path / "in.tif").read_bytes(), max_megapixels=1).shape == (48, 64, 3)


@pytest.mark.parametrize("tag", [{254: 1}, {50706: b"\1\4\0\0"}], ids=["only thumbnails", "DNG"])
def test_a_cameras_raw_photo_is_refused_with_the_way_out(tmp_path: Path, tag: dict[int, object]) -> None:
    thumbnail = Image.new("RGB", (64, 48))
    thumbnail.save(tmp_path / "photo.tif", save_all=True, append_images=[thumbnail], tiffinfo=tag)
    with pytest.raises(SourceError, match=r"raw photo.*save it as JPEG or TIFF first"):
        decode_image((tmp_path / "photo.tif").read_bytes(), max_megapixels=1)


@pytest.mark.parametrize(
    "head", [b"IIRO", b"IIU\0", b"II\x1a\0\0\0HEAPCCDR", b"FUJIFILMCCD-RAW 0201", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"]
)
def test_raw_photos_that_are_no_tiff_are_refused_alike(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.raw").write_bytes(head + bytes(1000))
    for refused in (lambda: open_source(str(tmp_path / "a.raw")), lambda: decode_image(head, max_megapixels=1)):
        with pytest.raises(SourceError, match=r"raw photo.*save it as JPEG or TIFF first"):
            refused()


def test_a_folder_is_read_by_content_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", picture())[1].tobytes()
    for name in ("a.jpg", "b.jfif", "c.jpe", "d.mpo", "photo"):
        (tmp_path / name).write_bytes(data)
    make_clip(tmp_path / "clip.mp4", frames=2)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "data.bin").write_bytes(b"\0" * 100)
    (tmp_path / ".hidden.jpg").write_bytes(data)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "e.jpg").write_bytes(data)
    warnings: list[str] = []
    refs = expand([str(tmp_path)], warnings=warnings)
    names = [path.name for ref in refs for path in ref.paths]
    assert names == ["a.jpg", "b.jfif", "c.jpe", "clip.mp4", "d.mpo", "photo"]
    assert warnings == [
        f"'{tmp_path}': 2 files left out, no image or video: data.bin, notes.txt",
        f"'{tmp_path}': 1 folder in it not read: --recursive does",
    ]
    more: list[str] = []
    below = expand([str(tmp_path)], recursive=True, warnings=more)
    assert [path.name for ref in below for path in ref.paths] == [*names, "e.jpg"]
    assert len(more) == 1


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi", ".ts", ".mpg", ".flv", ".mov"])
def test_videos_of_a_folder_whose_names_do_not_say_so_are_read_too(tmp_path: Path, ending: str) -> None:
    codec = "mpeg2video" if ending == ".mpg" else "libx264"
    clip = make_clip(tmp_path / f"clip{ending}", frames=20, codec=codec, fps=25)
    clip.rename(tmp_path / "20261126")
    shutil.copy(tmp_path / "20261126", tmp_path / "clip.part")
    (tmp_path / "like.mp3").write_bytes((tmp_path / "20261126").read_bytes()[:20])
    warnings: list[str] = []
    refs = expand([str(tmp_path)], warnings=warnings)
    assert [path.name for ref in refs for path in ref.paths] == ["20261126", "clip.part"]
    assert warnings == [f"'{tmp_path}': 1 file left out, no image or video: like.mp3"]


def test_sound_in_a_folder_is_no_video(tmp_path: Path) -> None:
    jpeg_in(tmp_path, "a.jpg")
    with av.open(str(tmp_path / "song.mp4"), "w") as out:
        track = out.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        out.mux([*track.encode(frame), *track.encode(None)])
    (tmp_path / "song.mp4").rename(tmp_path / "song.m4a")
    warnings: list[str] = []
    expand([str(tmp_path)], warnings=warnings)
    assert warnings == [f"'{tmp_path}': 1 file left out, no image or video: song.m4a"]


def jpeg_in(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encode_jpeg(picture()))


@pytest.mark.parametrize("pattern", ["in", "in/**/*.jpg"])
def test_two_pictures_of_one_name_stay_in_the_folders_they_are_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("in", "in/one", "in/two"):
        jpeg_in(Path(folder), "a.jpg")
    (tmp_path / "more").mkdir()
    jpeg_in(tmp_path / "more", "b.jpg")
    config = DetectConfig((pattern, "more/b.jpg"), output=Path("out"), source=SourceConfig(recursive=True))
    summary = run(config, detector=Detector(FakeEngine()))
    written = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.jpg"))
    assert written == ["a.jpg", "b.jpg", "one/a.jpg", "two/a.jpg"]
    assert summary.warnings == ()


def test_a_loop_of_links_is_read_once(tmp_path: Path) -> None:
    jpeg_in(tmp_path, "a.jpg")
    jpeg_in(tmp_path / "inside", "b.jpg")
    (tmp_path / "inside" / "up").symlink_to(tmp_path, target_is_directory=True)
    warnings: list[str] = []
    (ref,) = expand([str(tmp_path)], recursive=True, warnings=warnings)
    assert [path.name for path in ref.paths] == ["a.jpg", "b.jpg"]
    assert warnings == []


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg_in(tmp_path, "a.jpg")
    jpeg_in(tmp_path / "shut", "b.jpg")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "shut")  # root may read everything
    warnings: list[str] = []
    (ref,) = expand([str(tmp_path)], recursive=True, warnings=warnings)
    assert [path.name for path in ref.paths] == ["a.jpg"]
    assert warnings == [f"'{tmp_path}': 1 folder in it not read, for want of permission: shut"]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    jpeg_in(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "control")
    warnings: list[str] = []
    (ref,) = expand([str(tmp_path)], warnings=warnings)
    assert ref.kind == "images"
    assert warnings == [f"'{tmp_path}': 1 file left out, no image or video: control"]


@pytest.mark.parametrize("name", ["b.jpg", "b.mp4"])
def test_a_damaged_file_of_a_folder_is_no_file_left_out(tmp_path: Path, name: str) -> None:
    jpeg_in(tmp_path, "a.jpg")
    (tmp_path / name).write_bytes(b"damaged")
    warnings: list[str] = []
    refs = expand([str(tmp_path)], warnings=warnings)
    assert [path.name for ref in refs for path in ref.paths] == ["a.jpg", name]
    assert warnings == []


def test_no_file_of_a_folder_is_compared_with_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg_in(tmp_path, "0.jpg")
    for number in range(1, 50):
        (tmp_path / f"{number}.jpg").hardlink_to(tmp_path / "0.jpg")
    monkeypatch.setattr(SourceRef, "__eq__", lambda *_: pytest.fail("50 files are 1225 comparisons"))
    (ref,) = expand([str(tmp_path)])
    assert len(ref.files) == 50


def test_an_animated_png_with_a_colour_profile_is_a_film(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    several(tmp_path / "in.png", duration=[300, 200, 700], icc_profile=profile)
    with open_source(str(tmp_path / "in.png")) as source:
        assert len(list(source)) == 3


def test_what_a_folder_leaves_out_is_told_in_the_summary(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), picture())
    (tmp_path / "in" / "b.txt").write_text("b")
    config = DetectConfig((str(tmp_path / "in"),), results=(str(tmp_path / "out.jsonl"),))
    summary = run(config, detector=Detector(FakeEngine()))
    assert summary.frames == 1
    assert "b.txt" in summary.warnings[0]


def test_an_avif_whose_first_brand_is_that_of_all_its_kin_is_one() -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(out, format="AVIF")
    data = bytearray(out.getvalue())
    data[8:12] = b"mif1"
    assert decode_image(bytes(data), max_megapixels=1).shape == (48, 64, 3)


def photo(path: Path, **options: Any) -> Path:
    """Write a photo that lies on its side, says when, where and by what it was taken, and has a thumbnail."""
    said = Image.Exif()
    said.update({0x0112: 6, 271: "Camera", 306: "2026:01:02 03:04:05"})
    said.get_ifd(0x8769).update({0x9003: "2026:01:02 03:04:05", 0x9011: "+01:00", 0x927C: b"maker's own"})
    said.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (16.0, 22.0, 0.0)})
    said.get_ifd(IFD.IFD1).update({513: 8, 514: 3})
    image = Image.new("RGB", (64, 48), "red")
    if path.suffix == ".heic":
        from pillow_heif import from_pillow

        from_pillow(image).save(path, format="HEIF", exif=said.tobytes())
    else:
        image.save(path, exif=said.tobytes(), **options)
    return path


@pytest.mark.parametrize(
    ("name", "written"),
    [("a.jpg", "a.jpg"), ("a.png", "a.png"), ("a.webp", "a.webp"), ("a.heic", "a.jpg")],
)
def test_an_annotated_photo_says_when_and_where_it_was_taken(tmp_path: Path, name: str, written: str) -> None:
    config = DetectConfig((str(photo(tmp_path / name)),), output=tmp_path / "out")
    run(config, detector=Detector(FakeEngine()))
    with Image.open(tmp_path / "out" / written) as copy:
        said = copy.getexif()
        assert (copy.size, said.get(0x0112, 1)) == ((48, 64), 1), "upright, once"
        assert (said[271], said[306]) == ("Camera", "2026:01:02 03:04:05")
        assert dict(said.get_ifd(0x8769)) == {0x9003: "2026:01:02 03:04:05", 0x9011: "+01:00"}
        assert said.get_ifd(0x8825)[2] == (48.0, 12.0, 30.0)
        assert said.get_ifd(IFD.IFD1) == {}, "a thumbnail shows people as they were"


def test_no_metadata_leaves_that_out(tmp_path: Path) -> None:
    config = DetectConfig((str(photo(tmp_path / "a.jpg")),), output=tmp_path / "out.jpg", no_metadata=True)
    run(config, detector=Detector(FakeEngine()))
    with Image.open(tmp_path / "out.jpg") as copy:
        assert not copy.getexif()


def test_exif_that_is_damaged_or_longer_than_a_picture_has_room_for_costs_only_itself(tmp_path: Path) -> None:
    said = Image.Exif()
    said.update({306: "2026:01:02 03:04:05", 270: "long" * 20_000})
    Image.new("RGB", (64, 48)).save(tmp_path / "long.png", exif=said.tobytes()[:-20_000])
    Image.new("RGB", (64, 48)).save(tmp_path / "bad.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0")
    for name in ("long.png", "bad.jpg"):
        with open_source(str(tmp_path / name)) as source:
            (frame,) = source
        assert not frame.tags


def test_jpeg_2000_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (0, 0, 200)).save(tmp_path / "a.jp2")
    (ref,) = expand([str(tmp_path)])
    with open_source(ref) as source:
        (frame,) = source
    assert np.abs(frame.image[0, 0].astype(int) - (200, 0, 0)).max() < 5


def test_deep_pictures_are_told_of_once_with_their_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        deep = np.linspace(28_000, 32_000, 64 * 48).reshape(48, 64).astype(np.uint16)
        cv2.imwrite(str(tmp_path / f"{number}.png"), deep)
    cv2.imwrite(str(tmp_path / "plain.png"), picture())
    with caplog.at_level("INFO"), open_source(str(tmp_path)) as source:
        assert len(list(source)) == 4
    (line,) = caplog.messages
    assert line.startswith("3 deep pictures scaled to what it holds: in the first 28003.1 to 31995.9 is")


def test_a_tiff_of_very_many_pages_is_not_counted_before_its_first_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(tmp_path / "in.tif")
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "n_frames", property(lambda _: pytest.fail("all were counted")))
    with open_source(str(tmp_path / "in.tif"), SourceConfig(limit=1)) as source:
        assert len(list(source)) == 1


def test_a_small_tiff_cut_from_a_huge_tile_is_refused_before_decoding() -> None:
    """A megabyte of zeros, compressed, would take a gigabyte."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.update({256: 64, 257: 48, 258: 8, 259: 8, 262: 1, 277: 1, 322: 40_000, 323: 40_000, 324: 1000, 325: 9})
    out = io.BytesIO(b"II*\0\x08\0\0\0")
    out.seek(8)
    tags.save(out)
    with pytest.raises(SourceError, match="40000 x 40000 pixels is too large"):
        decode_image(out.getvalue(), max_megapixels=50)


def test_a_page_or_a_picture_of_a_film_that_is_too_large_is_refused(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (64, 48)), Image.new("RGB", (640, 480))
    first.save(tmp_path / "in.tif", save_all=True, append_images=[second])
    with open_source(str(tmp_path / "in.tif"), SourceConfig(max_megapixels=0.1)) as source:
        assert len(list(source)) == 1
        (failure,) = source.failures
    assert "640 x 480 pixels is too large" in str(failure)
    for name in ("in.webp", "in.png", "in.avif"):
        second.save(tmp_path / name, save_all=True, append_images=[Image.new("RGB", (640, 480), "red")])
        with pytest.raises(SourceError, match="640 x 480 pixels is too large"):
            open_source(str(tmp_path / name), SourceConfig(max_megapixels=0.1))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
def test_photos_in_hdr_come_in_the_colours_of_sdr(
    kind: str, curve: int, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, paper = io.BytesIO(), Image.new("RGB", (64, 48), (148 if curve == 16 else 191,) * 3)
    if kind == "HEIF":
        from pillow_heif import from_pillow

        from_pillow(paper).save(out, format="HEIF")
    else:
        paper.save(out, "AVIF")
    data = bytearray(out.getvalue())
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">HH", 9, curve)
    (tmp_path / "a.photo").write_bytes(data)
    with caplog.at_level("INFO"), open_source(SourceRef("images", "a", (str(tmp_path / "a.photo"),))) as source:
        (frame,) = source
    assert frame.image.min() > 230, "a sheet of paper is white"
    assert f"{name} is mapped to SDR" in caplog.text
