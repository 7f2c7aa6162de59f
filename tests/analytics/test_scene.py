"""A scene is drawn right, or an error says where it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from humandetect.analytics.scene import Scene, read_scene
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

GATE = '[[line]]\nname = "gate"\nfrom = [540, 150]\nto = [540, 470]\n'
LAWN = '[[zone]]\nname = "lawn"\npoints = [[430, 200], [640, 200], [640, 330]]\n'


def scene_of(tmp_path: Path, text: str) -> Scene:
    path = tmp_path / "scene.toml"
    path.write_text(text, encoding="utf-8")
    return read_scene(path)


def test_lines_and_zones_come_with_all_they_say(tmp_path: Path) -> None:
    text = GATE + 'in = "entering"\nout = "leaving"\nmargin = 0.1\n' + LAWN + "loiter_seconds = 30\nmax_people = 10\n"
    scene = scene_of(tmp_path, text).for_picture(768, 576, source="clip.mp4")
    [line], [zone] = scene.lines, scene.zones
    assert (line.points, line.in_label, line.out_label, line.margin) == (
        ((540, 150), (540, 470)), "entering", "leaving", 0.1,
    )  # fmt: skip
    assert (zone.points, zone.loiter_seconds, zone.max_people) == (((430, 200), (640, 200), (640, 330)), 30, 10)
    assert scene.warnings == ()


def test_options_draw_in_pixels_or_percent_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "scene.toml").write_text(GATE)
    scene = read_scene(tmp_path / "scene.toml", lines=["door=10%,20%,10%,90%"], zones=["hall=0,0,100,0,100,50"])
    shapes = scene.for_picture(600, 500, source="a")
    assert [line.points for line in shapes.lines[1:]] == [((60, 100), (60, 450))]
    assert [zone.points for zone in shapes.zones] == [((0, 0), (100, 0), (100, 50))]
    assert scene.names("a") == (["gate", "door"], ["hall"])


def test_a_scene_drawn_on_another_size_of_the_same_shape_is_scaled(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, "size = [768, 576]\n" + GATE)
    assert scene.for_picture(1536, 1152, source="a").lines[0].points == ((1080, 300), (1080, 940))
    with pytest.raises(UsageError, match=r"scene.toml:4: drawn on a picture of 768x576, and 'a' has 1920x1080"):
        scene.for_picture(1920, 1080, source="a")


def test_a_source_replaces_shapes_by_name_and_adds_its_own(tmp_path: Path) -> None:
    own = GATE.replace("[[line]]", "[[source.cam1.line]]").replace("540", "100")
    added = LAWN.replace("[[zone]]", "[[source.cam1.zone]]")
    scene = scene_of(tmp_path, "size = [768, 576]\n" + GATE + "[source.cam1]\nsize = [1536, 1152]\n" + own + added)
    other = scene.for_picture(768, 576, source="cam2")
    assert (other.lines[0].points[0], other.zones) == ((540, 150), ())
    for source in ("cam1", "videos/cam1.mp4"):
        cam1 = scene.for_picture(768, 576, source=source)
        assert [line.points[0] for line in cam1.lines] == [(50, 75)]
        assert [zone.name for zone in cam1.zones] == ["lawn"]


@pytest.mark.parametrize("points", ["0,0,100,0,100,50,0,0", "0,0,100,0,100,0,100,50"])
def test_a_polygon_may_end_where_it_began_or_repeat_a_corner(points: str) -> None:
    [zone] = read_scene(zones=[f"hall={points}"]).for_picture(200, 100, source="a").zones
    assert sorted(zone.points) == [(0, 0), (100, 0), (100, 50)]


def test_a_shape_partly_outside_the_picture_is_told_and_one_outside_refused() -> None:
    warnings = read_scene(lines=["gate=50,50,300,50"]).for_picture(200, 100, source="a").warnings
    assert warnings == (
        "--line gate=50,50,300,50: line 'gate' lies partly outside the picture of 'a', 200x100",
    )  # fmt: skip
    with pytest.raises(UsageError, match="zone 'hall' lies outside the picture of 'a', 200x100"):
        read_scene(zones=["hall=201,0,300,0,300,50"]).for_picture(200, 100, source="a")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gate=1,2,3", "3 numbers do not make its points; write NAME=x1,y1,x2,y2"),
        ("gate=1,2,3,4,5,6", "6 numbers do not make its points"),
        ("gate", "0 numbers do not make its points"),
        ("gate=1,2,nan,4", "'nan' is no coordinate; write pixels, 320, or a percentage, 50%"),
        ("gate=1,2,x,4", "'x' is no coordinate"),
        ("gate=1,2,3%,4", "line 'gate' mixes percentages and pixels"),
        ("gate=1,2,1,2", "line 'gate' has no length"),
        ("=1,2,3,4", "name is ''; write 1 to 40 letters"),
        ("gate =1,2,3,4", "name is 'gate '"),
        ("_=1,2,3,4", "name is '_'"),
        ("a\tb=1,2,3,4", r"name is 'a\\tb'"),
    ],
)
def test_a_wrong_line_names_its_option_and_the_fault(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^--line .*{message}"):
        read_scene(lines=[line])


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ("hall=1,2,3,4,5", "5 numbers do not make its points; write NAME=x1,y1,x2,y2,x3,y3,..."),
        ("hall=1,2,3,4", "has 2 different points, and needs 3 or more"),
        ("hall=" + ",".join(f"{n},{n * n}" for n in range(501)), "has 501 points, and may have 500"),
        ("hall=0,0,5,5,0,0", "has 2 different points"),
        ("hall=0.1%,0.1%,0.2%,0.2%,0.7%,0.7%", "has no area"),
        ("hall=0,0,5,5,10,10", "has no area"),
        ("hall=0,0,10,10,10,0,0,10", "crosses itself between"),
        ("hall=0,0,10,0,10,10,5,0,0,10", "crosses itself between"),  # a corner lies on another side
    ],
)
def test_a_wrong_zone_names_its_option_and_the_fault(zone: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^--zone hall=.*{message}"):
        read_scene(zones=[zone])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sizes = [1, 2]\n" + GATE, "scene.toml:1: there is no 'sizes' here: did you mean 'size'?"),
        (GATE + "margins = 1\n", "scene.toml:5: there is no 'margins' here: did you mean 'margin'?"),
        (GATE + "[source.cam1]\nlines = []\n", "scene.toml:6: there is no 'lines' here: did you mean 'line'?"),
        ("size = [1]\n" + GATE, r"scene.toml:1: size is \[1\]; write the picture's width and height"),
        (GATE + GATE, "scene.toml:7: there is a line 'gate' already, at .*scene.toml:3"),
        (GATE.replace("[540, 150]", "[nan, 150]"), "scene.toml:3: nan is no coordinate"),
        (GATE.replace("[540, 150]", "[540]"), r"scene.toml:3: from is \[540\]; write a point"),
        (GATE.replace("to =", "# to ="), "scene.toml:1: to is missing; write a point"),
        (GATE.replace("[540, 150]", "[" + 400 * "9" + ", 150]"), r"scene.toml:3: 9{60}\.\.\. is no coordinate"),
        (GATE.replace("[540, 150]", "[1e300, 150]"), r"scene.toml:3: 1e\+300 is no coordinate"),
        (GATE.replace('"gate"', '"a/b"'), "scene.toml:2: name is 'a/b'"),
        (GATE.replace("gate", "a" + 80 * "\u0301"), "scene.toml:2: name is 'a.*write 1 to 40 letters"),
        (GATE + "margin = -1\n", "scene.toml:5: margin is -1; write a number from 0"),
        (GATE + "in = 3\n", "scene.toml:5: in is 3"),
        (LAWN + "max_people = 1.5\n", "scene.toml:4: max_people is 1.5; write a whole number from 0"),
        (LAWN + "loiter_seconds = inf\n", "scene.toml:4: loiter_seconds is inf; write a number from 0"),
        (LAWN.replace("[430, 200]", "430, 200"), "scene.toml:3: points is .*write pairs"),
        (LAWN.replace("[430, 200]", '["10%", 200]'), "scene.toml:3: zone 'lawn' mixes percentages and pixels"),
        ("line = 3\n", r"scene.toml:1: write a table for each line: \[\[line\]\]"),
        ("source = 3\n", r"scene.toml:1: write a table for each source: \[source.NAME\]"),
        ("[[line]\n", "scene.toml is no TOML"),
        ("a = " + 2000 * "[" + 2000 * "]", "scene.toml is no TOML"),
        ("# no scene\n" * 100_000, "more than 1 MB"),
    ],
)
def test_a_wrong_file_names_its_line_and_the_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scene_of(tmp_path, text)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the scene in .*No such file"):
        read_scene(tmp_path / "scene.toml")
    (tmp_path / "scene.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="it is no text in UTF-8"):
        read_scene(tmp_path / "scene.toml")


def test_a_file_of_windows_and_names_in_any_script_are_read(tmp_path: Path) -> None:
    names = ["Tür Süd", "入口", "ประตู", "द्वार", "e\u0301te\u0301"]
    text = "".join(GATE.replace("gate", name) for name in names)
    (tmp_path / "scene.toml").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert read_scene(tmp_path / "scene.toml").names("") == (names, [])


def test_more_shapes_than_can_be_seen_are_refused() -> None:
    read_scene(lines=[f"line{n}=0,0,{n + 1},9" for n in range(64)])
    with pytest.raises(UsageError, match="there are 65 lines and zones, at most 64"):
        read_scene(lines=[f"line{n}=0,0,{n + 1},9" for n in range(65)])


def test_shapes_of_a_source_count_with_those_of_all(tmp_path: Path) -> None:
    own = LAWN.replace("[[zone]]", "[[source.cam1.zone]]")
    (tmp_path / "scene.toml").write_text(own)
    with pytest.raises(UsageError, match=r"scene.toml:3: there are 65 lines and zones"):
        read_scene(tmp_path / "scene.toml", lines=[f"line{n}=0,0,{n + 1},9" for n in range(64)])
    with pytest.raises(UsageError, match=r"scene.toml:1: write a table: \[source.cam1\]"):
        scene_of(tmp_path, "source.cam1 = 3\n")
