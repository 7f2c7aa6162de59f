"""The command `serve`."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import SIGNALS, command
from humandetect.config import QuietConfig, ServeConfig

if TYPE_CHECKING:
    from humandetect.service.process.launch import Ready

EXAMPLES = (
    "serve",
    "serve --host 0.0.0.0 --port 9000 --workers 2",
    "serve --engine tf-serving --serving gpu-box:8500",
    "HUMANDETECT_API_KEY=secret humandetect serve --tls-cert cert.pem --tls-key key.pem",
)


@command
@options_of(ServeConfig)
def serve(config: ServeConfig, talk: QuietConfig) -> None:
    """Find people in images sent over HTTP: POST /request and /v1/detect, a page to try it at /, docs at /docs.

    Ctrl-C or SIGTERM closes the port, answers what is under way and ends within 30 seconds.
    """
    from humandetect.service.process import launch

    try:
        launch.serve(config, on_ready=None if talk.quiet else _announce, stop=SIGNALS.stop, quiet=talk.quiet)
    except KeyboardInterrupt:  # before it could serve; a server that is told to end has not failed
        raise typer.Exit from None


def _announce(ready: Ready) -> None:
    """Say what serves where, as the log is written."""
    model, sizes = ready.model, [f"{size / 1e6:.0f} MB" for size in ready.workers_bytes]
    lines = [
        f"humandetect serves {model.name} {model.version} ({model.engine}) at {ready.url}",
        f"Try it at {ready.url}/, read on at {ready.url}/docs. Ctrl-C ends it.",
    ]
    if sizes:
        total = sum(ready.workers_bytes) / 1e6
        lines.append(f"{len(sizes)} workers with a model each hold {' + '.join(sizes)} = {total:.0f} MB of memory.")
    if ready.is_open:
        lines.append("warning: whoever reaches this machine can use it. --api-key asks for a key; --tls-cert encrypts.")
    for line in lines:
        if ready.log_format == "json":
            logging.getLogger("humandetect.service").info(line)
        else:
            with suppress(OSError):  # a full disk behind stderr is no reason not to serve
                typer.echo(line, err=True)
