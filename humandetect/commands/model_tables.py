"""What a person sees of models: what they are for, how many people they find, how fast they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from humandetect.bench.machine import described, machine, versions
from humandetect.bench.model_speed import SETUPS, USUAL, LeftOut, Speed, SpeedCache, Trial
from humandetect.commands.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.models.metadata import ModelFolder
    from humandetect.models.sizes import Preset

    Results = Sequence[tuple[Trial, Speed | LeftOut]]

NOTHING = "-"
"""Where nothing was measured: an empty cell would shift the columns of whoever splits lines."""


def print_models(models: Sequence[ModelFolder]) -> None:
    """Print a table with a row for each size of a model, then licences and places, then what models are not for."""
    if not models:
        _console().print("no models with names; one of a file, as of ONNX, is given by its path: models check PATH")
        return
    clips = list(dict.fromkeys(clip for model in models for ap50 in model.metadata.accuracy.values() for clip in ap50))
    table = _table("MODEL", "VERSION", "SIZE", "PIXELS", figures=(*map(str.upper, clips), "SCORE", "IMAGES/S"))
    cache = SpeedCache()
    for model in models:
        for size, preset in model.metadata.presets.items():
            ap50 = model.metadata.accuracy.get(size, {})
            speed = cache.load(Trial(model, USUAL, size))
            table.add_row(
                *_names(model), size, str(preset),
                *(f"{ap50[clip]:.1f}" if clip in ap50 else NOTHING for clip in clips),
                f"{preset.default_score:.2f}", f"{speed.images_per_second:.1f}" if speed else NOTHING,
            )  # fmt: skip
    places = _table("MODEL", "LICENCE", "PATH")
    for model in models:
        places.add_row(printable(model.name), printable(model.metadata.licence or "unknown"), printable(model.path))
    console = _console()
    console.print(table)
    if clips:
        console.print(f"{', '.join(map(str.upper, clips))}: AP50 in percent on clips of these names, see the docs.")
    console.print(f"IMAGES/S: {USUAL} on this machine; `humandetect models bench` measures it.\n")
    console.print(places)
    for model in models:
        if model.metadata.scope:
            console.print(f"\n{printable(model.name)}: {printable(model.metadata.scope)}")


def print_models_as_json(models: Sequence[ModelFolder]) -> None:
    """Print an array of models."""
    cache = SpeedCache()
    rows = [
        {
            "name": model.name,
            "version": model.version,
            "input": _input(model.metadata.preset),
            "score": model.metadata.preset.default_score,
            "sizes": {size: _input(preset) for size, preset in model.metadata.presets.items()},
            "scores": {size: preset.default_score for size, preset in model.metadata.presets.items()},
            "accuracy": model.metadata.accuracy,
            "images_per_second": {size: _speeds(model, size, cache) for size in model.metadata.presets},
            "licence": model.metadata.licence,
            "scope": model.metadata.scope,
            "origin": model.metadata.origin,
            "sha256": model.metadata.sha256,
            "path": str(model.path),
        }
        for model in models
    ]
    typer.echo(json.dumps(rows, indent=2))


def following(results: Iterator[tuple[Trial, Speed | LeftOut]], trials: Sequence[Trial], *, quiet: bool) -> Results:
    """Collect results, and say on stderr what is measured and, at the end, what was left out and why."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    collected: list[tuple[Trial, Speed | LeftOut]] = []
    with console.status("", spinner="line") as status:
        for number, trial in enumerate(trials, start=1):
            if not quiet:
                status.update(f"{number} of {len(trials)}: {printable(trial)}")
            collected.append(next(results))
    return collected


def print_speeds(results: Results) -> None:
    """Print a table with a column for each engine, then what was left out and the machine."""
    setups = [setup for setup in SETUPS if any(trial.setup == setup for trial, _ in results)]
    table = _table("MODEL", "VERSION", "SIZE", "PIXELS", figures=tuple(str(setup).upper() for setup in setups))
    found = {(trial.model.path, trial.size, trial.setup): result for trial, result in results}
    for path, model in {trial.model.path: trial.model for trial, _ in results}.items():
        for size, preset in model.metadata.presets.items():
            cells = [found.get((path, size, setup)) for setup in setups]
            table.add_row(
                *_names(model), size, str(preset),
                *(f"{cell.images_per_second:.1f}" if isinstance(cell, Speed) else NOTHING for cell in cells),
            )  # fmt: skip
    console = _console()
    console.print(table)
    engines = dict.fromkeys(result.engine for _, result in results if isinstance(result, Speed))
    console.print(f"images/s; engines: {'; '.join(engines) or 'none'}")
    for trial, result in results:
        if isinstance(result, LeftOut):
            console.print(f"left out: {printable(trial)}: {printable(result.reason)}")
    for line in described(machine(), versions()):
        console.print(line)


def print_speeds_as_json(results: Results) -> None:
    """Print the machine, the figures and what was left out."""
    rows = [
        {
            "name": trial.model.name,
            "version": trial.model.version,
            "size": trial.size,
            "setup": str(trial.setup),
            **(
                {"left_out": result.reason}
                if isinstance(result, LeftOut)
                else {"engine": result.engine, "images_per_second": result.images_per_second}
            ),
        }
        for trial, result in results
    ]
    typer.echo(json.dumps({"machine": machine(), "versions": versions(), "speeds": rows}, indent=2))


def _table(*headings: str, figures: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for heading in figures:
        table.add_column(heading, justify="right")
    return table


def _console() -> Console:
    """Leave the width to who looks: a row stays a line, and a path stays whole, to be copied."""
    return Console(highlight=False, markup=False, width=10_000)


def _names(model: ModelFolder) -> tuple[str, str]:
    return printable(model.name), model.version or NOTHING


def _input(preset: Preset) -> dict[str, int] | None:
    return None if preset.input_hw is None else {"height": preset.input_hw[0], "width": preset.input_hw[1]}


def _speeds(model: ModelFolder, size: str, cache: SpeedCache) -> dict[str, float]:
    speeds = {str(setup): cache.load(Trial(model, setup, size)) for setup in SETUPS}
    return {setup: speed.images_per_second for setup, speed in speeds.items() if speed}
