"""What `humandetect model-server` does around the services: checks, ports, the watch over folders, an orderly end."""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humandetect.engines import has_model_server
from humandetect.errors import MissingExtra, ServerError
from humandetect.model_server.batching_parameters import BatchingParameters, read_batching_parameters
from humandetect.models.find import CONFIG_NAME, bundled
from humandetect.processes import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.config import ModelServerConfig
    from humandetect.model_server.core import Core
    from humandetect.model_server.registry import Registry
    from humandetect.model_server.served_models import ModelSettings

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 25
"""Once it is told to end: for the answers under way."""
BACKLOG = 2048
END_SECONDS = 28
"""For everything."""


@dataclass(frozen=True, slots=True)
class ModelServerReady:
    """A server that answers."""

    address: str
    """Of gRPC."""
    rest_address: str | None
    models: dict[str, list[int]]
    """Versions that answer, by model."""
    is_open: bool
    """Whether others than this machine can use it."""


def serve(config: ModelServerConfig, *, on_ready: Callable[[ModelServerReady], None], stop: threading.Event) -> None:
    """Serve until Ctrl-C, SIGTERM or `stop`, then answer what is under way.

    Raises MissingExtra without TensorFlow, and ServerError for a server that cannot start.
    """
    if not has_model_server():
        raise MissingExtra("the model server needs more: pip install 'humandetect[tensorflow]'")
    from humandetect.model_server.served_models import read_settings

    path = config.models_config or _default_config()
    settings = read_settings(path, config.models_dir)
    batching = _batching_parameters(config)
    with ExitStack() as stack:
        grpc_port = _reserve(config.host, config.port, "--port", stack)
        rest_port = None if config.rest_port is None else _reserve(config.host, config.rest_port, "--rest-port", stack)
        if config.exit_with_stdin:
            end_with_parent(stop.set)
        core = _load_models(settings, batching, stack)
        is_open = not ipaddress.ip_address(grpc_port.getsockname()[0]).is_loopback
        address = _start_grpc(config, core, grpc_port, stack)
        rest_address = None if rest_port is None else _start_rest(core, rest_port, stack)
        _watch(core.registry, config.poll_seconds, stack)
        on_ready(ModelServerReady(address, rest_address, core.registry.available(), is_open))
        try:
            stop.wait()
        except KeyboardInterrupt:  # the signal's handler raises it in whatever the main thread does
            logger.debug("told to end")
        _limit_the_end(core.registry)


def _batching_parameters(config: ModelServerConfig) -> BatchingParameters | None:
    if not config.enable_batching:
        return None
    path = config.batching_parameters
    return read_batching_parameters(path) if path is not None else BatchingParameters()


def _default_config() -> Path:
    here = Path(CONFIG_NAME)
    return here if here.exists() else bundled(CONFIG_NAME)


def _load_models(settings: list[ModelSettings], batching: BatchingParameters | None, stack: ExitStack) -> Core:
    from humandetect.model_server.servable import import_tensorflow

    import_tensorflow()  # first: what follows would import it too, with all its words
    gc.freeze()  # TensorFlow's modules stay; without them, collecting an unloaded version holds requests up less
    from humandetect.model_server.batch_scheduler import BatchScheduler
    from humandetect.model_server.core import Core
    from humandetect.model_server.loader import Loader
    from humandetect.model_server.registry import Registry
    from humandetect.model_server.serving_metrics import ServingMetrics
    from humandetect.model_server.status import ServingError

    metrics = ServingMetrics()
    scheduler = BatchScheduler(batching, metrics) if batching is not None else None
    if scheduler is not None:
        stack.callback(scheduler.close)
    registry = Registry(Loader(metrics, scheduler))
    stack.callback(registry.close)
    try:
        registry.apply(settings)
    except ServingError as error:
        raise ServerError(str(error)) from error
    return Core(registry, metrics)


def _start_grpc(config: ModelServerConfig, core: Core, port: socket.socket, stack: ExitStack) -> str:
    from humandetect.model_server.grpc_service import make_server

    server = make_server(core, threads=config.threads, as_content=config.tensor_content)
    address = _open(server, port)
    stack.callback(lambda: server.stop(ANSWER_SECONDS).wait())
    return address


def _start_rest(core: Core, port: socket.socket, stack: ExitStack) -> str:
    from humandetect.model_server.rest import RestServer

    address = _address(port)
    _listen(port, address)
    stack.callback(RestServer(core, port).close)
    return address


def _limit_the_end(registry: Registry) -> None:
    """End the process even if a request never ends: Python would wait for its thread."""

    def end() -> None:
        if registry.is_busy():
            os._exit(1)

    watchdog = threading.Timer(END_SECONDS, end)
    watchdog.daemon = True
    watchdog.start()


def _reserve(host: str, port: int, option: str, stack: ExitStack) -> socket.socket:
    """Take a port before anything heavy is loaded. Nobody can connect yet: it does not listen."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        reserved = stack.enter_context(socket.socket(family, kind, protocol))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServerError(
            f"cannot serve at {host}:{port}: {reason}; choose another {option} (0 takes a free one)"
        ) from error
    return reserved


def _open(server: Any, reserved: socket.socket) -> str:
    """Start gRPC on the reserved port."""
    address = _address(reserved)
    reserved.close()
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise ServerError(f"cannot serve at {address}: {error}") from error
    server.start()
    return address


def _listen(reserved: socket.socket, address: str) -> None:
    try:
        reserved.listen(BACKLOG)
    except OSError as error:  # somebody else was given it meanwhile
        raise ServerError(f"cannot serve at {address}: {error.strerror}") from error


def _address(reserved: socket.socket) -> str:
    host, port = reserved.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _watch(registry: Registry, seconds: float, stack: ExitStack) -> None:
    """Look at the models' folders every so often, until the server ends."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            try:
                registry.poll()
            except Exception:
                logger.exception("the models' folders could not be looked at")

    thread = threading.Thread(target=watch, name="versions", daemon=True)
    thread.start()
    stack.callback(thread.join, ANSWER_SECONDS)
    stack.callback(ended.set)
