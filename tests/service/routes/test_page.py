"""The page, in a real browser: what people see and do."""

from __future__ import annotations

import re
import threading
from io import BytesIO
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from humandetect.config import EngineConfig, ServeConfig
from humandetect.detection.detector import Detector, open_detector
from humandetect.service.routes.pages import STATIC
from tests.builders import picture
from tests.fakes import FakeEngine
from tests.service.browser import looking_at
from tests.service.conftest import asking
from tests.service.images import encoded, jpeg, png
from tests.service.servers import running
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, FilePayload, Page

SAMPLE = (STATIC / "sample.jpg").read_bytes()
# Counted in the page: the browser's events of an end and of the next beginning come in any order.
COUNT_FETCHES = """() => {
  const real = window.fetch;
  let open = 0;
  window.most = 0;
  window.fetch = async (...request) => {
    window.most = Math.max(window.most, ++open);
    try { return await real(...request); } finally { open--; }
  };
}"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(ServeConfig(), detector=Detector(FakeEngine())) as url:
        yield url


def green(page: Page) -> int:
    """Count the pixels that have the colour of the boxes."""
    count: int = page.locator("#canvas").evaluate(
        """canvas => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let at = 0; at < data.length; at += 4)
                if (data[at] === 0x82 && data[at + 1] === 0xe6 && data[at + 2] === 0x46) count += 1;
            return count;
        }"""
    )
    return count


def filled(page: Page) -> float:
    """Return the share of the canvas that has the colour of hidden people."""
    share: float = page.evaluate(
        """() => {
          const canvas = document.getElementById("canvas");
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) count += [0, 1, 2].every((k) => Math.abs(data[i + k] - 96) < 8);
          return count / (data.length / 4);
        }"""
    )
    return share


def upload(page: Page, content: bytes, kind: str = "image/jpeg", name: str = "mine.jpg") -> None:
    file: FilePayload = {"name": name, "mimeType": kind, "buffer": content}
    page.set_input_files("#file", files=[file])


def test_the_sample_button_shows_the_people_that_the_server_found(browser: Browser) -> None:
    with running(ServeConfig(engine=EngineConfig(engine="openvino")), detector=open_detector()) as url:
        answer = httpx.post(f"{url}/v1/detect", content=SAMPLE, headers={"Content-Type": "image/jpeg"}).json()
        found = len(answer["results"][0]["people"])
        with looking_at(browser, url) as page:
            expect(page.locator("#model")).to_contain_text("openvino")
            page.click("#sample")
            expect(page.locator("#count")).to_have_text(str(found))
            expect(page.locator("#people li")).to_have_count(found)
            assert green(page) > 1000
            assert "ms in the server" in page.inner_text("#total")
    assert found >= 5


def test_the_slider_filters_without_asking_again(browser: Browser, url: str) -> None:
    with looking_at(browser, url) as page:
        upload(page, jpeg(320, 240))
        expect(page.locator("#count")).to_have_text("1")
        posts: list[str] = []
        page.on("request", lambda request: posts.append(request.method))
        page.locator("#score").fill("95")
        expect(page.locator("#count")).to_have_text("0")
        assert green(page) == 0
        page.locator("#score").fill("1")
        expect(page.locator("#score-text")).to_have_text("1 %")
        expect(page.locator("#count")).to_have_text("1")
        assert "POST" not in posts


def test_a_server_that_hides_people_shows_them_nowhere(browser: Browser) -> None:
    """The picture on the page is the server's, also after the slider was moved."""
    with (
        running(ServeConfig(anonymize="fill"), detector=Detector(FakeEngine())) as url,
        looking_at(browser, url) as page,
    ):
        assert httpx.get(f"{url}/limits").json()["anonymize"] is True
        upload(page, jpeg(320, 240, shade=200))
        expect(page.locator("#count")).to_have_text("1")
        assert filled(page) > 0.15
        with page.expect_response("**/v1/detect*"):
            page.locator("#score").fill("95")
            page.locator("#score").dispatch_event("change")
        expect(page.locator("#count")).to_have_text("0")
        assert filled(page) > 0.15


@pytest.mark.parametrize(
    ("content", "kind"), [(b"hello", "text/plain"), (b"hello", "image/jpeg"), (SAMPLE[:300], "image/jpeg")]
)
def test_a_bad_file_is_told(browser: Browser, url: str, content: bytes, kind: str) -> None:
    with looking_at(browser, url) as page:
        upload(page, content, kind)
        expect(page.locator("#message")).to_be_visible()
        expect(page.locator("#message")).to_contain_text("JPEG")


