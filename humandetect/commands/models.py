"""The commands about models: `models list`, `models bench`, `models check` and `models export-warmup`."""

from __future__ import annotations

import typer

from humandetect.commands.options import options_of
from humandetect.commands.running import command
from humandetect.config import (
    EngineConfig,
    ModelsBenchConfig,
    ModelsCheckConfig,
    ModelsListConfig,
    QuietConfig,
    TalkConfig,
    WarmupConfig,
)
from humandetect.errors import HumanDetectError


@command
@options_of(ModelsListConfig)
def models_list(config: ModelsListConfig, _talk: TalkConfig) -> None:
    """List the models there are: at which sizes they run, how many people they find, how fast, and where they lie."""
    from humandetect.commands.model_tables import print_models, print_models_as_json
    from humandetect.models.find import list_models

    models = list_models(config.models_dir)
    (print_models_as_json if config.json else print_models)(models)


@command
@options_of(ModelsBenchConfig)
def models_bench(config: ModelsBenchConfig, talk: QuietConfig) -> None:
    """Measure how fast models are on this machine, by engine and size, on the bundled clip.

    A figure is what `detect` gets without decoding and writing. `models list` shows those of OpenVINO.
    """
    from humandetect.bench.model_speed import LeftOut, Speed, measure, sample_frames, trials_of
    from humandetect.commands.model_tables import following, print_speeds, print_speeds_as_json
    from humandetect.models.find import find_model, list_models

    models = [find_model(name, config.models_dir) for name in config.models] or list_models(config.models_dir)
    trials = trials_of(models)
    results = list(following(measure(trials, sample_frames(), seconds=config.seconds), trials, quiet=talk.quiet))
    if config.json:
        print_speeds_as_json(results)
    elif not talk.quiet:
        print_speeds(results)
    if not any(isinstance(result, Speed) for _, result in results):
        told = (f"{trial}: {result.reason}" for trial, result in results if isinstance(result, LeftOut))
        raise HumanDetectError(f"nothing was measured; {next(told, 'there are no models')}")


@command
@options_of(ModelsCheckConfig)
def models_check(config: ModelsCheckConfig, _talk: TalkConfig) -> None:
    """Verify a model and run it on the sample, which has people, with every installed engine that takes it."""
    from humandetect.commands.terminal import print_checks
    from humandetect.doctor import check_model

    engine = EngineConfig(
        model=config.model, models_dir=config.models_dir, device=config.device,
        person_class=config.person_class, size=config.size,
    )  # fmt: skip
    if not print_checks(check_model(engine)):
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
