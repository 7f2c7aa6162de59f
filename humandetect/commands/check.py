"""The commands that look at what is there: `models list`, `models check` and `doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from humandetect.config import EngineConfig
from humandetect.ending import command
from humandetect.options.detection import DebugOpt, DeviceOpt, ModelsDirOpt

ENGINE = EngineConfig()


@command
def models_list(models_dir: ModelsDirOpt = ENGINE.models_dir, debug: DebugOpt = False) -> None:
    """List the models there are."""
    from humandetect.models import list_models
    from humandetect.terminal import print_models

    print_models(list_models(models_dir))


@command
def models_check(
    model: Annotated[str, typer.Argument(help="Name or path of a model.")] = ENGINE.model,
    models_dir: ModelsDirOpt = ENGINE.models_dir,
    device: DeviceOpt = ENGINE.device,
    debug: DebugOpt = False,
) -> None:
    """Verify a model's checksum and run it on the sample with every installed engine."""
    from humandetect.doctor import check_model
    from humandetect.terminal import print_checks

    if not print_checks(check_model(model, models_dir=models_dir, device=device)):
        raise typer.Exit(1)


@command
def doctor(device: DeviceOpt = ENGINE.device, debug: DebugOpt = False) -> None:
    """Try decode, every installed engine and encode on the sample; say what works and how to fix the rest."""
    from humandetect.doctor import check_everything
    from humandetect.terminal import print_checks

    if not print_checks(check_everything(device=device)):
        raise typer.Exit(1)
