"""What `humandetect scene` serves: one page for one person, until the scene is written."""

from __future__ import annotations

import threading
import tomllib
from contextlib import contextmanager
from dataclasses import replace
from queue import Queue
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from humandetect.config import SceneConfig, SourceConfig
from humandetect.errors import SinkError, SourceError, UsageError
from humandetect.media.images import decode_image
from humandetect.media.sinks.atomic_files import PendingFile
from humandetect.service.process.scene_drawing import draw_scene
from tests.builders import make_clip
from tests.media.clips import PAL_WIDE, write_anamorphic
from tests.service.browser import looking_at
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

SCENE = '[[line]]\nname = "gate"\nfrom = ["10%", "50%"]\nto = ["90%", "50%"]\n'


@pytest.fixture
def config(tmp_path: Path) -> SceneConfig:
    clip = make_clip(tmp_path / "door <b>.mp4", width=320, height=240)
    return SceneConfig(str(clip), output=tmp_path / "scene.toml")


@contextmanager
def drawing(config: SceneConfig) -> Iterator[str]:
    """Serve the page in a thread and yield its URL; it must have ended by itself, with the scene saved."""
    urls: Queue[str] = Queue()
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(draw_scene(config, on_ready=urls.put)), daemon=True)
    thread.start()
    url = urls.get(timeout=60)
    yield url
    if thread.is_alive() and not config.output.exists():
        httpx.post(url, content=SCENE)
    thread.join(60)
    assert ended == [True]


def is_away(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # it was in the queue of a port that then closed
        return False
    return False


def test_what_is_drawn_is_saved_and_ends_it(browser: Browser, config: SceneConfig) -> None:
    with drawing(config) as url, looking_at(browser, url) as page:
        expect(page.locator("#told")).to_have_text("door <b>.mp4 · Save writes scene.toml")
        expect(page.locator("#save")).to_be_disabled()
        page.focus("#zone")
        page.keyboard.press("Enter")
        text = page.inner_text("#code")
        page.click("#save")
        expect(page.locator("#message")).to_contain_text(f"Saved: {config.output}")
    assert config.output.read_text() == text
    assert tomllib.loads(text)["size"] == [320, 240]
    assert sorted(path.name for path in config.output.parent.iterdir()) == ["door <b>.mp4", "scene.toml"]


def test_pixels_that_are_not_square_are_shown_as_wide_as_they_are_and_counted_as_they_are(
    browser: Browser, config: SceneConfig, tmp_path: Path
) -> None:
    clip = write_anamorphic(tmp_path / "dvd.mp4", size=(320, 240))
    with drawing(replace(config, ref=str(clip))) as url, looking_at(browser, url) as page:
        board = page.locator("#board").bounding_box()
        assert board is not None
        assert board["width"] / board["height"] == pytest.approx(320 / 240 * float(PAL_WIDE), rel=0.01)
        page.click("#line")
        for share in (0.25, 0.75):
            page.mouse.click(board["x"] + share * board["width"], board["y"] + board["height"] / 2)
        (line,) = tomllib.loads(page.inner_text("#code"))["line"]
        assert [*line["from"], *line["to"]] == pytest.approx([80, 120, 240, 120], abs=1)


def test_a_scene_that_is_there_is_loaded_and_replaced(browser: Browser, config: SceneConfig) -> None:
    config.output.write_text(SCENE)
    with drawing(config) as url, looking_at(browser, url) as page:
        expect(page.locator("#code")).to_have_text(SCENE)
        page.get_by_label("Name of line gate").fill("door")
        page.click("#save")
        expect(page.locator("#message")).to_contain_text("Saved")
    assert config.output.read_text() == SCENE.replace("gate", "door")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("size = [", "is no TOML"),
        ("[source.a]\n", "shapes by source.* with -o"),
        (SCENE.replace("to =", "too ="), r"scene\.toml:4: there is no 'too' here"),
        ("size = [9, 90]\n[[line]]\nname = 'gate'\nfrom = [1, 2]\nto = [3, 4]", "another shape"),
    ],
)
def test_a_file_that_cannot_go_on_is_refused_and_left(config: SceneConfig, text: str, told: str) -> None:
    config.output.write_text(text)
    with pytest.raises(UsageError, match=told):
        draw_scene(config, on_ready=pytest.fail)
    assert config.output.read_text() == text


def test_a_folder_that_is_not_there_is_told_before_anybody_draws(config: SceneConfig) -> None:
    with pytest.raises(SinkError, match="does not exist: create it first"):
        draw_scene(SceneConfig(config.ref, output=config.output.parent / "no" / "scene.toml"), on_ready=pytest.fail)


def test_only_who_has_the_address_sees_the_picture_and_may_save(config: SceneConfig) -> None:
    with drawing(config) as url:
        base, token, page = url.rsplit("/", 2)
        assert len(token) >= 20
        for path in ("", "/scene", "/scene/picture", "/static/scene.js", f"/{token[:-1]}x/scene", "/x/scene/picture"):
            assert httpx.get(base + path).status_code == 404
        assert httpx.post(f"{base}/{page}", content=SCENE).status_code == 404
        assert not config.output.exists()
        answer = httpx.get(url)
        assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
        assert (answer.headers["Referrer-Policy"], answer.headers["Cache-Control"]) == ("no-referrer", "no-store")
        assert decode_image(httpx.get(f"{url}/picture").content, max_megapixels=1).shape == (240, 320, 3)


def test_what_is_no_scene_or_cannot_be_written_is_told_and_may_be_saved_again(
    config: SceneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with drawing(config) as url:
        answer = httpx.post(url, content=b"\xff")
        assert (answer.status_code, answer.json()["message"]) == (
            422,
            f"cannot read the scene in {str(config.output)!r}: it is no text in UTF-8",
        )
        answer = httpx.post(url, content=SCENE.replace("gate", ""))
        assert (answer.status_code, answer.json()["message"].split(": ")[0]) == (422, f"{config.output}:2")
        with monkeypatch.context() as patch:
            patch.setattr(PendingFile, "finish", full)
            answer = httpx.post(url, content=SCENE)
        assert answer.status_code == 500
        assert answer.json()["message"].endswith("the disk is full: free some space or write somewhere else")
        assert httpx.post(url, content=SCENE).json() == {"path": str(config.output)}


def test_the_page_says_when_the_command_has_ended(browser: Browser, config: SceneConfig) -> None:
    with drawing(config) as url, looking_at(browser, url, expect_errors=True) as page:
        page.focus("#line")
        page.keyboard.press("Enter")
        httpx.post(url, content=SCENE)
        eventually(lambda: is_away(url))
        page.click("#save")
        expect(page.locator("#message")).to_contain_text("nothing was saved: copy the text below")


def test_the_frame_is_the_one_at_start(config: SceneConfig) -> None:
    later = SceneConfig(config.ref, output=config.output, source=SourceConfig(start_seconds=1.5))
    with drawing(later) as url:
        picture = decode_image(httpx.get(f"{url}/picture").content, max_megapixels=1)
    config.output.unlink()
    with drawing(config) as url:
        assert decode_image(httpx.get(f"{url}/picture").content, max_megapixels=1).mean() != picture.mean()


def test_a_source_without_a_picture_is_told(config: SceneConfig) -> None:
    with pytest.raises(SourceError, match="cannot read"):
        draw_scene(SceneConfig("nothing.mp4", output=config.output), on_ready=pytest.fail)
    assert [path.name for path in config.output.parent.iterdir()] == ["door <b>.mp4"]