def test_after_a_bad_file_nothing_of_the_last_picture_stays(browser: Browser, url: str) -> None:
    with looking_at(browser, url) as page:
        upload(page, jpeg(320, 240))
        expect(page.locator("#count")).to_have_text("1")
        upload(page, b"hello", "text/plain", "notes.txt")
        expect(page.locator("#message")).to_contain_text("JPEG")
        for gone in ("#canvas", "#people", "#download", "#score"):
            expect(page.locator(gone)).to_be_hidden()
        expect(page.locator("#counted")).to_have_text(re.compile(r"^\s*$"))
        assert "mine.jpg" not in page.inner_text("#code")
        upload(page, jpeg(320, 240))
        expect(page.locator("#count")).to_have_text("1")
        expect(page.locator("#people li")).to_be_visible()
        expect(page.locator("#message")).to_be_hidden()


@pytest.mark.parametrize(("name", "kind"), [("my clip.mp4", "video/mp4"), ("my clip.mkv", "")])
def test_a_video_is_sent_to_the_command_for_videos(browser: Browser, url: str, name: str, kind: str) -> None:
    with looking_at(browser, url) as page:
        upload(page, b"a video", kind, name)
        expect(page.locator("#message")).to_contain_text(f"humandetect detect '{name}'")


@pytest.mark.parametrize("options", [{"max_image_mb": 0.3}, {"max_megapixels": 0.5}], ids=["bytes", "pixels"])
def test_a_photo_that_is_too_large_is_shrunk_and_stays_upright(browser: Browser, options: dict[str, Any]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the picture lies in the file
    photo, noise = BytesIO(), np.random.default_rng(0).integers(0, 255, (150, 200, 3), np.uint8)
    Image.fromarray(noise).resize((1600, 1200)).save(photo, "JPEG", exif=exif, quality=98)
    with asking(**options) as client, looking_at(browser, str(client.base_url)) as page:
        expect(page.locator("#model")).to_contain_text("fake")
        upload(page, photo.getvalue(), name="photo.jpg")
        expect(page.locator("#count")).to_have_text("1")
        width, height = page.locator("#canvas").evaluate("canvas => [canvas.width, canvas.height]")
        assert 300 < width < 1200
        assert height / width == pytest.approx(4 / 3, abs=0.02)
        expect(page.locator("#message")).to_contain_text(f"a copy of {width} x {height} was sent")
        assert "@photo_small.jpg" in page.inner_text("#code")


def test_other_formats_are_sent_as_jpeg(browser: Browser, url: str) -> None:
    with looking_at(browser, url) as page:
        upload(page, encoded(picture(320, 240), ".webp"), "image/webp", "mine.webp")
        expect(page.locator("#count")).to_have_text("1")
        expect(page.locator("#message")).to_contain_text("WEBP was sent as JPEG")
        assert "@mine.jpg" in page.inner_text("#code")
        assert "# mine.webp went as a JPEG, which the server takes: save it as mine.jpg" in page.inner_text("#code")
        page.click("#tab-python")
        assert 'open("mine.jpg", "rb")' in page.inner_text("#code")
        compile(page.inner_text("#code"), "page", "exec")


def test_an_image_that_is_too_large_is_told(browser: Browser) -> None:
    with asking(max_image_mb=0.001) as client, looking_at(browser, str(client.base_url), expect_errors=True) as page:
        upload(page, png(640, 480) + b"\0" * 2_000_000, "image/png")
        expect(page.locator("#message")).to_contain_text("too large")


def test_dropped_and_pasted_images_are_taken(browser: Browser, url: str) -> None:
    give = """([event, key, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "mine.png", { type: "image/png" }));
        document.dispatchEvent(Object.assign(new Event(event, { bubbles: true, cancelable: true }), { [key]: data }));
    }"""
    for event, key in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        with looking_at(browser, url) as page:
            page.locator("body").evaluate(f"(_, given) => ({give})(given)", [event, key, list(png(320, 240))])
            expect(page.locator("#count")).to_have_text("1")


def test_the_camera_shows_live_boxes_and_stops_when_told(browser: Browser, url: str) -> None:
    with looking_at(browser, url) as page:
        page.click("#camera")
        expect(page.locator("#rate")).to_have_text(re.compile(r"[1-9][0-9]*\.[0-9] frames a second"))
        expect(page.locator("#count")).to_have_text("1")
        assert green(page) > 100
        first = page.locator("#canvas").evaluate("canvas => canvas.toDataURL()")
        eventually(lambda: page.locator("#canvas").evaluate("canvas => canvas.toDataURL()") != first)
        page.click("#camera")
        page.wait_for_timeout(300)
        posts: list[str] = []
        page.on("request", lambda request: posts.append(request.url))
        page.wait_for_timeout(300)
        assert posts == []
        expect(page.locator("#rate")).to_be_hidden()


def test_a_camera_started_again_at_once_sends_one_frame_at_a_time(browser: Browser, url: str) -> None:
    with looking_at(browser, url) as page:
        page.click("#camera")
        expect(page.locator("#rate")).to_be_visible()
        for _ in range(6):
            page.click("#camera")
        expect(page.locator("#camera")).to_have_text("Stop the camera")
        page.wait_for_timeout(300)
        page.evaluate(COUNT_FETCHES)
        eventually(lambda: page.evaluate("most"))
        page.wait_for_timeout(700)
        assert page.evaluate("most") == 1


def test_the_key_is_asked_for_and_used(browser: Browser) -> None:
    with asking(api_key="open sesame") as client, looking_at(browser, str(client.base_url), expect_errors=True) as page:
        page.click("#sample")
        expect(page.locator("#key")).to_be_visible()
        page.fill("#key-text", "wrong")
        page.press("#key-text", "Enter")
        expect(page.locator("#message")).to_contain_text("not the right one")
        page.fill("#key-text", "open sesame")
        page.press("#key-text", "Enter")
        expect(page.locator("#count")).to_have_text("1")
        assert "open sesame" not in page.inner_text("#code")


def test_a_server_that_is_away_is_told(browser: Browser) -> None:
    with running(ServeConfig(), detector=Detector(FakeEngine())) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
    upload(page, jpeg())
    expect(page.locator("#message")).to_contain_text("does not answer")
    context.close()


def test_a_busy_server_is_asked_again(browser: Browser) -> None:
    gate = threading.Event()
    with asking(FakeEngine(gate=gate), queue=16) as client:
        inference = client.app.state.inference
        with looking_at(browser, str(client.base_url), expect_errors=True) as page:
            with inference.admitted(16):
                page.click("#sample")
                expect(page.locator("#message")).to_contain_text("busy")
            gate.set()
            expect(page.locator("#count")).to_have_text("1")


def test_the_code_shown_works(browser: Browser, url: str) -> None:
    with looking_at(browser, url) as page:
        assert f"{url}/v1/detect" in page.inner_text("#code")
        page.click("#tab-python")
        python = page.inner_text("#code")
    assert "httpx.post(" in python
    compile(python, "page", "exec")


def test_the_annotated_picture_can_be_kept(browser: Browser, url: str) -> None:
    with looking_at(browser, url) as page:
        upload(page, jpeg(320, 240))
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == "mine_people.jpg"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, url: str, scheme: str) -> None:
    options: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme, "is_mobile": True}
    with looking_at(browser, url, **options) as page:
        upload(page, jpeg(1280, 720))
        expect(page.locator("#count")).to_have_text("1")
        assert page.locator("html").evaluate("html => html.scrollWidth") <= 360


