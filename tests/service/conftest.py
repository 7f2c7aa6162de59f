"""The endpoint around an engine whose answers are known, on a real socket, and a client for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from humandetect.config import ServeConfig
from humandetect.detection.detector import Detector
from humandetect.service.app import create_app
from tests.fakes import FakeEngine
from tests.service.browser import browsing
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from fastapi import FastAPI
    from playwright.sync_api import Browser

    from humandetect.engines.base import Engine


class Client(httpx.Client):
    """Speaks to `app`, which runs in another thread of this process."""

    def __init__(self, app: FastAPI, url: str) -> None:
        super().__init__(base_url=url, timeout=60)
        self.app = app


@contextmanager
def asking(engine: Engine | None = None, *, app: FastAPI | None = None, **options: Any) -> Iterator[Client]:
    """Serve with these ServeConfig `options`, or serve `app`; yield a client."""
    app = app or create_app(ServeConfig(**options), detector=Detector(engine or FakeEngine()))
    with running(app, wait_loaded=False) as url, Client(app, url) as client:
        yield client


@pytest.fixture
def ask() -> Callable[..., AbstractContextManager[Client]]:
    return asking


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with asking() as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser
