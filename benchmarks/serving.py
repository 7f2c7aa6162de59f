"""`--engine tf-serving` against the embedded model server on the same cores, each figure held against its limit.

python benchmarks/serving.py [--sections client memory ...] [--rounds 5] [--json FILE]

client   CPU of the client's process for a request of 1 and of 16 images of the default size: all but the server's work
memory   peak of the process `detect`, results only and with video
speed    `detect` with the engine tf-serving against the engine tensorflow, in pairs that take turns
batching 20 clients with single images: server with and without --enable-batching, in rounds that take turns

Exit code 1: a limit is not kept.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import clip_720p, measured, parser, print_machine
from memory import peak_mb
from model_server import model_server
from rich.console import Console
from rich.table import Table

from humandetect.bench.machine import machine, versions
from humandetect.config import DEFAULT_MODEL, EngineConfig, ServingConfig, SourceConfig
from humandetect.detection.preprocess import prepare_image
from humandetect.engines import load_engine
from humandetect.media.sources import open_source
from humandetect.models.find import bundled, find_model

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from model_server import ModelServer
    from numpy.typing import NDArray

    from humandetect.engines.base import Engine

SECTIONS = ("client", "memory", "speed", "batching")
CLIENT_MS = {1: 1.5, 16: 4.0}
"""Most CPU milliseconds of the client for a request, by its images."""
RESULTS_MB, VIDEO_MB = 250, 350
SPEED_PERCENT = 85
CLIENTS = 20
RUNS_PERCENT, RATE_PERCENT = 25, 100
OUTPUTS = {"results only": ["--results", "out.jsonl"], "with video": ["-o", "out.mp4", "--results", "out.jsonl"]}
BATCHING = Path(__file__).parent.parent / "deploy" / "batching_parameters.txt"
TENSOR_CONTENT = "--enable-serialization-as-tensor-content"


@dataclass(frozen=True, slots=True)
class Figure:
    """One result and what it must keep."""

    section: str
    name: str
    value: float
    """Median of the rounds."""
    spread: tuple[float, float]
    """Least and most of the rounds."""
    unit: str
    limit: float
    at_most: bool = True
    """The limit is the largest value that is well, else the smallest."""

    @property
    def well(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def main() -> None:
    args = _options()
    print_machine()
    measure: dict[str, Callable[[Namespace, Path], Iterator[Figure]]] = {
        "client": _client, "memory": _memory, "speed": _speed, "batching": _batching
    }  # fmt: skip
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        for section in args.sections:
            figures += measure[section](args, Path(name))
    _print(figures, args)
    if args.json is not None:
        args.json.write_text(json.dumps(_report(figures, args), indent=2) + "\n", encoding="utf-8")
    sys.exit(not all(figure.well for figure in figures))


def _options() -> Namespace:
    options = parser(__doc__)
    options.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=SECTIONS)
    options.add_argument("--rounds", type=int, default=5, help="medians of this many interleaved rounds")
    options.add_argument("--requests", type=int, default=400, help="requests a round of client and batching")
    options.add_argument("--limit", type=int, help="use this many frames of the clip for speed")
    options.add_argument("--batching-parameters", type=Path, default=BATCHING, metavar="FILE")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    return options.parse_args()


def _client(args: Namespace, _: Path) -> Iterator[Figure]:
    pictures = _pictures(max(CLIENT_MS))
    spent: dict[int, list[float]] = {images: [] for images in CLIENT_MS}
    with model_server(DEFAULT_MODEL, TENSOR_CONTENT) as server:
        engine = _engine(server, parallel=1)
        for _round, images in itertools.product(range(args.rounds + 1), spent):  # the first round warms up
            with measured() as cost:
                for _request in range(max(1, args.requests // images)):
                    engine.infer(pictures[:images])
                    cost.frames += 1
            spent[images].append(cost.cpu_ms)
        engine.close()
    for images, rounds in spent.items():
        yield _figure("client", f"CPU for {images} image{'s' * (images > 1)}", rounds[1:], "ms", CLIENT_MS[images])


def _memory(args: Namespace, folder: Path) -> Iterator[Figure]:
    clip = args.clip or clip_720p(folder)
    peaks: dict[str, list[float]] = {name: [] for name in OUTPUTS}
    with model_server(DEFAULT_MODEL, TENSOR_CONTENT) as server:
        for _round, name in itertools.product(range(args.rounds), peaks):
            peaks[name].append(_detect(args, folder, clip, "tf-serving", OUTPUTS[name], server)[0])
    for name, limit in zip(peaks, (RESULTS_MB, VIDEO_MB), strict=True):
        yield _figure("memory", f"peak of detect, {name}", peaks[name], "MB", limit)


def _speed(args: Namespace, folder: Path) -> Iterator[Figure]:
    clip = args.clip or clip_720p(folder)
    ratios: dict[str, list[float]] = {name: [] for name in OUTPUTS}
    with model_server(DEFAULT_MODEL, TENSOR_CONTENT) as server:
        for number, name in itertools.product(range(args.rounds), ratios):
            rates = {}
            for engine in ("tf-serving", "tensorflow")[:: 1 if number % 2 else -1]:  # neither always comes first
                rates[engine] = _detect(args, folder, clip, engine, OUTPUTS[name], server)[2]
            ratios[name].append(rates["tf-serving"] / rates["tensorflow"] * 100)
    for name, found in ratios.items():
        yield _figure("speed", f"of tensorflow, {name}", found, "%", SPEED_PERCENT, at_most=False)


def _batching(args: Namespace, _: Path) -> Iterator[Figure]:
    picture = _pictures(1)
    rates: dict[str, list[float]] = {"alone": [], "batched": []}
    runs: list[float] = []
    batching = ["--enable-batching", "--batching-parameters", str(args.batching_parameters)]
    with ExitStack() as stack:
        servers = {
            "alone": stack.enter_context(model_server(DEFAULT_MODEL, TENSOR_CONTENT)),
            "batched": stack.enter_context(model_server(DEFAULT_MODEL, TENSOR_CONTENT, *batching)),
        }
        engines = {name: _engine(server, parallel=CLIENTS) for name, server in servers.items()}
        for number, (name, engine) in itertools.product(range(args.rounds + 1), engines.items()):
            before = servers[name].graph_runs()
            rate = _ask(engine, picture, requests=args.requests)
            if number:  # the first round warms up
                rates[name].append(rate)
                if name == "batched":
                    runs.append((servers[name].graph_runs() - before) / args.requests * 100)
        for engine in engines.values():
            engine.close()
    ratios = [batched / alone * 100 for alone, batched in zip(*rates.values(), strict=True)]
    yield _figure("batching", f"rate of {CLIENTS} clients against none", ratios, "%", RATE_PERCENT, at_most=False)
    yield _figure("batching", "graph runs against requests", runs, "%", RUNS_PERCENT)


def _ask(engine: Engine, picture: NDArray[np.uint8], *, requests: int) -> float:
    """Let all clients send as fast as they are answered; return the images a second."""
    numbers = iter(range(requests))
    lock = threading.Lock()

    def client(_: int) -> None:
        while True:
            with lock:
                if next(numbers, None) is None:
                    return
            engine.infer(picture)

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(client, range(CLIENTS)))
    return requests / (time.perf_counter() - begun)


def _engine(server: ModelServer, *, parallel: int) -> Engine:
    serving = ServingConfig(targets=(server.address,), parallel=parallel)
    return load_engine(EngineConfig(engine="tf-serving", serving=serving))


def _pictures(count: int) -> NDArray[np.uint8]:
    """Return pictures of the sample as the default model takes them."""
    metadata = find_model(DEFAULT_MODEL).metadata
    with open_source(str(bundled("examples/plaza.mp4")), SourceConfig(limit=count)) as source:
        return np.stack(
            [prepare_image(frame.image, metadata.preset.input_hw, metadata.resize).pixels for frame in source]
        )


def _detect(
    args: Namespace, folder: Path, clip: Path, engine: str, outputs: list[str], server: ModelServer
) -> tuple[float, int, float]:
    """Run `detect` as a process of its own; return its peak in MB, its frames and its frames a second."""
    limit = ["--limit", str(args.limit)] if args.limit else []
    where = ["--serving", server.address] if engine == "tf-serving" else []
    return peak_mb(folder, ["detect", str(clip), "--engine", engine, *where, *limit, *outputs])


def _figure(section: str, name: str, rounds: list[float], unit: str, limit: float, *, at_most: bool = True) -> Figure:
    return Figure(section, name, statistics.median(rounds), (min(rounds), max(rounds)), unit, limit, at_most)


def _print(figures: list[Figure], args: Namespace) -> None:
    table = Table(title=f"medians of {args.rounds} rounds, least and most")
    for heading in ("section", "figure", "measured", "rounds", "limit", ""):
        table.add_column(heading)
    for one in figures:
        table.add_row(
            one.section, one.name, f"{one.value:.4g} {one.unit}", f"{one.spread[0]:.4g} to {one.spread[1]:.4g}",
            f"{'at most' if one.at_most else 'at least'} {one.limit:g} {one.unit}",
            "[green]kept[/]" if one.well else "[red]not kept[/]",
        )  # fmt: skip
    Console().print(table)


def _report(figures: list[Figure], args: Namespace) -> dict[str, Any]:
    settings = {"rounds": args.rounds, "requests": args.requests, "frames": args.limit, "clients": CLIENTS}
    return {
        "machine": machine(), "versions": versions(), "settings": settings,
        "figures": [{**asdict(figure), "well": figure.well} for figure in figures],
    }  # fmt: skip


if __name__ == "__main__":
    main()
