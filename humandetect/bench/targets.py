"""Who is measured: servers that are there, servers of one's own, engines without HTTP."""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from humandetect.bench.engine_load import EngineSetup
from humandetect.bench.load_process import LoadProcess
from humandetect.bench.loads import Load, WindowPlan, loads
from humandetect.bench.server_load import ServerSetup
from humandetect.client.detect_client import DetectClient
from humandetect.config import ServeConfig
from humandetect.engines import usable_engines
from humandetect.errors import HumanDetectError, ServiceError
from humandetect.service.process.spawned import spawned
from humandetect.service.routes.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.bench.samples import WindowSamples
    from humandetect.bench.workload import Workload
    from humandetect.config import BenchConfig, EngineName
    from humandetect.wire import ModelUsed

StageTimes = dict[str, tuple[float, float]]
"""Seconds and images that each stage of a server has counted."""
STAGES = ("decode", "queue", "infer", "encode")
ASIDE_SECONDS = 10.0
"""Questions beside the load are answered by then, or do not matter."""


@dataclass
class Target:
    """One column of the report."""

    name: str
    worker: LoadProcess
    """Takes the plans of windows."""
    pid: int | None = None
    """Of the process that answers, where it is known."""
    url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    model: ModelUsed | None = None
    start_seconds: float | None = None
    """From nothing to a loaded model."""
    first_answer_seconds: float | None = None
    peak_memory_mb: float | None = None
    gpu_memory_mb: float | None = None
    ended: str | None = None
    """Why nothing more is asked of it."""

    @property
    def engine(self) -> str:
        """Who runs the model, as it says itself."""
        return self.model.engine if self.model else ""

    def send(self, plan: WindowPlan) -> WindowSamples:
        samples: WindowSamples = self.worker.ask(plan)
        return samples

    def stages(self) -> StageTimes:
        """Return seconds and images that its stages have counted so far; nothing where it does not tell."""
        if self.url is None:
            return {}
        try:
            said = _get(self.url, "/metrics", self.api_key)
            return _stages(said.text) if said.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            return {}


@contextmanager
def open_targets(
    config: BenchConfig, pictures: Workload, *, say: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[list[Target], list[str]]]:
    """Start what is to be measured and yield it, with a line for each engine that nobody named and that cannot start.

    All ends with the block, however that ends. `say` is told what is done.
    """
    targets: list[Target] = []
    left_out: list[str] = []
    first: HumanDetectError | None = None
    with ExitStack() as stack:
        for number, url in enumerate(config.urls, 1):
            say(f"warming up server {number} of {len(config.urls)}")  # its address may hold a secret
            targets.append(stack.enter_context(_reached(url, config, pictures)))
        start = _started_engine if config.target == "engine" else _started_server
        names = () if config.urls else engines_of(config)
        for number, name in enumerate(names, 1):
            say(f"starting and warming up {config.target} {number} of {len(names)}: {name}")
            try:
                targets.append(stack.enter_context(start(name, config, pictures)))
            except HumanDetectError as error:
                if config.engines:
                    raise
                first = first or error
                left_out.append(f"{name} is left out: {error}")
        if first is not None and not targets:
            raise first
        yield targets, left_out


def engines_of(config: BenchConfig) -> list[EngineName]:
    """Return the engines that are asked for, else all that can be started here."""
    if config.engines:
        return list(dict.fromkeys(config.engines))
    return usable_engines(config.engine.serving)


@contextmanager
def _reached(url: str, config: BenchConfig, pictures: Workload) -> Iterator[Target]:
    with DetectClient(url, api_key=config.api_key, timeout_seconds=config.timeout_seconds) as client:
        client.reach()
        where = client.where
    with _client(url, config, pictures) as worker:
        model = _model(url, config.api_key)
        yield _warmed_up(Target(where, worker, url=url, api_key=config.api_key, model=model))


@contextmanager
def _started_server(name: EngineName, config: BenchConfig, pictures: Workload) -> Iterator[Target]:
    """Start a server that takes whatever the run sends."""
    most = max(load.batch * load.concurrency for load in loads(config))
    serve = ServeConfig(
        engine=replace(config.engine, engine=name),
        score=config.score,
        max_images=max(ServeConfig().max_images, config.batch),
        queue=max(ServeConfig().queue, most),
        timeout_seconds=config.timeout_seconds,
    )
    began = time.perf_counter()
    with spawned(serve) as server:
        started = time.perf_counter() - began
        with _client(server.url, config, pictures) as worker:
            model = _model(server.url, None)
            yield _warmed_up(Target(name, worker, pid=server.pid, url=server.url, model=model, start_seconds=started))


@contextmanager
def _started_engine(name: EngineName, config: BenchConfig, pictures: Workload) -> Iterator[Target]:
    began = time.perf_counter()
    with LoadProcess("humandetect.bench.engine_load") as worker:
        model: ModelUsed = worker.ask(EngineSetup(replace(config.engine, engine=name), config.score, pictures.data))
        started = time.perf_counter() - began
        yield _warmed_up(Target(name, worker, pid=worker.pid, model=model, start_seconds=started))


@contextmanager
def _client(url: str, config: BenchConfig, pictures: Workload) -> Iterator[LoadProcess]:
    with LoadProcess("humandetect.bench.server_load") as worker:
        worker.ask(ServerSetup(url, pictures.data, config.api_key, config.timeout_seconds))
        yield worker


def _warmed_up(target: Target) -> Target:
    """Ask once: the first answer is slower than those that follow."""
    samples = target.send(WindowPlan(Load("stream", 1, 1), seconds=1.0, requests=1))
    sample = samples.sent[0]
    if sample.error and target.url is not None:
        raise ServiceError(f"{target.name} does not answer as a humandetect server does: {sample.error}")
    target.first_answer_seconds = sample.ended - sample.due
    return target


def _model(url: str, api_key: str | None) -> ModelUsed | None:
    """Return what a server says of its model; older servers say nothing."""
    try:
        return Readiness.model_validate_json(_get(url, "/readyz", api_key).content).model
    except (httpx.HTTPError, ValidationError):
        return None


def _get(url: str, path: str, api_key: str | None) -> httpx.Response:
    headers = {} if api_key is None else {"X-API-Key": api_key}
    trusted = ssl.create_default_context() if url.startswith("https") else True  # as the client under load trusts
    where = f"{url.rstrip('/')}{path}"
    return httpx.get(where, headers=headers, timeout=ASIDE_SECONDS, verify=trusted, trust_env=False)


def _stages(text: str) -> StageTimes:
    counted: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        if family.name == "humandetect_stage_seconds":
            for sample in family.samples:
                counted.setdefault(sample.labels["stage"], {})[sample.name.rpartition("_")[2]] = sample.value
    return {stage: (counted[stage]["sum"], counted[stage]["count"]) for stage in STAGES if stage in counted}
