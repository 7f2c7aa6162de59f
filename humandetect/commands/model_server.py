"""The command `model-server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import SIGNALS, command
from humandetect.config import ModelServerConfig, TalkConfig

if TYPE_CHECKING:
    from humandetect.model_server.lifecycle import ModelServerReady

EXAMPLES = (
    "model-server",
    "model-server --models-config models.config --rest-port 8501 --enable-batching",
)


@command
@options_of(ModelServerConfig)
def model_server(config: ModelServerConfig, _talk: TalkConfig) -> None:
    """Serve models over TensorFlow Serving's own gRPC and REST protocols, for tests, laptops and ARM.

    Version folders are loaded and unloaded while requests go on. Classify, Regress and MultiInference are not offered.
    In production use TensorFlow Serving itself.
    """
    from humandetect.model_server import lifecycle

    try:
        lifecycle.serve(config, on_ready=_announce, stop=SIGNALS.stop)
    except KeyboardInterrupt:  # while models were loading; a server that is told to end has not failed
        raise typer.Exit from None


def _announce(ready: ModelServerReady) -> None:
    models = ", ".join(f"{name} {'/'.join(map(str, versions))}" for name, versions in ready.models.items())
    rest = f", REST at {ready.rest_address}" if ready.rest_address else ""
    typer.echo(f"humandetect model-server serves {models}: gRPC at {ready.address}{rest}. Ctrl-C ends it.", err=True)
    if ready.is_open:
        typer.echo("warning: whoever reaches this machine can use it, and make it load any model folder.", err=True)
