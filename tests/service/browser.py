"""A real browser, where there is one: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MILLISECONDS = 60_000
"""For what a page should show, on a machine that is busy with other tests."""
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser whose camera is a moving test picture; skip where there is none, but never in CI."""
    if CHROMIUM is None:
        reason = "no chromium: apt-get install chromium"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def looking_at(browser: Browser, url: str, *, expect_errors: bool = False, **options: Any) -> Iterator[Page]:
    """Open a page; afterwards nothing may have left the server or been said on the console."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
    origin = re.match(r"https?://[^/]+", url)
    assert origin is not None
    assert [one for one in asked if not one.startswith((origin[0], "blob:", "data:"))] == []
    if not expect_errors:
        assert said == []
