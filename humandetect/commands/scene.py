"""The commands `scene` and `scene check`."""

from __future__ import annotations

from dataclasses import replace

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import command, with_sample
from humandetect.config import SceneCheckConfig, SceneConfig, TalkConfig

EXAMPLES = (
    "scene rtsp://camera/door -o door.toml",
    "scene lobby.mp4 --start 0:30",
)


@command
@options_of(SceneConfig)
def scene(config: SceneConfig, _talk: TalkConfig) -> None:
    """Draw lines and zones on a frame of SOURCE, on a page that only this machine reaches.

    Save writes the scene, prints its path and ends the command. Ctrl-C ends it without a file.
    """
    from humandetect.service.process.scene_drawing import draw_scene

    (ref,) = with_sample((config.ref,))
    if draw_scene(replace(config, ref=ref), on_ready=_announce):
        typer.echo(config.output)


@command
@options_of(SceneCheckConfig)
def scene_check(config: SceneCheckConfig, _talk: TalkConfig) -> None:
    """Draw a scene's lines and zones on a frame of SOURCE, as `detect` would: arrows show what counts as `in`."""
    from humandetect.pipeline.scene_check import check_scene

    (ref,) = with_sample((config.ref,))
    for warning in check_scene(replace(config, ref=ref)):
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(config.output)


def _announce(url: str) -> None:
    typer.echo(f"Draw lines and zones at {url}\nSave there ends this; Ctrl-C ends it without a file.", err=True)
