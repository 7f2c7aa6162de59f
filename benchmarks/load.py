"""A cheap client, and the servers that it asks: processes of their own on the same cores."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

START_SECONDS, END_SECONDS = 120, 30
ANSWER_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Question:
    """A request, ready to be sent."""

    path: str
    body: bytes
    content_type: str
    indices: tuple[int, ...]
    """Which pictures it holds."""


@dataclass
class Answers:
    """What came of a load."""

    wall_seconds: float = 0.0
    client_seconds: float = 0.0
    """CPU of this process."""
    idle: float = 0.0
    """Share of all cores that had nothing to do."""
    images: int = 0
    """Answered with 200."""
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    kept: list[tuple[Question, bytes]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.wall_seconds

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent)) * 1000


def ask(url: str, questions: Sequence[Question], *, requests: int, concurrency: int, keep_every: int = 10) -> Answers:
    """Send `requests` questions, in turn, over `concurrency` connections that never rest.

    One answer in `keep_every` is kept, to be checked once the clock has stopped.
    """
    answers = Answers()
    numbers = itertools.count()
    lock = threading.Lock()

    def converse(_: int) -> None:
        with closing(_connection(url)) as connection:
            while (number := next(numbers)) < requests:
                question = questions[number % len(questions)]
                began = time.perf_counter()
                status, body = post(connection, question)
                seconds = time.perf_counter() - began
                with lock:
                    answers.latencies.append(seconds)
                    answers.statuses[status] += 1
                    answers.images += len(question.indices) if status == 200 else 0
                    if number % keep_every == 0:
                        answers.kept.append((question, body))

    psutil.cpu_times_percent()
    began, began_cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(concurrency) as threads:
        list(threads.map(converse, range(concurrency)))
    answers.idle = psutil.cpu_times_percent().idle / 100
    answers.wall_seconds, answers.client_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    return answers


def post(connection: http.client.HTTPConnection, question: Question) -> tuple[int, bytes]:
    connection.request("POST", question.path, question.body, {"Content-Type": question.content_type})
    response = connection.getresponse()
    return response.status, response.read()


def _connection(url: str) -> http.client.HTTPConnection:
    where = urlsplit(url)
    assert where.hostname is not None
    return http.client.HTTPConnection(where.hostname, where.port, timeout=ANSWER_SECONDS)


@dataclass
class Server:
    """A server in a process of its own."""

    url: str
    process: psutil.Process
    peak_mb: float = 0.0

    def resident_mb(self) -> float:
        """Return the resident memory of it and its children now, in 10^6 bytes."""
        return self._sum(lambda process: process.memory_info().rss) / 1e6

    def cpu_seconds(self) -> float:
        return self._sum(lambda process: sum(process.cpu_times()[:2]))

    def _sum(self, value: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += value(process)
        return total


def humandetect_server(*options: str) -> Any:
    """Run `humandetect serve` with these options."""
    return _serving([sys.executable, "-m", "humandetect", "serve", *options, "--port"])


def naive_server() -> Any:
    return _serving([sys.executable, str(__file__).replace("load.py", "naive_server.py")])


@contextmanager
def _serving(command: list[str]) -> Iterator[Server]:
    """Start a server whose last argument is a free port, wait until it is ready, end it afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen([*command, str(port)], stdout=log, stderr=log) as process,
    ):
        server = Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(server, ended))
        try:
            _wait_ready(server.url, process, log)
            watcher.start()
            yield server
        finally:
            ended.set()
            if watcher.ident:
                watcher.join()
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _watch(server: Server, ended: threading.Event) -> None:
    while not ended.wait(0.05):
        with suppress(psutil.NoSuchProcess):
            server.peak_mb = max(server.peak_mb, server.resident_mb())


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: IO[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), closing(_connection(url)) as connection:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    log.seek(0)
    raise SystemExit(f"the server did not become ready:\n{log.read()[-2000:]}")


def people_of(body: bytes) -> list[Any] | None:
    """Return the people of each image of an answer; None where the server does not tell."""
    answer = json.loads(body)
    results = answer.get("output") or answer["results"]
    return [result["people"] for result in results] if "people" in results[0] else None
