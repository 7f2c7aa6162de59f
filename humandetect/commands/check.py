"""The commands about what is there: `models list`, `models check`, `models export-warmup` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humandetect.commands.running import command
from humandetect.config import EngineConfig
from humandetect.options.base import WRITE, option
from humandetect.options.detection import DebugOpt, DeviceOpt, ModelsDirOpt, QuietOpt
from humandetect.options.server import BatchingParametersOpt
from humandetect.options.serving import ServingOpt

ENGINE = EngineConfig()
ModelArg = Annotated[str, typer.Argument(help="Name or path of a model.")]
WarmupOpt = Annotated[
    Path | None,
    option(WRITE, "-o", "--output", metavar="FILE", help="Where to write. (default: into the model's version folder)"),
]


@command
def models_list(models_dir: ModelsDirOpt = ENGINE.models_dir, debug: DebugOpt = False) -> None:
    """List the models there are."""
    from humandetect.commands.terminal import print_models
    from humandetect.models.find import list_models

    print_models(list_models(models_dir))


@command
def models_check(
    model: ModelArg = ENGINE.model,
    models_dir: ModelsDirOpt = ENGINE.models_dir,
    device: DeviceOpt = ENGINE.device,
    debug: DebugOpt = False,
) -> None:
    """Verify a model's checksum and run it on the sample with every installed engine."""
    from humandetect.commands.terminal import print_checks
    from humandetect.doctor import check_model

    if not print_checks(check_model(model, models_dir=models_dir, device=device)):
        raise typer.Exit(1)


@command
def models_export_warmup(
    model: ModelArg = ENGINE.model,
    output: WarmupOpt = None,
    models_dir: ModelsDirOpt = ENGINE.models_dir,
    batching_parameters: BatchingParametersOpt = None,
    quiet: QuietOpt = False,
    debug: DebugOpt = False,
) -> None:
    """Write the warm-up requests that TensorFlow Serving runs before a model answers.

    They have pictures of the sample in batches of 1, 2, 4, 8 and 16, or of the sizes that --batching-parameters allows.
    """
    from humandetect.model_server.batching_parameters import read_batching_parameters
    from humandetect.model_server.warmup_records import BATCH_SIZES, export_warmup

    sizes: tuple[int, ...] = BATCH_SIZES
    if batching_parameters is not None:
        sizes = read_batching_parameters(batching_parameters).warmup_sizes(BATCH_SIZES)
    written = export_warmup(model, output, models_dir=models_dir, batch_sizes=sizes)
    if not quiet:
        images = ", ".join(map(str, written.batch_sizes))
        typer.echo(f"written {written.path}: requests of {images} images, {written.size_bytes:,} bytes", err=True)


@command
def doctor(device: DeviceOpt = ENGINE.device, serving: ServingOpt = None, debug: DebugOpt = False) -> None:
    """Try decode, every installed engine, encode, cameras and display; say what works and how to fix the rest."""
    from humandetect.commands.terminal import print_checks
    from humandetect.doctor import check_everything

    if not print_checks(check_everything(device=device, servers=tuple(serving or ()))):
        raise typer.Exit(1)
