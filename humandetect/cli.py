"""The command line: the table of commands."""

from __future__ import annotations

from typing import Annotated, ClassVar

import typer

from humandetect.commands.help import Commands, print_version


class TopCommands(Commands):
    """What `humandetect` can do."""

    table: ClassVar = {
        "detect": ("detect:detect", "Find, follow and count people in images, videos, cameras."),
        "feed": ("feed:feed", "Send a video to a server, bring back what detect would write."),
        "serve": ("serve:serve", "Find people in images sent over HTTP; with a page to try it."),
        "bench": ("bench:bench", "Measure servers or engines side by side."),
        "archive": ("archive:archive", "Detect in days of video by many workers, and go on after any end."),
        "watch": ("watch:watch", "Watch many live cameras, for weeks."),
        "analyze": ("analyze:analyze", "Track, count and report from saved results."),
        "eval": ("evaluate:evaluate", "Hold results against what is true."),
        "model-server": ("model_server:model_server", "Serve models over TensorFlow Serving's own protocols."),
        "scene": ("scene:scene", "Draw lines and zones on a frame, in the browser."),
        "scene check": ("scene:scene_check", "Show a scene's lines and zones on a frame."),
        "doctor": ("doctor:doctor", "Try every part of the installation; say how to fix what fails."),
        "config": ("config:config", "Print all settings, and where each comes from."),
        "help": ("help:show_help", "Show how a command is used."),
        "version": ("help:print_version", "Print the version."),
    }


class ModelsCommands(Commands):
    """What `humandetect models` can do."""

    table: ClassVar = {
        "list": ("models:models_list", "List the models: sizes, people found, speed, licence."),
        "bench": ("models:models_bench", "Measure how fast models are on this machine."),
        "check": ("models:models_check", "Verify a model and run it on a picture with people."),
        "export-warmup": ("models:models_export_warmup", "Write TensorFlow Serving's warm-up requests."),
    }


app = typer.Typer(
    name="humandetect",
    cls=TopCommands,
    help="Find people in images, videos and live cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(cls=ModelsCommands, help="List, measure, check and prepare models.", no_args_is_help=True)
app.add_typer(models, name="models")


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


@models.callback()
def below_models() -> None:
    """List, measure, check and prepare models."""
