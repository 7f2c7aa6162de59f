"""The endpoint against its stages alone and against a naive server: ratios in one run, client on the same cores.

python benchmarks/serve.py [--sections load naive ...] [--engine openvino|tensorflow] [--precision auto|f32|bf16]

stages   CPU time of each stage alone, and the rate that their sum allows on these cores
load     20 connections with requests of 16 images: rate, share of the limit, memory
naive    the same load on benchmarks/naive_server.py, in alternating rounds (needs load)
batching 40 connections with single images, TensorFlow: batches against one image at a time
single   one request at a time: time beyond the stages, seen by the server and by the client
memory   2,000 more requests after the load (needs load)
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import clip_720p, parser, print_machine, print_table, say
from load import Answers, Question, Server, ask, humandetect_server, naive_server
from serve_stages import Known, limit_of, print_stages

from humandetect.config import EngineConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import open_source

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Mapping, Sequence


SECTIONS = ("stages", "load", "naive", "batching", "single", "memory")
PICTURES = 64
MORE_REQUESTS = 2000


def main() -> None:
    args = _options()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        pictures = _pictures(args.clip or clip_720p(Path(name)))
    kilobytes = statistics.mean(len(picture) for picture in pictures) / 1000
    print(f"* pictures: {len(pictures)} of 1280x720, JPEG at quality 90, {kilobytes:.0f} kB on average")
    engine = EngineConfig(engine=args.engine, precision=args.precision)
    with Detector(load_engine(engine)) as detector:
        print(f"* settings: {detector.engine.info.engine}, medians of {args.rounds} rounds")
        known = Known(pictures, detector)
        stages_ms = print_stages(known, detector, args.rounds) if "stages" in args.sections else None
    if "load" in args.sections:
        _print_load(known, args, stages_ms)
    if "batching" in args.sections:
        _print_batching(known, args)
    if "single" in args.sections:
        _print_single(known, args)


def _options() -> Namespace:
    options = parser(__doc__)
    options.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=SECTIONS)
    options.add_argument("--engine", default="openvino", choices=["openvino", "tensorflow"])
    options.add_argument("--precision", default="auto", choices=["auto", "f32", "bf16"])
    options.add_argument("--rounds", type=int, default=3, help="medians of this many interleaved rounds")
    options.add_argument("--requests", type=int, default=40, help="requests of 16 images a round")
    options.add_argument("--serve", nargs="*", default=[], metavar="OPTION", help="more options, as `queue=64`")
    return options.parse_args()


def _pictures(clip: Path) -> list[bytes]:
    with open_source(str(clip), SourceConfig(limit=PICTURES)) as source:
        return [encode_jpeg(frame.image) for frame in source]


@dataclass
class Round:
    """One round of a load on one server."""

    answers: Answers
    server_ms: float
    """CPU an image."""

    @property
    def client_ms(self) -> float:
        return self.answers.client_seconds / self.answers.images * 1000

    @property
    def busy(self) -> float:
        """Share of all cores that server and client kept at work."""
        return (self.server_ms + self.client_ms) / 1000 * self.answers.rate / (os.cpu_count() or 1)

    @property
    def elsewhere(self) -> float:
        """Share of all cores that worked for others: a rate counts only where it is small."""
        return max(0.0, 1 - self.busy - self.answers.idle)


def _round(server: Server, known: Known, questions: Sequence[Question], *, requests: int, concurrency: int) -> Round:
    before = server.cpu_seconds()
    answers = ask(server.url, questions, requests=requests, concurrency=concurrency)
    server_ms = (server.cpu_seconds() - before) / max(1, answers.images) * 1000
    known.check(answers)
    return Round(answers, server_ms)


def _print_load(known: Known, args: Namespace, stages_ms: float | None) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(humandetect_server(*_serve_options(args)))
        naive = stack.enter_context(naive_server()) if "naive" in args.sections else None
        load: dict[str, Any] = {"known": known, "questions": known.batches, "concurrency": 20}
        _round(server, requests=20, **load)
        memory = [_memory_row("serve after 20 x 16", server)]
        rounds, naive_rounds = [], []
        for number in range(args.rounds):
            rounds.append(_round(server, requests=args.requests, **load))
            if naive is not None:
                naive_rounds.append(_round(naive, requests=20, **load))
            say(f"load: round {number + 1} of {args.rounds}")
        sides = {"humandetect serve": rounds} | ({"naive server": naive_rounds} if naive is not None else {})
        _print_rounds("20 connections, 16 images a request", sides)
        _print_ratios(rounds, naive_rounds, stages_ms)
        memory.append(_memory_row("serve after the load", server))
        if naive is not None:
            memory.append(_memory_row("naive server after the load", naive))
        if "memory" in args.sections:
            memory += _more_requests(server, known)
    print_table("Memory", ["", "MB resident", "peak MB"], memory)


def _print_ratios(rounds: Sequence[Round], naive_rounds: Sequence[Round], stages_ms: float | None) -> None:
    rows = []
    if stages_ms is not None:
        server_ms = statistics.median(one.server_ms for one in rounds)
        rows.append(["rate against the stages' limit", f"{_rate(rounds) / limit_of(stages_ms):.2f}"])
        rows.append(["CPU against that of the stages", f"{server_ms / stages_ms:.2f}"])
    if naive_rounds:
        pairs = zip(rounds, naive_rounds, strict=True)
        ratio = statistics.median(ours.answers.rate / theirs.answers.rate for ours, theirs in pairs)
        rows.append(["rate against the naive server", f"{ratio:.2f}"])
    if rows:
        print_table("Ratios", ["", "times"], rows)


def _serve_options(args: Namespace) -> list[str]:
    more = [f"--{option}" for option in args.serve]
    return ["--engine", args.engine, "--precision", args.precision, *more]


def _rate(rounds: Sequence[Round]) -> float:
    return statistics.median(one.answers.rate for one in rounds)


COLUMNS: dict[str, tuple[str, Callable[[Round], float]]] = {
    "images/s": ("{:.1f}", lambda one: one.answers.rate),
    "p50 ms": ("{:.0f}", lambda one: one.answers.percentile_ms(50)),
    "p95 ms": ("{:.0f}", lambda one: one.answers.percentile_ms(95)),
    "server CPU ms an image": ("{:.1f}", lambda one: one.server_ms),
    "client CPU ms an image": ("{:.1f}", lambda one: one.client_ms),
    "cores busy with it": ("{:.0%}", lambda one: one.busy),
    "with other things": ("{:.0%}", lambda one: one.elsewhere),
}


def _print_rounds(title: str, sides: Mapping[str, Sequence[Round]]) -> None:
    rows = [
        [name, *(form.format(statistics.median(map(value, rounds))) for form, value in COLUMNS.values())]
        for name, rounds in sides.items()
    ]
    print_table(title, ["", *COLUMNS], rows)


def _memory_row(when: str, server: Server) -> list[str]:
    return [when, f"{server.resident_mb():.0f}", f"{server.peak_mb:.0f}"]


def _more_requests(server: Server, known: Known) -> Iterator[list[str]]:
    """Send nineteen single images for each batch: the whole of it is done in a minute or two."""
    mixed = [
        question
        for batch, singles in zip(itertools.cycle(known.batches), _groups(known.singles, 19), strict=False)
        for question in (batch, *singles)
    ]
    for quarter in range(1, 5):
        _round(server, known, mixed, requests=MORE_REQUESTS // 4, concurrency=20)
        yield _memory_row(f"serve after {quarter * MORE_REQUESTS // 4} more requests", server)


def _groups(questions: Sequence[Question], size: int) -> list[Sequence[Question]]:
    return [questions[at : at + size] for at in range(0, len(questions), size)]


def _print_batching(known: Known, args: Namespace) -> None:
    common = ["--engine", "tensorflow"]
    with humandetect_server(*common) as batched, humandetect_server(*common, "--batch", "1") as alone:
        rounds: dict[str, list[Round]] = {"batches": [], "batch 1": []}
        for server in (batched, alone):
            _round(server, known, known.singles, requests=80, concurrency=40)
        for _ in range(args.rounds):
            for name, server in (("batches", batched), ("batch 1", alone)):
                rounds[name].append(_round(server, known, known.singles, requests=400, concurrency=40))
    _print_rounds("40 connections, one image a request on /v1/detect, tensorflow", rounds)
    ratios = [ours.answers.rate / theirs.answers.rate for ours, theirs in zip(*rounds.values(), strict=True)]
    print_table("Batching", ["", "times"], [["rate against batch 1", f"{statistics.median(ratios):.2f}"]])


def _print_single(known: Known, args: Namespace) -> None:
    with humandetect_server(*_serve_options(args)) as server:
        ask(server.url, known.singles, requests=20, concurrency=1)
        answers = ask(server.url, known.singles, requests=200, concurrency=1, keep_every=1)
    known.check(answers)
    spent = [json.loads(body)["timings_ms"] for _, body in answers.kept]
    stages = [one["decode"] + one["infer"] + one["encode"] for one in spent]
    beyond = [one["total"] - alone for one, alone in zip(spent, stages, strict=True)]
    seen = [seconds * 1000 - alone for seconds, alone in zip(answers.latencies, stages, strict=True)]
    rows = [[name, f"{statistics.median(one[name] for one in spent):.2f}"] for name in spent[0]]
    rows += [
        ["beyond decode, infer and encode, in the server", f"{statistics.median(beyond):.2f}"],
        ["beyond decode, infer and encode, for the client", f"{statistics.median(seen):.2f}"],
    ]
    print_table("One request at a time on /v1/detect", ["", "median ms"], rows)


if __name__ == "__main__":
    main()
