"""Promises of naming and opening sources, and of image sources."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from humandetect.config import SourceConfig
from humandetect.errors import SourceError, UsageError
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import Source, SourceRef, expand, open_source, still_of
from tests.builders import make_clip, picture

if TYPE_CHECKING:
    from humandetect.media.frames import Frame


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put_image(path: Path | str, *, shade: int = 0) -> str:
    Path(path).write_bytes(encode_jpeg(picture(shade=shade)))
    return str(path)


def kinds(*refs: str) -> list[tuple[str, str]]:
    return [(ref.kind, ref.name) for ref in expand(refs)]


def read(ref: SourceRef | str, config: SourceConfig | None = None) -> tuple[list[str], Source]:
    with open_source(ref, config) as source:
        return [frame.source for frame in source], source


def test_an_empty_name_is_refused_and_is_not_this_folder(here: Path) -> None:
    put_image(here / "a.jpg")
    with pytest.raises(UsageError, match="a source has no name"):
        expand(["a.jpg", ""])


def test_a_folder_of_several_sources_is_not_opened_as_one(here: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_clip(here / name, frames=1)
    with pytest.raises(SourceError, match="2 sources"):
        open_source(str(here))


def test_each_kind_of_source_is_known_by_its_name(here: Path) -> None:
    put_image("a.jpg")
    make_clip(here / "b.mp4", frames=1)
    assert kinds("a.jpg", "b.mp4", "-", "0", "rtsp://cam/1", "http://host/clip.mp4") == [
        ("images", "a.jpg"), ("video", "b.mp4"), ("pipe", "-"), ("camera", "0"),
        ("url", "rtsp://cam/1"), ("url", "http://host/clip.mp4"),
    ]  # fmt: skip


def test_a_file_s_url_and_a_camera_s_device_are_what_they_name(here: Path) -> None:
    make_clip(here / "a b.mp4", frames=1)
    (ref,) = expand([(here / "a b.mp4").as_uri()])
    assert (ref.kind, ref.name) == ("video", str(here / "a b.mp4"))
    assert kinds(here.as_uri()) == kinds(f"{here.as_uri()}/*.mp4") == kinds(str(here))
    (camera,) = expand(["/dev/video2"])
    assert (camera.kind, camera.name, camera.address) == ("camera", "/dev/video2", "2")


def test_content_decides_not_the_ending(here: Path) -> None:
    put_image("clip.mp4")
    make_clip(here / "clip.mkv", frames=2).rename("photo.jpg")
    assert kinds("clip.mp4", "photo.jpg") == [("images", "clip.mp4"), ("video", "photo.jpg")]
    assert len(read("clip.mp4")[0]) == 1
    assert len(read("photo.jpg")[0]) == 2


def test_a_folder_gives_its_images_and_videos_in_natural_order(here: Path) -> None:
    folder = here / "shots"
    (folder / "deeper.mp4").mkdir(parents=True)
    for name in ("img10.jpg", "img2.JPG", ".hidden.jpg", "z.png"):
        put_image(folder / name)
    make_clip(folder / "img5.mp4", frames=1)
    (folder / "notes.txt").write_text("nothing to see")

    first, video, last = expand(["shots"])

    assert first.files == ("shots/img2.JPG",)
    assert (video.kind, video.name) == ("video", "shots/img5.mp4")
    assert last.files == ("shots/img10.jpg", "shots/z.png")
    assert last.name == "shots"
    assert last.paths == (Path("shots/img10.jpg"), Path("shots/z.png"))


def test_images_that_follow_one_another_are_one_source(here: Path) -> None:
    (here / "other").mkdir()
    for name in ("a.jpg", "b.jpg", "other/c.jpg"):
        put_image(name)
    assert kinds("a.jpg", "b.jpg", "other/c.jpg", "0", "a.jpg") == [
        ("images", "3 images"),
        ("camera", "0"),
        ("images", "a.jpg"),
    ]


def test_a_pattern_that_no_shell_expanded_is_expanded(here: Path) -> None:
    for name in ("b10.jpg", "b9.jpg", "c.jpg"):
        put_image(name)
    (ref,) = expand(["b*.jpg"])
    assert ref.files == ("b9.jpg", "b10.jpg")


def test_a_file_with_brackets_in_its_name_wins_over_the_pattern(here: Path) -> None:
    put_image("a[1].jpg")
    put_image("a1.jpg")
    assert read("a[1].jpg")[0] == ["a[1].jpg"]


def test_expanding_never_fails(here: Path) -> None:
    (here / "empty").mkdir()
    names = ["nope.mp4", "*.nope", "empty", "nul\0.mp4", "ftp://host/live", "http://…"]
    assert [ref.name for ref in expand(names)] == names


def test_an_image_is_one_frame_at_time_zero(here: Path) -> None:
    with open_source(put_image("a.jpg", shade=100)) as source:
        assert (source.info.kind, source.info.width, source.info.height) == ("image", 64, 48)
        assert source.info.frame_count == 1
        (frame,) = source
        assert (frame.index, frame.time_seconds, frame.source) == (0, 0.0, "a.jpg")
        assert np.abs(frame.image.astype(int) - picture(shade=100)).mean() < 3


def test_images_of_a_folder_keep_their_own_names(here: Path) -> None:
    for index in range(3):
        put_image(f"{index}.jpg")
    sources, source = read(".")
    assert sources == ["0.jpg", "1.jpg", "2.jpg"]
    assert source.info.frame_count == 3
    assert len(read(".", SourceConfig(limit=2))[0]) == 2


def test_good_images_are_read_and_bad_ones_named(here: Path) -> None:
    put_image("a.jpg")
    Path("b.jpg").write_bytes(encode_jpeg(picture())[:300])
    put_image("c.jpg")
    put_image("d.jpg")
    refs = expand(["."])
    Path("d.jpg").unlink()
    sources, source = read(refs[0])
    assert sources == ["a.jpg", "c.jpg"]
    assert [str(failure).split(":")[0] for failure in source.failures] == ["cannot read 'b.jpg'", "cannot read 'd.jpg'"]
    assert "no such file" in str(source.failures[1])


def test_a_folder_of_bad_images_cannot_be_opened(here: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        Path(name).write_bytes(b"\xff\xd8\xff" + bytes(30))
    with pytest.raises(SourceError, match="none of its 2 images can be read; the first one: a damaged image"):
        open_source(".")


def test_a_damaged_picture_to_draw_on_is_told_as_that(here: Path) -> None:
    Path("a.jpg").write_bytes(encode_jpeg(picture())[:-200])
    with pytest.raises(SourceError, match=r"cannot read 'a\.jpg': a damaged image"):
        still_of("a.jpg", SourceConfig())


def test_closing_an_image_source_stops_it(here: Path) -> None:
    source = open_source(put_image("a.jpg"))
    source.close()
    assert list(source) == []


@pytest.mark.parametrize(
    "name", ["with space", "naïve ☃", "frame_%03d", "-dash", "new\nline", "concat:a|b", "#hash?x=1", "a:b"]
)
def test_any_name_can_be_read(here: Path, name: str) -> None:
    image, video = put_image(f"./{name}.jpg"), str(make_clip(here / "made.mp4", frames=2).rename(here / f"{name}.mp4"))
    assert len(read(image)[0]) == 1
    assert read(video)[0] == [video, video]


def test_names_that_are_not_utf8_can_be_read(here: Path) -> None:
    video = os.fsdecode(b"caf\xe9.mp4")
    make_clip(here / "made.mp4", frames=2).rename(video)
    put_image(os.fsdecode(b"caf\xe9.jpg"))
    assert [ref.kind for ref in expand(["."])] == ["images", "video"]
    assert len(read(video)[0]) == 2


def test_a_link_is_followed(here: Path) -> None:
    make_clip(here / "made.mp4", frames=2)
    Path("link.mp4").symlink_to("made.mp4")
    assert len(read("link.mp4")[0]) == 2


class FakeCapture:
    """A camera that gives `pictures` and then answers no."""

    pictures: int | None = None
    opened = True
    released = 0

    def __init__(self, number: int) -> None:
        self.left = self.pictures

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return self.opened

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.left is None:
            return True, picture()
        self.left -= 1
        return (True, picture()) if self.left >= 0 else (False, None)

    def release(self) -> None:
        type(self).released += 1


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    class Camera(FakeCapture):
        pass

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    return Camera


def test_a_camera_is_read_by_number(camera: type[FakeCapture]) -> None:
    with open_source("0", SourceConfig(limit=3)) as source:
        assert (source.info.kind, source.info.width, source.info.height) == ("live", 64, 48)
        times = [frame.time_seconds for frame in source]
    assert len(times) == 3
    assert times == sorted(times)
    assert camera.released


def test_a_number_no_camera_can_have_is_one_clear_error() -> None:
    with pytest.raises(SourceError, match="no camera has such a number"):
        open_source("99999999999")


def test_a_camera_that_falls_silent_has_ended(camera: type[FakeCapture]) -> None:
    camera.pictures = 4
    frames: list[Frame] = []
    with (
        open_source("0", SourceConfig(read_timeout_seconds=0.05)) as source,
        pytest.raises(SourceError, match=r"camera 0 ended after 3 frames: no picture for 0\.05 s"),
    ):
        frames.extend(source)
    assert camera.released


def test_a_camera_is_read_for_the_wanted_time(camera: type[FakeCapture]) -> None:
    with open_source("0", SourceConfig(duration_seconds=0.02)) as source:
        assert all(frame.time_seconds < 0.02 for frame in source)


def test_a_camera_is_read_from_the_wanted_start(camera: type[FakeCapture]) -> None:
    with open_source("0", SourceConfig(start_seconds=0.02, limit=3)) as source:
        frames = list(source)
    assert len(frames) == 3
    assert frames[0].index > 0
    assert frames[0].time_seconds >= 0.02


def test_a_camera_that_opens_but_sends_nothing_is_an_error(camera: type[FakeCapture]) -> None:
    camera.pictures = 0
    with pytest.raises(SourceError, match=r"cannot read '0': no picture for 0\.01 s"):
        open_source("0", SourceConfig(open_timeout_seconds=0.01))
    assert camera.released


def test_a_missing_camera_is_an_error_without_noise(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="cannot read '97': no such camera"):
        open_source("97")
    assert capfd.readouterr() == ("", "")
