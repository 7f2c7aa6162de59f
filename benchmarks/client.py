"""Is the client of `humandetect bench` ever what limits a figure? It asks a server that answers from memory.

python benchmarks/client.py [--seconds 3]

Each answer holds as many pictures and people as a real one. The rate is compared with that of the real endpoint with
the fastest engine of a CPU; exit code 1 where it is not five times as high.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from common import parser, print_machine, print_table, say

from humandetect.bench.load_process import LoadProcess
from humandetect.bench.loads import Load, WindowPlan
from humandetect.bench.server_load import ServerSetup
from humandetect.bench.workload import read_pictures
from humandetect.config import SAMPLE, EngineConfig, ServeConfig
from humandetect.service.process.spawned import spawned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from humandetect.bench.samples import WindowSamples

LOADS = (Load("batch", 16, 20), Load("stream", 1, 20), Load("stream", 1, 160))
TIMES_FASTER = 5
PEOPLE = [{"box": [100.12, 200.34, 150.56, 300.78], "score": 0.9123}] * 8


def main() -> None:
    options = parser(__doc__, clip=False)
    options.add_argument("--seconds", type=float, default=3.0)
    seconds = options.parse_args().seconds
    print_machine()
    pictures = read_pictures(SAMPLE).data
    slowest, rows = float("inf"), []
    with spawned(ServeConfig(queue=1024, engine=EngineConfig(engine="openvino"))) as real:
        for load in LOADS:
            with _from_memory(pictures[: load.batch]) as url:
                rate, cpu_ms = _asked(url, load, pictures, seconds)
            real_rate, _ = _asked(real.url, load, pictures, seconds)
            slowest = min(slowest, rate / real_rate)
            rows.append([load.name, f"{rate:.0f}", f"{real_rate:.0f}", f"{rate / real_rate:.1f}", f"{cpu_ms:.2f}"])
            say(f"{load.name}: {rate / real_rate:.1f} times as fast from memory")
    head = ["", "images/s from memory", "from the model", "ratio", "CPU ms of the client an image"]
    print_table("What the client can ask for", head, rows)
    if slowest < TIMES_FASTER:
        sys.exit(f"the client is only {slowest:.1f} times as fast as the model: it must be {TIMES_FASTER}")


def _asked(url: str, load: Load, pictures: tuple[bytes, ...], seconds: float) -> tuple[float, float]:
    """Return images/s, and CPU milliseconds of the client an image."""
    with LoadProcess("humandetect.bench.server_load") as client:
        client.ask(ServerSetup(url, pictures))
        samples: WindowSamples = client.ask(WindowPlan(load, seconds))
    images = sum(sample.images for sample in samples.counted if not sample.error)
    return images / samples.seconds, samples.client_cpu_seconds / sum(sample.images for sample in samples.sent) * 1000


@contextmanager
def _from_memory(pictures: tuple[bytes, ...]) -> Iterator[str]:
    """Run a server that has its answer ready."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(theirs, pictures), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        server.terminate()
        server.join()


def _serve(where: Connection, pictures: tuple[bytes, ...]) -> None:
    output = [
        {"annotated_image": base64.b64encode(picture).decode(), "id": str(index), "people": PEOPLE}
        for index, picture in enumerate(pictures)
    ]
    body = json.dumps({"output": output, "errors": {}}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    asyncio.run(_answer_all(where, head.encode() + body))


async def _answer_all(where: Connection, answer: bytes) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _FromMemory(answer), "127.0.0.1", 0)
    where.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _FromMemory(asyncio.Protocol):
    """Waits for the whole of a request and sends the same answer to each."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            head = data.partition(b"\r\n\r\n")[0]
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            self._missing = len(head) + 4 + int(length.partition(b":")[2])
        self._missing -= len(data)
        if not self._missing:
            self._transport.write(self._answer)


if __name__ == "__main__":
    main()
