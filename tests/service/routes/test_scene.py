"""The page where lines and zones are drawn, in a real browser: what people do, and the file that comes of it."""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import FilePayload, expect

from humandetect.config import ServeConfig
from humandetect.detection.detector import Detector
from tests.builders import make_clip
from tests.fakes import FakeEngine
from tests.service.browser import looking_at
from tests.service.images import jpeg
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Page

SIZE = WIDTH, HEIGHT = 640, 480
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SCENE = """\
size = [640, 480]  # of the camera at the door

[[line]]
name = "gate"
from = [100, 240]
to = [500, 240]
in = "เข้า"
margin = 0.1

[[zone]]
name = 'lawn'  # by the #1 gate
points = [
    [200, 100], [400, 100],  # the far side
    [300, 200],
]
loiter_seconds = 30
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(ServeConfig(), detector=Detector(FakeEngine())) as url:
        yield f"{url}/scene"


@pytest.fixture(scope="module")
def opened(browser: Browser, url: str) -> Iterator[Page]:
    with drawing_at(browser, url, SCENE) as page:
        yield page


@pytest.fixture
def page(opened: Page) -> Page:
    """The page with a scene that is good, as often as it is asked for."""
    open_scene(opened, SCENE)
    expect(opened.locator("#save")).to_be_enabled()
    expect(opened.locator("#message")).to_be_hidden()
    return opened


@contextmanager
def drawing_at(
    browser: Browser, url: str, scene: str = "", *, size: tuple[int, int] = SIZE, **options: Any
) -> Iterator[Page]:
    """Open the page with a picture, and with a scene on it."""
    with looking_at(browser, url, **options) as page:
        page.set_input_files("#file", files=[FilePayload(name="door.jpg", mimeType="image/jpeg", buffer=jpeg(*size))])
        expect(page.locator("#line")).to_be_visible()
        if scene:
            open_scene(page, scene)
            expect(page.locator("#shapes li")).not_to_have_count(0)
        yield page


def open_scene(page: Page, text: str) -> None:
    page.set_input_files(
        "#scene-file", files=[FilePayload(name="scene.toml", mimeType="application/toml", buffer=text.encode())]
    )


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where a pixel of the picture is."""
    page.locator("#drawing").scroll_into_view_if_needed()
    box = page.locator("#drawing").bounding_box()
    assert box is not None
    return box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"]


def click(page: Page, *points: Sequence[float]) -> None:
    for x, y in points:
        page.mouse.click(*on_screen(page, x, y))


def drag(page: Page, start: Sequence[float], end: Sequence[float]) -> None:
    page.mouse.move(*on_screen(page, *start))
    page.mouse.down()
    page.mouse.move(*on_screen(page, *end), steps=4)
    page.mouse.up()


def drawn(page: Page) -> dict[str, Any]:
    return tomllib.loads(page.inner_text("#code"))


def near(*points: Sequence[float]) -> list[Any]:
    """Allow for a picture that the screen shows larger or smaller."""
    return [pytest.approx(point, abs=1) for point in points]


def test_two_clicks_draw_a_line_as_the_scene_file_has_it(browser: Browser, url: str) -> None:
    with drawing_at(browser, url) as page:
        page.click("#line")
        click(page, (100, 240), (500, 240))
        assert page.inner_text("#code").startswith("size = [640, 480]\n\n[[line]]\n")
        assert drawn(page) == {
            "size": [640, 480],
            "line": [
                {"name": "line-1", "from": near((100, 240))[0], "to": near((500, 240))[0]},
            ],
        }


def test_one_drag_draws_a_line(browser: Browser, url: str) -> None:
    with drawing_at(browser, url) as page:
        page.click("#line")
        drag(page, (100, 100), (300, 300))
        (line,) = drawn(page)["line"]
        assert [line["from"], line["to"]] == near((100, 100), (300, 300))


def test_the_arrow_of_a_line_from_left_to_right_points_up_and_a_click_flips_it(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, SCENE) as page:
        line = "document.querySelector('.line .edge').getBoundingClientRect().top"
        arrow = "document.querySelector('.line .tip').getBoundingClientRect()"
        assert page.evaluate(f"{arrow}.bottom <= {line}")
        page.locator(".line [data-flips]").click()
        assert page.evaluate(f"{arrow}.top >= {line}")
        (flipped,) = drawn(page)["line"]
        assert (flipped["from"], flipped["to"]) == ([500, 240], [100, 240])
        page.get_by_label("Flip in and out of gate").last.click()
        assert drawn(page)["line"][0]["from"] == [100, 240]


@pytest.mark.parametrize("end", ["first corner", "Enter", "Done", "double click"])
def test_a_zone_ends_at_its_first_corner_and_by_enter_done_and_double_click(
    browser: Browser, url: str, end: str
) -> None:
    corners = (100, 100), (500, 120), (300, 400)
    with drawing_at(browser, url) as page:
        page.click("#zone")
        click(page, *corners)
        assert "zone" not in drawn(page)
        match end:
            case "first corner":
                click(page, (103, 98))
            case "Enter":
                page.keyboard.press("Enter")
            case "Done":
                page.click("#done")
            case _:
                page.mouse.dblclick(*on_screen(page, *corners[-1]))
        assert drawn(page)["zone"] == [{"name": "zone-1", "points": near(*corners)}]


