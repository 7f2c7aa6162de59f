"""The command line: the table of commands."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from humandetect.commands import bench, config, detect, doctor, evaluate, feed, model_server, models, scene, serve
from humandetect.commands.help import Command, Commands, examples, print_version, show_help

app = typer.Typer(
    name="humandetect",
    cls=Commands,
    help="Find people in images, videos and live cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(cls=Commands, help="List, measure, check and prepare models.", no_args_is_help=True)
command = partial(app.command, cls=Command)
models_command = partial(models_app.command, cls=Command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_version()
        raise typer.Exit


@app.callback()
def top(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Find people in images, videos and live cameras."""


command(epilog=examples(detect.EXAMPLES))(detect.detect)
command(epilog=examples(feed.EXAMPLES))(feed.feed)
command(epilog=examples(serve.EXAMPLES))(serve.serve)
command(epilog=examples(bench.EXAMPLES))(bench.bench)
command("eval", epilog=examples(evaluate.EXAMPLES))(evaluate.evaluate)
command("model-server", epilog=examples(model_server.EXAMPLES))(model_server.model_server)
app.add_typer(models_app, name="models")
models_command("list")(models.models_list)
models_command("bench")(models.models_bench)
models_command("check")(models.models_check)
models_command("export-warmup")(models.models_export_warmup)
command(epilog=examples(scene.EXAMPLES))(scene.scene)
command("scene check")(scene.scene_check)
command()(doctor.doctor)
command(epilog=examples(config.EXAMPLES))(config.config)
command("help")(show_help)
command("version")(print_version)
