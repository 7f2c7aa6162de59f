"""The commands about models: `models list`, `models bench`, `models check` and `models export-warmup`."""

from __future__ import annotations

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import command
from humandetect.config import (
    ModelsBenchConfig,
    ModelsCheckConfig,
    ModelsListConfig,
    QuietConfig,
    TalkConfig,
    WarmupConfig,
)


@command
@options_of(ModelsListConfig)
def models_list(config: ModelsListConfig, _talk: TalkConfig) -> None:
    """List the models there are."""
    from humandetect.commands.terminal import print_models, print_models_as_json
    from humandetect.models.find import list_models

    models = list_models(config.models_dir)
    (print_models_as_json if config.json else print_models)(models)


@command
@options_of(ModelsBenchConfig)
def models_bench(config: ModelsBenchConfig, _talk: TalkConfig) -> None:
    """Measure how fast this machine is with each model, by engine and size; `models list` shows it afterwards.

    The engines get prepared pictures, as many at once as they like: what is left of it in a video depends on the video.
    """
    from humandetect.bench.model_speed import keep, measure
    from humandetect.commands.terminal import print_speeds
    from humandetect.models.find import find_model, list_models

    models = [find_model(name, config.models_dir) for name in config.models] or list_models(config.models_dir)
    speeds = []
    for speed in measure(models, seconds=config.seconds):
        speeds.append(speed)
        if not config.json:
            reached = speed.images_per_second
            typer.echo(f"{speed.model}, {speed.engine}, {speed.size}: {reached or 0:.0f} images/s", err=True)
    keep(speeds)
    print_speeds(speeds, as_json=config.json)


@command
@options_of(ModelsCheckConfig)
def models_check(config: ModelsCheckConfig, _talk: TalkConfig) -> None:
    """Verify a model and run it on the sample, which has people, with every installed engine that takes it."""
    from humandetect.commands.terminal import print_checks
    from humandetect.doctor import check_model

    checks = check_model(
        config.model, models_dir=config.models_dir, device=config.device, person_class=config.person_class
    )
    if not print_checks(checks):
        raise typer.Exit(1)


@command
@options_of(WarmupConfig)
def models_export_warmup(config: WarmupConfig, talk: QuietConfig) -> None:
    """Write the warm-up requests that TensorFlow Serving runs before a model answers.

    They have pictures of the sample in batches of 1, 2, 4, 8 and 16, or of the sizes that --batching-parameters allows.
    """
    from humandetect.model_server.batching_parameters import read_batching_parameters
    from humandetect.model_server.warmup_records import BATCH_SIZES, export_warmup

    sizes: tuple[int, ...] = BATCH_SIZES
    if config.batching_parameters is not None:
        sizes = read_batching_parameters(config.batching_parameters).warmup_sizes(BATCH_SIZES)
    written = export_warmup(config.model, config.output, models_dir=config.models_dir, batch_sizes=sizes)
    if not talk.quiet:
        images = ", ".join(map(str, written.batch_sizes))
        typer.echo(f"written {written.path}: requests of {images} images, {written.size_bytes:,} bytes", err=True)
