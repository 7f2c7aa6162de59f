"""The page of cameras that there are not, on a free port of this machine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from humandetect.config.web import WebConfig
from humandetect.watch.web.server import page_served
from tests.waiting import eventually
from tests.watch.web.cameras import FakeCameras, FakeMemory

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Site:
    url: str
    cameras: FakeCameras
    http: httpx.Client

    @property
    def live(self) -> str:
        return f"{self.url.replace('http', 'ws', 1)}v1/live"


@contextmanager
def showing(
    cameras: FakeCameras | None = None, memory: FakeMemory | None = None, *, key: str | None = None
) -> Iterator[Site]:
    cameras = cameras or FakeCameras("door", "yard")
    config = WebConfig("0", api_key=key)
    with (
        page_served(config, cameras, memory or FakeMemory()) as (url, _),
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        eventually(lambda: cameras.audiences)
        yield Site(url, cameras, http)