def test_points_and_shapes_are_dragged_and_stay_in_the_picture(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, SCENE) as page:
        click(page, (150, 240))
        drag(page, (100, 240), (60, 300))
        assert drawn(page)["line"][0]["from"] == pytest.approx([60, 300], abs=1)
        click(page, (300, 130))
        drag(page, (300, 130), (630, 470))
        points = drawn(page)["zone"][0]["points"]
        assert points == near((440, 380), (640, 380), (540, 480))


def test_a_zone_gets_and_loses_corners(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, SCENE) as page:
        click(page, (300, 130))
        drag(page, (300, 100), (300, 40))
        assert drawn(page)["zone"][0]["points"] == [[200, 100], *near((300, 40)), [400, 100], [300, 200]]
        page.keyboard.press("Delete")
        assert drawn(page)["zone"][0]["points"] == [[200, 100], [400, 100], [300, 200]]


def test_keys_move_delete_undo_and_do_again(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, SCENE) as page:
        click(page, (150, 240), (100, 240))
        for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowUp"):
            page.keyboard.press(key)
        assert drawn(page)["line"][0]["from"] == [99, 229]
        page.keyboard.press("Control+z")
        assert drawn(page)["line"][0]["from"] == [99, 239]
        page.keyboard.press("Control+Shift+z")
        assert drawn(page)["line"][0]["from"] == [99, 229]
        click(page, (200, 236))
        page.keyboard.press("Delete")
        assert "line" not in drawn(page)
        page.keyboard.press("Control+z")
        assert drawn(page)["line"][0]["name"] == "gate"
        for _ in range(9):
            page.keyboard.press("Control+z")
        assert drawn(page)["line"][0]["from"] == [100, 240]


def test_escape_and_undo_take_back_what_is_not_finished(browser: Browser, url: str) -> None:
    with drawing_at(browser, url) as page:
        page.click("#zone")
        click(page, (100, 100), (200, 100), (400, 400))
        page.keyboard.press("Control+z")
        click(page, (200, 200), (100, 200), (100, 100))
        assert drawn(page)["zone"][0]["points"] == near((100, 100), (200, 100), (200, 200), (100, 200))
        page.click("#line")
        click(page, (100, 300))
        page.keyboard.press("Escape")
        assert page.get_attribute("#line", "aria-pressed") == "false"
        assert "line" not in drawn(page)


def test_without_a_pointer_a_line_is_added_in_the_middle_and_moved_by_keys(browser: Browser, url: str) -> None:
    with drawing_at(browser, url) as page:
        page.focus("#line")
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        (line,) = drawn(page)["line"]
        assert (line["from"], line["to"]) == ([192, 241], [449, 240])


def test_fingers_draw_and_drag(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, **PHONE) as page:
        page.tap("#line")
        for point in ((100, 100), (100, 400)):
            page.touchscreen.tap(*on_screen(page, *point))
        (line,) = drawn(page)["line"]
        assert [line["from"], line["to"]] == [pytest.approx(point, abs=2) for point in ((100, 100), (100, 400))]
        touch = page.context.new_cdp_session(page)
        path = [("touchStart", (104, 396)), ("touchMove", (150, 350)), ("touchMove", (200, 300)), ("touchEnd", ())]
        for kind, place in path:
            places = [dict(zip("xy", on_screen(page, *place), strict=True))] if place else []
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
        assert drawn(page)["line"][0]["to"] == pytest.approx([196, 304], abs=4)


def test_percent_and_options_say_the_same_shapes(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, SCENE) as page:
        page.click("#tab-options")
        assert page.inner_text("#code") == (
            "# in, margin, loiter_seconds: only the file has a place for that\n"
            "--line 'gate=100,240,500,240' \\\n"
            "--zone 'lawn=200,100,400,100,300,200'"
        )
        page.check("[value='%']")
        assert "--line 'gate=15.63%,50%,78.13%,50%'" in page.inner_text("#code")
        page.click("#tab-file")
        assert "size" not in drawn(page)
        assert drawn(page)["line"][0]["from"] == ["15.63%", "50%"]


def test_names_and_labels_are_typed_and_shown_at_once(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, SCENE) as page:
        page.get_by_label("Name of line gate").fill("door")
        page.get_by_label("In is called").fill("coming")
        page.get_by_label("Name of zone").click()
        page.get_by_label("Most people").fill("12")
        scene = drawn(page)
        assert (scene["line"][0]["name"], scene["line"][0]["in"]) == ("door", "coming")
        assert scene["zone"][0]["max_people"] == 12
        assert page.locator("#drawing text", has_text="coming").count() == 1
        for _ in range(3):
            page.click("#undo")
        assert drawn(page) == tomllib.loads(SCENE)
        expect(page.locator("#undo")).to_be_disabled()


