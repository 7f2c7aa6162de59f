"""What `humandetect serve` does before and around the server: checks that leave no doubt, the port, the processes."""

from __future__ import annotations

import errno
import functools
import ipaddress
import logging
import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from humandetect.engines import starts_model_server
from humandetect.errors import EngineError, ServerError
from humandetect.models.find import find_model
from humandetect.service.process.http.certificates import check_certificate
from humandetect.service.process.server import BACKLOG, Server

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from humandetect.config import EngineConfig, LogFormat, ServeConfig
    from humandetect.engines.base import ModelInfo

OPEN_FILES = 4096
"""Connections are files; many systems allow 1024 until one asks for more."""
REASONS = {
    errno.EADDRINUSE: "is in use: stop what uses it, or choose another --port (0 takes a free one)",
    errno.EACCES: "needs more rights than this user has: choose a --port from 1024 on",
    errno.EADDRNOTAVAIL: "is not an address of this machine: --host 127.0.0.1 serves this machine, 0.0.0.0 the network",
}


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that answers."""

    url: str
    model: ModelInfo
    workers_bytes: tuple[int, ...]
    """Resident memory of each worker process, where there are several."""
    is_open: bool
    """Whether others than this machine can use it without a key."""
    log_format: LogFormat


def serve(
    config: ServeConfig,
    *,
    on_ready: Callable[[Ready], None] | None = None,
    stop: threading.Event | None = None,
    quiet: bool = False,
) -> None:
    """Serve until Ctrl-C, SIGTERM, SIGHUP or `stop`, then answer what is under way; that takes up to 30 s.

    Raises UsageError for a model that does not exist and ServerError for a server that cannot start.
    With `quiet` only errors are logged.
    """
    _fill_standard_streams()
    find_model(config.engine.model, config.engine.models_dir)
    check_certificate(config.tls_cert, config.tls_key)
    _allow_files()
    level = logging.getLogger("humandetect").level
    set_up_logs = functools.partial(_set_up_logs, config.log_format, quiet=quiet, level=level)
    with _listen(config.host, config.port) as listener:
        url = url_of(listener, tls=config.tls_cert is not None)

        def ready(model: ModelInfo, workers_bytes: list[int] | None = None) -> None:
            if on_ready is not None:
                is_open = not (_address(listener).is_loopback or config.api_key)
                on_ready(Ready(url, model, tuple(workers_bytes or ()), is_open, config.log_format))

        set_up_logs()
        if config.workers > 1:
            from humandetect.service.process.workers import Workers

            with _engine_of_all(config.engine) as engine:
                shared = replace(config, engine=engine)
                Workers(shared, listener, set_up_logs=set_up_logs, on_ready=ready, stop=stop).run()
        else:
            Server(config, on_loaded=ready, stop=stop).run_on(listener)


def _fill_standard_streams() -> None:
    """Open what some daemons start a program without, or sockets would stand where C libraries write their words."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


@contextmanager
def _engine_of_all(config: EngineConfig) -> Iterator[EngineConfig]:
    """Start one model server for all workers where each would start its own: a TensorFlow and a model less for each."""
    if not starts_model_server(config):
        yield config
        return
    from humandetect.engines.tfserving.embedded import start_embedded

    try:
        server, serving = start_embedded(config)
    except EngineError as error:
        raise ServerError(str(error)) from error
    try:
        yield replace(config, serving=serving)
    finally:
        server.close()


def _allow_files() -> None:
    """Ask the system for as many open files as there may be connections, and some."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything heavy is loaded; of a name with several addresses the IPv4 one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ServerError(f"cannot serve at --host {host!r}: this machine knows no such host ({error})") from error
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    try:  # it listens at once, so that a second server is told
        return socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        what = f"host {host}" if error.errno == errno.EADDRNOTAVAIL else f"port {port} of {host}"
        reason = REASONS.get(error.errno or 0) or os.strerror(error.errno or 0)
        raise ServerError(f"{what} {reason}") from error


def _address(listener: socket.socket) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(listener.getsockname()[0])


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """Return where this machine reaches what listens there."""
    host, port = listener.getsockname()[:2]
    if _address(listener).is_unspecified:
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _set_up_logs(log_format: LogFormat, *, quiet: bool, level: int) -> None:
    """Set up the log of this process, be it the first or a worker that was told how the first has its own."""
    from humandetect.service.logs import set_up_access_log

    logging.getLogger("humandetect").setLevel(level)
    set_up_access_log(log_format)
    if quiet or level == logging.DEBUG:
        for name in ("humandetect.access", "humandetect.service"):
            logging.getLogger(name).setLevel(logging.ERROR if quiet else logging.DEBUG)
