"""Promises of one server in one process."""

from __future__ import annotations

import socket
import threading

from humandetect.config import ServeConfig
from humandetect.service.process.server import Server
from tests.waiting import eventually


def test_the_loop_that_serves_says_that_it_lives() -> None:
    stop, loaded = threading.Event(), threading.Event()
    beats: list[None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(
            ServeConfig(), on_loaded=lambda _: loaded.set(), on_second=lambda: beats.append(None), stop=stop
        )
        thread = threading.Thread(target=server.run_on, args=(listener,))
        thread.start()
        eventually(lambda: loaded.is_set() and len(beats) >= 2)
        stop.set()
        thread.join()
