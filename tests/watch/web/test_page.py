"""The page, as a real browser shows it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.service.browser import looking_at
from tests.watch.web.cameras import FakeCameras, FakeMemory, count_row, crossing
from tests.watch.web.serving import showing

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page


def source_of(page: Page, camera: str) -> str:
    picture = page.locator(f"[data-camera={camera}] img")
    expect(picture).to_be_visible()
    return picture.get_attribute("src") or ""


def test_the_grid_shows_all_cameras_and_what_changes(browser: Browser) -> None:
    with showing() as site, looking_at(browser, site.url) as page:
        expect(page.locator(".camera")).to_have_count(2)
        door = page.locator("[data-camera=door]")
        expect(door.locator(".away")).to_have_text("connecting")
        site.cameras.step("door")
        first = source_of(page, "door")
        expect(door).to_contain_text("2 people")
        expect(door).to_contain_text("gate 15 in, 18 out")
        expect(page.locator("#told")).to_have_text("1 of 2 live · 2 people")
        site.cameras.step("door")
        expect(door.locator("img")).not_to_have_attribute("src", first)
        site.cameras.change("door", state="lost", reason="no picture for 20 s")
        expect(door.locator(".away")).to_have_text("lostno picture for 20 s")
        expect(page.locator("#told")).to_have_text("0 of 2 live · 2 people")
        site.cameras.step("door")
        expect(door.locator(".away")).to_be_hidden()


def test_events_arrive_with_their_pictures_under_those_of_before(browser: Browser) -> None:
    memory = FakeMemory(events=[crossing(number) for number in range(2)])
    with showing(memory=memory) as site, looking_at(browser, site.url) as page:
        events = page.locator("#events li")
        expect(events).to_have_count(2)
        site.cameras.step("door")
        expect(page.locator("[data-camera=door] img")).to_be_visible()
        site.cameras.happen(crossing(3))
        expect(events).to_have_count(3)
        expect(events.first).to_contain_text("Out over gate")
        width = "element => element.naturalWidth"
        page.wait_for_function("document.querySelector('#events img')?.naturalWidth > 0")
        assert events.first.locator("img").evaluate(width) > 0


def test_one_camera_is_large_with_its_counts_and_its_own_events(browser: Browser, tmp_path: Path) -> None:
    now = datetime.now().astimezone()
    rows = [count_row("door", "line", "gate", at=now, values={"in": 5, "out": 2})]
    memory = FakeMemory(events=[crossing(0), crossing(0, camera="yard")])
    cameras = FakeCameras("door", "yard", folder=tmp_path)
    cameras.rows = rows
    with showing(cameras, memory) as site, looking_at(browser, site.url) as page:
        expect(page.locator("#events li")).to_have_count(2)
        page.click("[data-camera=door]")
        expect(page.locator(".camera:visible")).to_have_count(1)
        expect(page.locator("#count-list")).to_contain_text("5 in · 2 out")
        expect(page.locator("#events li")).to_have_count(1)
        cameras.rows = [count_row("door", "line", "gate", at=now, values={"in": 6, "out": 2})]
        site.cameras.happen(crossing(1))
        expect(page.locator("#count-list")).to_contain_text("6 in · 2 out")
        site.cameras.step("door")
        assert source_of(page, "door")
        page.click("#edit")
        expect(page.locator("#told")).to_have_text("door · Save writes door.toml")
        expect(page.locator("#line")).to_be_visible()
        page.focus("#line")
        page.keyboard.press("Enter")
        page.click("#save")
        expect(page.locator("#message")).to_contain_text("The camera counts by it from now on")
        assert "line-1" in (tmp_path / "door.toml").read_text()
        page.click("text=All cameras")
        expect(page.locator(".camera:visible")).to_have_count(2)


def test_the_key_is_asked_for_once(browser: Browser) -> None:
    with showing(key="k3y") as site, looking_at(browser, site.url, expect_errors=True) as page:
        expect(page.locator("#key")).to_be_visible()
        expect(page.locator("#cameras")).to_be_hidden()
        page.fill("#key-text", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-told")).to_have_text("That key is not the right one.")
        page.fill("#key-text", "k3y")
        page.keyboard.press("Enter")
        expect(page.locator(".camera")).to_have_count(2)
        site.cameras.step("door")
        assert source_of(page, "door")
        page.reload()
        expect(page.locator(".camera")).to_have_count(2)


def test_a_page_that_is_hidden_does_not_look(browser: Browser) -> None:
    with showing() as site, looking_at(browser, site.url) as page:
        expect(page.locator(".camera")).to_have_count(2)
        hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); "
        hide += "document.dispatchEvent(new Event('visibilitychange')); }"
        with page.expect_websocket() as another:
            page.evaluate(hide, True)
            page.evaluate(hide, False)
        assert not another.value.is_closed()
        site.cameras.step("door")
        assert source_of(page, "door")


def test_it_fits_every_width_and_is_dark_where_that_is_wanted(browser: Browser) -> None:
    with showing() as site, looking_at(browser, site.url, color_scheme="dark") as page:
        site.cameras.step("door")
        site.cameras.change("door", state="lost", reason="a word that is longer than any phone is wide: " + "x" * 80)
        expect(page.locator(".away strong").first).to_have_text("lost")
        for width in (320, 390, 1360):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 17)"
