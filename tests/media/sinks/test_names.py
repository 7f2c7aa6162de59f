"""Where annotated pictures go."""

from __future__ import annotations

from pathlib import Path

import pytest

from humandetect.errors import SinkError, UsageError
from humandetect.media.sinks.names import Destinations, stem_of


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("folder/one.mov", "one"),
        ("-", "stdin"),
        ("-_page2", "stdin_page2"),
        ("0", "camera0"),
        ("rtsp://…@host:554/live/main?…", "main"),
        ("rtsp://…@host/cam/realmonitor?channel=2 #2", "realmonitor_channel_2_2"),
        ("http://host", "host"),
        ("rtsp://…", "stream"),
        ("x" * 251 + ".mp4", "x" * 50),
    ],
)
def test_names_come_from_the_source(name: str, stem: str) -> None:
    assert stem_of(name) == stem


def test_images_keep_their_format_where_it_can_be_written(tmp_path: Path) -> None:
    destinations = Destinations(tmp_path, several=True, inputs=[])
    assert destinations.image("in/a.PNG") == tmp_path / "a.png"
    assert destinations.image("in/a.gif") == tmp_path / "a.jpg"


def test_one_run_never_hands_out_a_name_twice(tmp_path: Path) -> None:
    destinations = Destinations(tmp_path, several=True, inputs=[])
    names = [destinations.image(f"{folder}/a.jpg").name for folder in "xyz"]
    assert names == ["a.jpg", "a_2.jpg", "a_3.jpg"]
    assert destinations.renamed == [f"'y/a.jpg' as '{tmp_path}/a_2.jpg'", f"'z/a.jpg' as '{tmp_path}/a_3.jpg'"]


def test_a_tree_stays_a_tree(tmp_path: Path) -> None:
    destinations = Destinations(tmp_path, several=True, inputs=[], roots=[Path("stills"), Path("clips")])
    names = [destinations.video(f"clips/{name}.mov") for name in ("x", "one/x", "one/two/x")]
    assert names == [tmp_path / "x.mp4", tmp_path / "one" / "x.mp4", tmp_path / "one" / "two" / "x.mp4"]
    assert destinations.renamed == []


def test_stdout_takes_no_video() -> None:
    with pytest.raises(UsageError, match="do not go to stdout"):
        Destinations(Path("-"), several=False, inputs=[])


def test_a_single_picture_goes_where_it_was_sent(tmp_path: Path) -> None:
    destinations = Destinations(tmp_path / "b.webp", several=False, inputs=[tmp_path / "a.jpg"])
    assert destinations.image("a.jpg") == tmp_path / "b.webp"
    with pytest.raises(UsageError, match=r"a video .*\.mp4"):
        destinations.video("a.mp4")


def test_the_folder_for_several_sources_is_made(tmp_path: Path) -> None:
    Destinations(tmp_path / "new" / "folder", several=True, inputs=[])
    assert (tmp_path / "new" / "folder").is_dir()


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SinkError, match="cannot make the folder"):
        Destinations(tmp_path / "taken", several=True, inputs=[])


def test_an_input_in_the_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"input")
    destinations = Destinations(tmp_path, several=True, inputs=[tmp_path / "a.mp4"])
    with pytest.raises(UsageError, match="is the input"):
        destinations.video("a.mp4")
