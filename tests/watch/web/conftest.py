"""A page of two cameras for tests that change nothing, and a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service.browser import browsing
from tests.watch.web.serving import showing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.watch.web.serving import Site


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with showing() as site:
        site.cameras.step("door")
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser
