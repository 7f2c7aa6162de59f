"""The client that puts load on servers: a process that sends prepared requests and notes what comes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from humandetect.bench.http_connection import Address, HttpConnection
from humandetect.bench.load_process import obey
from humandetect.bench.samples import ReportedPeople, Sample, WindowSamples
from humandetect.client.detect_client import batch_body

if TYPE_CHECKING:
    from humandetect.bench.loads import Load, WindowPlan
    from humandetect.bench.schedule import Schedule


@dataclass(frozen=True, slots=True)
class ServerSetup:
    """Who is asked. It is sent to the client's process ahead of the plans of windows."""

    url: str
    pictures: tuple[bytes, ...]
    """JPEGs or PNGs."""
    api_key: str | None = None
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request, ready to be sent."""

    data: bytes
    images: tuple[int, ...]
    """Which pictures it holds."""


class ServerLoad:
    """Sends windows of load to one server."""

    greeting = None

    def __init__(self, setup: ServerSetup) -> None:
        self._setup = setup
        self._address = Address.of(setup.url, path="/request", api_key=setup.api_key)
        self._requests: dict[int, list[PreparedRequest]] = {}
        self._next = 0
        """Goes on from window to window, so that each sees other pictures."""

    def __call__(self, plan: WindowPlan) -> WindowSamples:
        """Send one window of load and return what came of it, once everything that was sent is answered."""
        reported = ReportedPeople()
        self._requests_of(plan.load.batch)  # prepared before the clock starts
        cpu = time.process_time()
        schedule = plan.begin()
        sent = asyncio.run(self._send(plan.load, schedule, reported))
        return WindowSamples.of(sent, schedule, reported, cpu_seconds=time.process_time() - cpu)

    def close(self) -> None:
        """Connections are those of a window, and closed with it."""

    async def _send(self, load: Load, schedule: Schedule, reported: ReportedPeople) -> list[Sample]:
        requests = self._requests_of(load.batch)
        samples: list[Sample] = []

        async def converse() -> None:
            """Send what is due over one connection, as long as something is."""
            connection = HttpConnection(self._address, timeout_seconds=self._setup.timeout_seconds)
            try:
                while (due := schedule.due()) is not None:
                    if (early := due - time.perf_counter()) > 0:
                        await asyncio.sleep(early)
                    request = requests[self._next % len(requests)]
                    self._next += 1
                    samples.append(await _sample(connection, request, due, reported))
                    schedule.answered(samples[-1].ended)
            finally:
                connection.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(load.concurrency):
                group.create_task(converse())
        return samples

    def _requests_of(self, batch: int) -> list[PreparedRequest]:
        if batch not in self._requests:
            count = len(self._setup.pictures)
            starts = range(0, count, max(1, batch // 2))
            groups = [tuple(index % count for index in range(start, start + batch)) for start in starts]
            self._requests[batch] = [self._prepare(images) for images in groups]
        return self._requests[batch]

    def _prepare(self, images: tuple[int, ...]) -> PreparedRequest:
        body = batch_body([self._setup.pictures[image] for image in images])
        return PreparedRequest(self._address.request(body, "application/json"), images)


async def _sample(connection: HttpConnection, request: PreparedRequest, due: float, reported: ReportedPeople) -> Sample:
    error = ""
    numbers: tuple[int, ...] = ()
    try:
        status, body = await connection.ask(request.data)
        ended = time.perf_counter()
        numbers, error = _read(status, body, request, reported)
    except TimeoutError:
        ended, error = time.perf_counter(), "timeout"
    except ConnectionRefusedError:
        ended, error = time.perf_counter(), "no connection"
    except (OSError, EOFError):
        ended, error = time.perf_counter(), "broken connection"
    return Sample(due, ended, len(request.images), error, numbers)


def _read(status: int, body: bytes, request: PreparedRequest, reported: ReportedPeople) -> tuple[tuple[int, ...], str]:
    """Return the numbers of what the answer reports, or what is wrong with it."""
    if status != 200:
        return (), f"status {status}"
    try:
        output: list[dict[str, Any]] = from_json(body)["output"]
        if [image["id"] for image in output] != [str(index) for index in range(len(request.images))]:
            return (), "images without an answer"
        if not all(image["annotated_image"] for image in output):
            return (), "no annotated picture"
        people = [image["people"] for image in output]
    except (ValueError, KeyError, TypeError):
        return (), "no answer of this endpoint"
    return tuple(reported.number(index, who) for index, who in zip(request.images, people, strict=True)), ""


if __name__ == "__main__":
    obey(ServerLoad)
