"""The engine `tf-serving` against the embedded model server on the same cores: what the way over gRPC costs and gains.

python benchmarks/serving.py [--sections client memory detect batching] [--rounds 3]

client   CPU time of this process an answer, for one image and for 16: all but the server's work
memory   peak memory of `detect --engine tf-serving`, results only and with video
detect   `detect` with tf-serving against tensorflow, on the same clip in pairs
batching 20 clients with single images, with and without --enable-batching: rate and runs of the graph
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx
import numpy as np
from common import clip_720p, measured, parser, print_machine
from memory import peak_mb

from humandetect.config import DEFAULT_MODEL, EngineConfig, ServingConfig
from humandetect.engines import load_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.engines.base import Engine

SECTIONS = ("client", "memory", "detect", "batching")
CLIENTS = 20
START_SECONDS, END_SECONDS = 120, 40


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=SECTIONS)
    options.add_argument("--rounds", type=int, default=3, help="medians of this many interleaved rounds")
    options.add_argument("--calls", type=int, default=200, help="calls a round, of `client` and of each of the 20")
    options.add_argument("--seconds", type=float, default=60, help="length of the 720p clip")
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        clip = args.clip or clip_720p(Path(name), seconds=args.seconds)
        with served() as plain:
            if "client" in args.sections:
                _print_client(plain, args.rounds, args.calls)
            if "memory" in args.sections:
                _print_memory(plain, clip, Path(name))
            if "detect" in args.sections:
                _print_detect(plain, clip, Path(name), args.rounds)
            if "batching" in args.sections:
                with served("--enable-batching") as batching:
                    _print_batching(plain, batching, args.rounds, args.calls)


@dataclass(frozen=True, slots=True)
class Served:
    """A model server that answers."""

    grpc: str
    rest: str

    def engine(self, *, parallel: int = 2) -> Engine:
        return load_engine(
            EngineConfig(engine="tf-serving", serving=ServingConfig(targets=(self.grpc,), parallel=parallel))
        )

    def runs(self) -> int:
        """Return how often its batching has run the graph."""
        text = httpx.get(f"http://{self.rest}/monitoring/prometheus/metrics").raise_for_status().text
        counts = re.findall(r"wrapped_run_count\{.*\} ([\d.e+]+)", text)
        return int(sum(float(count) for count in counts))


@contextmanager
def served(*options: str) -> Iterator[Served]:
    """Run `humandetect model-server` on free ports until the block ends."""
    command = [sys.executable, "-m", "humandetect", "model-server", "--port", "0", "--rest-port", "0", *options]
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not (ready := re.search(r"gRPC at (\S+:\d+).*REST at \D*(\S+:\d+)", _text(log))):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the model server did not start:\n{_text(log)[-2000:]}")
                time.sleep(0.1)
            yield Served(ready[1], ready[2])
        finally:
            process.terminate()
            process.wait(END_SECONDS)


def _text(log: IO[str]) -> str:
    log.seek(0)
    return log.read()


def _pictures(count: int, engine: Engine) -> np.ndarray:
    assert engine.info.input_hw is not None
    height, width = engine.info.input_hw
    return np.random.default_rng(0).integers(0, 255, (count, height, width, 3), np.uint8)


def _print_client(server: Served, rounds: int, calls: int) -> None:
    engine = server.engine()
    print("\nthe client's CPU an answer")
    for count, fewer in ((1, 1), (16, 8)):
        pictures, costs = _pictures(count, engine), []
        for _ in range(rounds):
            with measured() as cost:
                for _ in range(calls // fewer):
                    engine.infer(pictures)
                    cost.frames += 1
            costs.append(cost.cpu_ms)
        print(f"  {count:2} images: {statistics.median(costs):.2f} ms")
    engine.close()


def _print_memory(server: Served, clip: Path, folder: Path) -> None:
    print("\npeak memory of detect")
    for what, outputs in (("results only", []), ("with video", ["-o", "out.mp4"])):
        peak = peak_mb(folder, _detect(clip, "tf-serving", "--serving", server.grpc, *outputs))[0]
        print(f"  {what}: {peak:.0f} MB")


def _print_detect(server: Served, clip: Path, folder: Path, rounds: int) -> None:
    rates: dict[str, list[float]] = {"tensorflow": [], "tf-serving": []}
    for _ in range(rounds):
        for engine, found in rates.items():
            where = ["--serving", server.grpc] if engine == "tf-serving" else []
            found.append(peak_mb(folder, _detect(clip, engine, *where))[2])
    print("\ndetect on the same clip, results only")
    for engine, found in rates.items():
        print(f"  {engine}: {statistics.median(found):.1f} frames/s")
    print(f"  tf-serving reaches {_ratio(rates['tf-serving'], rates['tensorflow']):.0%} of tensorflow")


def _detect(clip: Path, engine: str, *options: str) -> list[str]:
    return ["detect", str(clip), "--engine", engine, "--results", "out.jsonl", *options]


def _print_batching(plain: Served, batching: Served, rounds: int, calls: int) -> None:
    rates: dict[str, list[float]] = {"without": [], "with": []}
    runs = 0
    engines = {"without": plain.engine(parallel=CLIENTS), "with": batching.engine(parallel=CLIENTS)}
    for engine in engines.values():
        _rate(engine, 10)
    for _ in range(rounds):
        for name, engine in engines.items():
            before = batching.runs()
            rates[name].append(_rate(engine, calls // 4))
            runs += batching.runs() - before
    for engine in engines.values():
        engine.close()
    images = rounds * CLIENTS * (calls // 4)
    print(f"\n{CLIENTS} clients with single images ({DEFAULT_MODEL})")
    for name, found in rates.items():
        print(f"  {name} batching: {statistics.median(found):.1f} images/s")
    print(f"  with batching {_ratio(rates['with'], rates['without']):.2f} x the rate, ", end="")
    print(f"{runs} runs of the graph for {images} images: {runs / images:.2f} an image")


def _rate(engine: Engine, calls: int) -> float:
    """Return the images/s of 20 clients that ask one after the other."""
    picture = _pictures(1, engine)
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        for done in [clients.submit(_ask, engine, picture, calls) for _ in range(CLIENTS)]:
            done.result()
    return CLIENTS * calls / (time.perf_counter() - began)


def _ask(engine: Engine, picture: np.ndarray, calls: int) -> None:
    for _ in range(calls):
        engine.infer(picture)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    main()
