"""Real servers for tests: in a thread of this process, or as the command in a process of its own."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn

from humandetect.config import ServeConfig
from humandetect.service.process.http.deadlines import DeadlineProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from humandetect.detection.detector import Detector

START_SECONDS, END_SECONDS = 60, 30


@contextmanager
def running(
    app: Callable[..., Any] | ServeConfig,
    *,
    detector: Detector | None = None,
    wait_loaded: bool = True,
    port: int = 0,
    **options: Any,
) -> Iterator[str]:
    """Serve an ASGI app, or the endpoint that a config describes, in a thread; yield its URL.

    With `wait_loaded` an endpoint has loaded its engine, or failed to, before it is yielded; `options` go to uvicorn.
    """
    if isinstance(app, ServeConfig):
        from humandetect.service.app import create_app

        app = create_app(app, detector=detector)
    settings: dict[str, Any] = {"access_log": False, "log_config": None, "server_header": False, "ws": "none"}
    settings |= {"timeout_keep_alive": 10, "timeout_graceful_shutdown": 5, "http": DeadlineProtocol}
    server = uvicorn.Server(uvicorn.Config(app, **(settings | options)))
    with socket.create_server(("127.0.0.1", port)) as listener:
        url = f"{'https' if server.config.is_ssl else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            loaded = getattr(getattr(app, "state", None), "loaded", None) if wait_loaded else None
            _wait_until(lambda: server.started and (loaded is None or loaded.is_set()), while_=thread.is_alive)
            yield url
        finally:
            server.should_exit = True
            thread.join(END_SECONDS)
            assert not thread.is_alive(), "the server did not end"


def _wait_until(condition: Callable[[], bool], *, while_: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert while_(), "the server ended before it answered"
        assert time.monotonic() < deadline, "the server did not answer in time"
        time.sleep(0.01)


@dataclass
class Spawned:
    """`humandetect serve` in a process of its own."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)
    """What it has said on stderr so far."""

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_SECONDS)


@contextmanager
def spawned(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Spawned]:
    """Run `humandetect serve --port 0 ARGUMENTS` and yield it when it says its URL; end it by SIGTERM afterwards."""
    command = [sys.executable, "-m", "humandetect", "serve", "--port", "0", *arguments]
    environment = {**os.environ, **(env or {})}
    # A group of its own, so that a test can press Ctrl-C there as a terminal does: for all of its processes.
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        server = Spawned(process)
        urls: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_read, args=(server, urls), daemon=True)
        reader.start()
        try:
            server.url = urls.get(timeout=START_SECONDS)
            assert server.url, f"the server ended with {process.wait(END_SECONDS)}: {''.join(server.lines)}"
            yield server
        finally:
            _end(process)
            reader.join(END_SECONDS)


def _read(server: Spawned, urls: queue.Queue[str]) -> None:
    assert server.process.stderr is not None
    for line in server.process.stderr:
        server.lines.append(line)
        if found := re.search(r"humandetect serves .* at (https?://[^\s\"]+)", line):
            urls.put(found[1])
    urls.put("")


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    if process.poll() is None:
        process.kill()