def test_the_numbers_of_boxes_can_be_read_on_a_phone(browser: Browser, url: str) -> None:
    with looking_at(browser, url, viewport={"width": 360, "height": 740}, is_mobile=True) as page:
        upload(page, jpeg(4000, 3000))
        expect(page.locator("#count")).to_have_text("1")
        height = page.locator("#canvas").evaluate(
            """canvas => {
                const { data } = canvas.getContext("2d").getImageData(2, 0, 1, canvas.height / 4);
                let green = 0;
                for (let at = 0; at < data.length; at += 4) if (data[at] === 0x82 && data[at + 1] === 0xe6) green += 1;
                return green * canvas.clientHeight / canvas.height;
            }"""
        )
        assert height >= 14


def test_a_part_of_the_page_that_has_not_changed_is_not_sent_again(url: str) -> None:
    for path in ("/", "/docs", "/static/app.js"):
        first = httpx.get(url + path)
        again = httpx.get(url + path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
        assert httpx.get(url + path, headers={"If-None-Match": '"other"'}).content == first.content


def test_the_documentation_needs_nothing_from_outside(browser: Browser, url: str) -> None:
    with looking_at(browser, f"{url}/docs") as page:
        expect(page.get_by_text("/v1/detect").first).to_be_visible()
        expect(page.get_by_text("/request").first).to_be_visible()


def test_the_documentation_takes_the_key_and_asks_with_it(browser: Browser) -> None:
    with asking(api_key="open sesame") as client, looking_at(browser, f"{client.base_url}/docs") as page:
        page.get_by_role("button", name="Authorize").first.click()
        page.locator("#auth-bearer-value").fill("open sesame")
        page.get_by_role("button", name="Apply credentials").first.click()
        page.get_by_role("button", name="Close").first.click()
        page.get_by_text("/metrics", exact=True).click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.get_by_text("humandetect_requests_total").first).to_be_visible()


@pytest.mark.parametrize("path", ["/static/index.html", "/static/../server.py", "/static/%2e%2e/server.py", "/static/"])
def test_only_the_pages_parts_are_served(url: str, path: str) -> None:
    assert httpx.get(url + path).status_code == 404


def test_the_page_runs_no_script_but_its_own(url: str) -> None:
    policy = httpx.get(url).headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
