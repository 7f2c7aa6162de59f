"""The server of the page: a thread with a loop of its own, which ends with the `with` block."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import uvicorn

from humandetect.errors import ServerError
from humandetect.service.process.http.certificates import check_certificate
from humandetect.service.process.http.deadlines import DeadlineProtocol
from humandetect.service.process.launch import url_of
from humandetect.watch.metrics import WatchCollector, watch_registry
from humandetect.watch.web.app import create_app
from humandetect.watch.web.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from humandetect.config.web import WebConfig
    from humandetect.watch.base import Memory, View

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 1
"""For answers under way: the whole of `watch` ends within three."""
PING_SECONDS = 15.0
LARGEST_MESSAGE_BYTES = 10_000
"""Of what a page says over its WebSocket."""


class Page(NamedTuple):
    """A page that is served."""

    url: str
    renew: Callable[[], None]
    """Shows its certificate as it is by now to whoever comes. Raises ServerError, and the one before stays."""


@contextmanager
def page_served(
    config: WebConfig, view: View, memory: Memory, *, collector: WatchCollector | None = None
) -> Iterator[Page]:
    """Serve page, API and metrics meanwhile.

    `memory` is asked from several threads. Raises ServerError where port or certificate cannot be had.
    """
    check_certificate(config.tls_cert, config.tls_key)
    hub = Hub(view)
    registry = watch_registry(collector or WatchCollector(view))
    app = create_app(view, memory, hub=hub, registry=registry, api_key=config.api_key)
    server = _PageServer(
        uvicorn.Config(
            app, http=DeadlineProtocol, ws="websockets-sansio", ws_per_message_deflate=False,
            ws_max_size=LARGEST_MESSAGE_BYTES, ws_ping_interval=PING_SECONDS, ws_ping_timeout=PING_SECONDS,
            lifespan="on", log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=FAREWELL_SECONDS, ssl_certfile=config.tls_cert, ssl_keyfile=config.tls_key,
        ),
        hub=hub, files=(config.tls_cert, config.tls_key),
    )  # fmt: skip
    with _listening(config) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="web", daemon=True)
        thread.start()
        try:
            url = url_of(listener, tls=config.tls_cert is not None)
            yield Page(f"{url}/", renew=server.renew)
        finally:
            server.should_exit = True
            thread.join(FAREWELL_SECONDS + 1)


class _PageServer(uvicorn.Server):
    """Sends those home who look, who would never leave by themselves, and shows another certificate when it is told."""

    def __init__(self, config: uvicorn.Config, *, hub: Hub, files: tuple[Path | None, Path | None]) -> None:
        super().__init__(config)
        self._hub = hub
        self._files = files

    def renew(self) -> None:
        renewed = check_certificate(*self._files)
        if renewed and self.config.ssl:
            # Files may be replaced meanwhile: loaded into what is in use, one would be shown without its key.
            self.config.ssl.sni_callback = lambda connection, *_: setattr(connection, "context", renewed)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.end()
        await super().shutdown(sockets)


def _listening(config: WebConfig) -> socket.socket:
    host, port = config.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        told = (error.strerror or str(error)).partition(" (while ")[0]  # the rest has the address again
        raise ServerError(f"cannot show the page at --web {host}:{port} ({told}): choose another address") from error
    if config.api_key is None and not host.startswith("127.") and host not in ("localhost", "::1"):
        logger.warning("whoever reaches %s:%d sees the cameras: set an API key", host, port)
    return listener
