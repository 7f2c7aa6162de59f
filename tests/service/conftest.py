"""The application around an engine whose answers are known, and a client for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from humandetect.config import ServeConfig
from humandetect.detector import Detector
from humandetect.service.server import create_app
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from humandetect.engines.base import Engine


@contextmanager
def asking(engine: Engine | None = None, **options: Any) -> Iterator[TestClient]:
    """A client of an application with these ServeConfig `options`."""
    app = create_app(ServeConfig(**options), detector=Detector(engine or FakeEngine()))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def ask() -> Callable[..., AbstractContextManager[TestClient]]:
    return asking


@pytest.fixture
def client() -> Iterator[TestClient]:
    with asking() as client:
        yield client
