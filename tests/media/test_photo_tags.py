"""Promises of what a photo says of itself, from any format into any other."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin, TiffTags
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from humandetect.config import DetectConfig
from humandetect.detection.detector import Detector
from humandetect.media.images import decode_image, each_picture
from humandetect.media.sinks.pictures import write_image
from humandetect.media.xmp import kept_xmp
from humandetect.pipeline.run import run
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from pathlib import Path

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TAKEN = "2026:01:02 03:04:05"
DESCRIPTION = "Tür 3"
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" tiff:Orientation="6"
 exif:GPSLatitude="48,12.5N" xmp:CreateDate="2026-01-02T03:04:05">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Gate \u2116 3</rdf:li></rdf:Alt></dc:title>
<xmp:Thumbnails><rdf:Alt><rdf:li>people as they were</rdf:li></rdf:Alt></xmp:Thumbnails></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
FORMATS = ["jpg", "png", "webp", "tif", "avif", "heic", "jp2"]
WRITTEN = [".jpg", ".webp", ".tif"]


def photo(kind: str) -> bytes:
    """Return a photo that lies on its side and says all that it can."""
    said = Image.Exif()
    said.update({Base.Orientation: 6, Base.Make: "Camera", Base.ImageDescription: DESCRIPTION.encode()})
    said[Base.XPTitle] = "Gate".encode("utf-16-le")
    said.get_ifd(IFD.Exif).update({Base.DateTimeOriginal: TAKEN, Base.MakerNote: b"the maker's own"})
    said.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (16.0, 22.0, 0.0)})
    image, out = Image.new("RGB", (64, 48), (200, 40, 40)), io.BytesIO()
    if kind == "heic":
        from pillow_heif import from_pillow

        from_pillow(image).save(out, format="HEIF", exif=said.tobytes(), icc_profile=ICC, xmp=XMP)
        return out.getvalue()
    if kind == "jp2":
        image.save(out, "JPEG2000")
        uuids = {b"JpgTiffExif->JP2": said.tobytes()[6:], bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): XMP}
        added = [(8 + len(uuid + data)).to_bytes(4) + b"uuid" + uuid + data for uuid, data in uuids.items()]
        data, profile = out.getvalue(), b"colr\2\0\0" + ICC
        at, profile = data.index(b"jp2h"), (4 + len(profile)).to_bytes(4) + profile
        end = at - 4 + int.from_bytes(data[at - 4 : at])
        header = (int.from_bytes(data[at - 4 : at]) + len(profile)).to_bytes(4) + data[at:end] + profile
        return data[: at - 4] + header + b"".join(added) + data[end:]
    options: dict[str, Any] = {"exif": said.tobytes(), "icc_profile": ICC}
    if kind == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    elif kind == "tif":
        options["exif"] = Image.Exif()
        options["exif"].load(said.tobytes())
        options["exif"].update({Base.ImageDescription: DESCRIPTION.encode(), 700: XMP})
    else:
        options["xmp"] = XMP
    image.save(out, {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()), **options)
    return out.getvalue()


def agency_jpeg(records: bytes, **options: object) -> bytes:
    photoshop, out = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0" + bytes((len(records),)) + records, io.BytesIO()
    Image.new("RGB", (64, 48)).save(out, "JPEG", **options)
    data = out.getvalue()
    return data[:2] + b"\xff\xed" + (2 + len(photoshop)).to_bytes(2) + photoshop + data[2:]


def copied(data: bytes, path: Path) -> Image.Image:
    (picture,) = each_picture(data, max_megapixels=1)
    write_image(path, picture.pixels, tags=picture.tags)
    np.testing.assert_allclose(decode_image(path.read_bytes(), max_megapixels=1), picture.pixels, atol=4)
    copy = Image.open(io.BytesIO(path.read_bytes()))
    copy.load()
    return copy


@pytest.mark.parametrize(
    ("kind", "written"), [*((kind, ".png") for kind in FORMATS), *(("jpg", ending) for ending in WRITTEN)]
)
def test_what_a_photo_says_of_itself_comes_from_any_format_into_any_other(
    kind: str, written: str, tmp_path: Path
) -> None:
    copy = copied(photo(kind), tmp_path / f"copy{written}")
    said = copy.getexif()
    assert (copy.size, said.get(Base.Orientation, 1)) == ((48, 64), 1), "upright, once"
    assert said.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == TAKEN
    assert said.get_ifd(IFD.GPSInfo) == {1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (16.0, 22.0, 0.0)}
    if kind != "avif":  # which Pillow writes as ASCII
        assert said[Base.ImageDescription].encode("latin-1").decode() == DESCRIPTION
    assert said[Base.XPTitle].decode("utf-16-le") == "Gate"
    assert Base.MakerNote not in said.get_ifd(IFD.Exif)
    assert copy.info["icc_profile"] == ICC
    packet = copy.info["xmp"].decode() if isinstance(copy.info["xmp"], bytes) else copy.info["xmp"]
    assert "48,12.5N" in packet
    assert "2026-01-02T03:04:05" in packet
    assert "Gate \u2116 3" in packet
    assert "Orientation" not in packet
    assert "people as they were" not in packet


@pytest.mark.parametrize("written", [*WRITTEN, ".png", ".bmp"])
def test_no_metadata_leaves_all_of_it_out_but_what_colours_mean(written: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo("jpg"))
    config = DetectConfig((str(tmp_path / "a.jpg"),), output=tmp_path / f"out{written}", no_metadata=True)
    run(config, detector=Detector(FakeEngine()))
    with Image.open(tmp_path / f"out{written}") as copy:
        said = copy.getexif()
        assert not {Base.Make, Base.ImageDescription, Base.XPTitle, IFD.Exif, IFD.GPSInfo} & said.keys()
        assert "xmp" not in copy.info
        assert copy.info.get("icc_profile", ICC) == ICC
    data = (tmp_path / f"out{written}").read_bytes()
    assert not [word for word in (b"Camera", b"Gate", b"2026", b"GPS", b"xmpmeta") if word in data]
    assert (b"acsp" in data) == (written not in {".bmp", ".png"})  # a PNG's is compressed


def test_texts_of_a_png_and_records_of_agencies_are_said_in_exif(tmp_path: Path) -> None:
    texts, out = PngInfo(), io.BytesIO()
    for name, value in {"Title": "Gate 3", "Author": "Zoë", "Comment": "left out"}.items():
        texts.add_itxt(name, value)
    Image.new("RGB", (64, 48)).save(out, "PNG", pnginfo=texts)
    said = copied(out.getvalue(), tmp_path / "a.jpg").getexif()
    assert (said[Base.ImageDescription], said[Base.Artist].encode("latin-1").decode()) == ("Gate 3", "Zoë")
    assert b"left out" not in (tmp_path / "a.jpg").read_bytes()

    records = b"".join(b"\x1c\x02" + bytes((kind, 0, 6)) + text for kind, text in ((120, b"Gate 4"), (116, b"(c) us")))
    said = copied(agency_jpeg(records), tmp_path / "b.png").getexif()
    assert (said[Base.ImageDescription], said[Base.Copyright]) == ("Gate 4", "(c) us")


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_of_other_colours_than_those_of_the_copy_stays_behind(mode: str, tmp_path: Path) -> None:
    other = ICC[:16] + {"L": b"GRAY", "CMYK": b"CMYK"}[mode] + ICC[20:]
    out = io.BytesIO()
    Image.new(mode, (64, 48)).save(out, "JPEG", icc_profile=other)
    assert "icc_profile" not in copied(out.getvalue(), tmp_path / "a.png").info


def test_a_profile_longer_than_a_segment_comes_whole_into_a_jpeg(tmp_path: Path) -> None:
    out = io.BytesIO()
    long = ICC + bytes(200_000)
    Image.new("RGB", (64, 48)).save(out, "PNG", icc_profile=long)
    assert copied(out.getvalue(), tmp_path / "a.jpg").info["icc_profile"] == long


@pytest.mark.parametrize(
    "packet",
    [b"", b"<x", b"<a/>", b"\xff\xfe", b'<?xml version="1.0" encoding="none"?><a/>', b"<!DOCTYPE a>" + XMP],
)
def test_a_damaged_packet_costs_only_itself(packet: bytes) -> None:
    assert kept_xmp(packet) == b""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_packet_that_defines_words_of_its_own_is_not_expanded(encoding: str) -> None:
    packet = XMP.decode().replace("Gate", "&gate;").partition("?>")[2]
    bomb = f'\ufeff<!DOCTYPE a [<!ENTITY gate "{"Gate" * 99}">]>{packet} '
    assert kept_xmp(bomb.encode(encoding)) == b""


def test_pictures_that_a_photo_was_made_of_say_nothing_of_it() -> None:
    pantry = b"""<xmpMM:Pantry xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"><rdf:Bag><rdf:li>
<rdf:Description xmp:CreateDate="1999-01-01T00:00:00" exif:GPSLatitude="1,0.0S"><dc:title>Beach</dc:title>
</rdf:Description></rdf:li></rdf:Bag></xmpMM:Pantry></rdf:Description>"""
    assert kept_xmp(XMP.replace(b"</rdf:Description>", pantry)) == kept_xmp(XMP)


def damaged_tiff(tag: int) -> bytes:
    """Return a photo that says a number where a tag has room for much more."""
    tags, out = TiffImagePlugin.ImageFileDirectory_v2(), io.BytesIO()
    tags[tag], tags.tagtype[tag] = 7, TiffTags.LONG
    tags[Base.Make] = "Camera"
    Image.new("RGB", (64, 48)).save(out, "TIFF", tiffinfo=tags)
    return out.getvalue()


@pytest.mark.parametrize("tag", [Base.InterColorProfile, Base.IPTCNAA, Base.XMLPacket, Base.ImageResources])
def test_damaged_metadata_of_one_kind_costs_only_that_kind(tag: int, tmp_path: Path) -> None:
    assert copied(damaged_tiff(tag), tmp_path / "a.jpg").getexif()[Base.Make] == "Camera"


def test_a_packet_too_deep_to_copy_costs_only_itself(tmp_path: Path) -> None:
    deep = XMP.replace(b"Gate", b"<a>" * 3000 + b"</a>" * 3000)
    texts, out = PngInfo(), io.BytesIO()
    texts.add_itxt("XML:com.adobe.xmp", deep.decode())
    Image.new("RGB", (64, 48)).save(out, "PNG", pnginfo=texts, icc_profile=ICC)
    copy = copied(out.getvalue(), tmp_path / "a.png")
    assert copy.info["icc_profile"] == ICC
    assert "xmp" not in copy.info


def test_damaged_records_of_agencies_cost_only_themselves(tmp_path: Path) -> None:
    said = Image.Exif()
    said[Base.Make] = "Camera"
    agency = agency_jpeg(b"\x1c\x02\x78\xff\xffGate", exif=said)
    assert copied(agency, tmp_path / "a.jpg").getexif()[Base.Make] == "Camera"