def test_a_file_keeps_all_it_says(browser: Browser, url: str) -> None:
    said = tomllib.loads(SCENE)
    with drawing_at(browser, url, SCENE) as page:
        assert drawn(page) == said
        page.check("[value='%']")
        again = page.inner_text("#code")
        open_scene(page, again)
        expect(page.locator("[value='%']")).to_be_checked()
        assert page.inner_text("#code") == again
        page.check("[value=px]")
        assert drawn(page) == said


def test_a_scene_of_another_size_is_scaled(browser: Browser, url: str) -> None:
    with drawing_at(browser, url, SCENE, size=(1280, 960)) as page:
        assert drawn(page)["size"] == [1280, 960]
        assert drawn(page)["line"][0]["from"] == [200, 480]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SCENE.replace("640, 480", "640, 360"), "640 x 360, this one has 640 x 480"),
        (SCENE.replace("margin", "margins"), "A line has no margins"),
        (SCENE + "\n[source.cam1]\nsize = [1, 1]\n", "Line 18: only [[line]] and [[zone]]"),
        ("[[circle]]\nname = 'a'", "no circle"),
        ("size = 640", "size is a width and a height"),
        ("size = [640, 480", "Line 1: expected , and not the end"),
        ("[[line]]\nname = 'a'\nfrom = [1, 2, 3]\nto = [1, 2]", "The line a has no points"),
        ("[[line]]\nname = 'a'\nfrom = [1, 'left']\nto = [1, 2]", '"left" is no coordinate'),
        ("line = 3", "[[line]]"),
        ("name", "expected ="),
        ('name = "', "Line 1: this is not TOML"),
    ],
)
def test_a_file_that_cannot_be_drawn_is_told_and_changes_nothing(page: Page, text: str, told: str) -> None:
    before = page.inner_text("#code")
    open_scene(page, text)
    expect(page.locator("#message")).to_contain_text(told)
    assert page.inner_text("#code") == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("lawn", "the # lawn", "A name has 1 to 40 letters"),
        ("lawn", "", "A name has 1 to 40 letters"),
        ("to = [500, 240]", "to = [100, 240]", "no length"),
        ("[300, 200]", "[300, 100]", "no area"),
        ("[300, 200]", "[400, 100]", "three corners"),
        ("[300, 200]", "[400, 200], [300, 20]", "crosses itself"),
        ("[[zone]]", '[[line]]\nname = "gate"\nfrom = [1, 2]\nto = [3, 4]\n[[zone]]', "name of its own"),
    ],
)
def test_what_the_command_would_refuse_is_told_and_not_saved(page: Page, old: str, new: str, told: str) -> None:
    open_scene(page, SCENE.replace(old, new))
    expect(page.locator(".wrong:not(:empty)").first).to_contain_text(told)
    expect(page.locator("#save")).to_be_disabled()
    page.locator(".fault").first.wait_for(state="attached")


def test_the_file_is_downloaded_and_nothing_is_sent(browser: Browser, url: str) -> None:
    with drawing_at(browser, url) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method))
        open_scene(page, SCENE)
        expect(page.locator("#shapes li")).to_have_count(2)
        with page.expect_download() as download:
            page.click("#save")
        assert download.value.suggested_filename == "scene.toml"
        assert download.value.path().read_text() == page.inner_text("#code")
        assert [method for method in sent if method != "GET"] == []


def test_a_frame_of_a_video_and_a_dropped_picture_are_drawn_on(browser: Browser, url: str, tmp_path: Path) -> None:
    with looking_at(browser, url) as page:
        page.set_input_files("#file", make_clip(tmp_path / "door.mp4", width=320, height=240))
        expect(page.locator("#line")).to_be_visible()
        assert drawn(page) == {"size": [320, 240]}
        give = """(_, bytes) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], "mine.jpg", { type: "image/jpeg" }));
            document.dispatchEvent(Object.assign(new Event("drop", { cancelable: true }), { dataTransfer }));
        }"""
        page.locator("body").evaluate(give, list(jpeg(64, 48)))
        expect(page.locator("#code")).to_have_text("size = [64, 48]\n")


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "image/jpeg"), ("a.mp4", "video/mp4"), ("a.toml", "")])
def test_a_file_that_is_no_picture_is_told(browser: Browser, url: str, name: str, kind: str) -> None:
    with looking_at(browser, url) as page:
        page.set_input_files("#file", files=[FilePayload(name=name, mimeType=kind, buffer=b"nothing")])
        expect(page.locator("#message")).to_be_visible()
        expect(page.locator("#message")).not_to_contain_text("went wrong")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, url: str, scheme: str) -> None:
    with drawing_at(browser, url, SCENE, color_scheme=scheme, **PHONE) as page:
        page.locator("#shapes input").first.focus()
        assert page.locator("html").evaluate("html => html.scrollWidth") <= PHONE["viewport"]["width"]
