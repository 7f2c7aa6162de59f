"""The command `doctor`."""

from __future__ import annotations

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import command
from humandetect.config import DoctorConfig, TalkConfig


@command
@options_of(DoctorConfig)
def doctor(config: DoctorConfig, _talk: TalkConfig) -> None:
    """Try decode, every installed engine, encode, cameras and display; say what works and how to fix the rest."""
    from humandetect.commands.terminal import print_checks
    from humandetect.doctor import check_everything

    if not print_checks(check_everything(device=config.device, servers=config.serving.targets)):
        raise typer.Exit(1)
