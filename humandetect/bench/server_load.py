"""The client that puts load on servers: a process that sends prepared requests and notes what comes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from humandetect.bench.child import obey
from humandetect.bench.connection import Address, Connection
from humandetect.bench.samples import Claims, Haul, Sample
from humandetect.client.detect_client import batch_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.bench.plan import Order, Pace


@dataclass(frozen=True, slots=True)
class Server:
    """Who is asked. It is sent to the client's process ahead of the orders."""

    url: str
    pictures: tuple[bytes, ...]
    """JPEGs or PNGs."""
    api_key: str | None = None
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Question:
    """A request, ready to be sent."""

    data: bytes
    images: tuple[int, ...]
    """Which pictures it holds."""


class Client:
    """Sends windows of load to one server."""

    greeting = None

    def __init__(self, server: Server) -> None:
        self._server = server
        self._address = Address.of(server.url, path="/request", api_key=server.api_key)
        self._questions: dict[int, list[Question]] = {}
        self._next = 0
        """Goes on from window to window, so that each sees other pictures."""

    def __call__(self, order: Order) -> Haul:
        """Send one window of load and return what came of it, once everything that was sent is answered."""
        questions = self._prepared(order.load.batch)
        claims = Claims()
        cpu = time.process_time()
        samples, counted, seconds = asyncio.run(self._send(order, questions, claims))
        return Haul(samples, counted, seconds, claims.known, time.process_time() - cpu)

    def close(self) -> None:
        """Connections are those of a window, and closed with it."""

    async def _send(
        self, order: Order, questions: Sequence[Question], claims: Claims
    ) -> tuple[list[Sample], list[Sample], float]:
        samples: list[Sample] = []
        pace = order.pace
        senders = range(order.load.concurrency)
        async with asyncio.TaskGroup() as group:
            for _ in senders:
                group.create_task(self._converse(pace, questions, claims, samples))
        counted = [sample for sample in samples if pace.counts(sample.ended)]
        ended = max((sample.ended for sample in counted), default=pace.began)
        return samples, counted, ended - pace.began if counted else 0.0

    async def _converse(self, pace: Pace, questions: Sequence[Question], claims: Claims, samples: list[Sample]) -> None:
        """Send what is due over one connection, as long as something is."""
        connection = Connection(self._address, timeout_seconds=self._server.timeout_seconds)
        try:
            while (due := pace.due()) is not None:
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                question = questions[self._next % len(questions)]
                self._next += 1
                samples.append(await _sample(connection, question, due, claims))
                pace.answered()
        finally:
            connection.close()

    def _prepared(self, batch: int) -> list[Question]:
        if batch not in self._questions:
            count = len(self._server.pictures)
            starts = range(0, count, max(1, batch // 2))
            groups = [tuple(index % count for index in range(start, start + batch)) for start in starts]
            self._questions[batch] = [self._question(images) for images in groups]
        return self._questions[batch]

    def _question(self, images: tuple[int, ...]) -> Question:
        body = batch_body([self._server.pictures[image] for image in images])
        return Question(self._address.request(body, "application/json"), images)


async def _sample(connection: Connection, question: Question, due: float, claims: Claims) -> Sample:
    error = ""
    numbers: tuple[int, ...] = ()
    try:
        status, body = await connection.ask(question.data)
        ended = time.perf_counter()
        numbers, error = _read(status, body, question, claims)
    except TimeoutError:
        ended, error = time.perf_counter(), "timeout"
    except ConnectionRefusedError:
        ended, error = time.perf_counter(), "no connection"
    except (OSError, EOFError):
        ended, error = time.perf_counter(), "broken connection"
    return Sample(due, ended, len(question.images), error, numbers)


def _read(status: int, body: bytes, question: Question, claims: Claims) -> tuple[tuple[int, ...], str]:
    """Return the numbers of what the answer claims, or what is wrong with it."""
    if status != 200:
        return (), f"status {status}"
    try:
        output: list[dict[str, Any]] = from_json(body)["output"]
        if [image["id"] for image in output] != [str(index) for index in range(len(question.images))]:
            return (), "images without an answer"
        if not all(image["annotated_image"] for image in output):
            return (), "no annotated picture"
        people = [image["people"] for image in output]
    except (ValueError, KeyError, TypeError):
        return (), "no answer of this endpoint"
    return tuple(claims.number(index, who) for index, who in zip(question.images, people, strict=True)), ""


if __name__ == "__main__":
    obey(Client)
