"""The command line: the table of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from humandetect import __version__
from humandetect.commands.bench import bench
from humandetect.commands.check import doctor, models_check, models_export_warmup, models_list
from humandetect.commands.run import detect, feed
from humandetect.commands.serve import model_server, serve
from humandetect.options.base import BENCH_ENVIRONMENT, ENVIRONMENT, FEED_ENVIRONMENT, SERVE_ENVIRONMENT

app = typer.Typer(
    name="humandetect",
    help="Find people in images, videos and live cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="List, check and prepare models.", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"humandetect {__version__}")
        raise typer.Exit


@app.callback()
def top(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Find people in images, videos and live cameras."""


app.command(epilog=ENVIRONMENT)(detect)
app.command(epilog=FEED_ENVIRONMENT)(feed)
app.command(epilog=SERVE_ENVIRONMENT)(serve)
app.command(epilog=BENCH_ENVIRONMENT)(bench)
app.command("model-server")(model_server)
app.add_typer(models_app, name="models")
models_app.command("list")(models_list)
models_app.command("check")(models_check)
models_app.command("export-warmup")(models_export_warmup)
app.command()(doctor)
