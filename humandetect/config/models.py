"""Which models are listed, checked and prepared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from humandetect.config.engine import (
    DEFAULT_MODEL,
    DeviceField,
    ModelsDirField,
    PersonClassField,
    SizeField,
    check_size,
)
from humandetect.config.fields import check
from humandetect.config.model_server import BatchingParametersField
from humandetect.config.option import Opt

ModelField = Annotated[str, Opt("Name or path of a model.", "Input", metavar="MODEL", argument=True)]


@dataclass(frozen=True, slots=True)
class ModelsListConfig:
    """Where `models list` looks, and how it answers."""

    models_dir: ModelsDirField = None
    json: Annotated[bool, Opt("Print the models as JSON on stdout.", "Output", variable=None)] = False


@dataclass(frozen=True, slots=True)
class ModelsBenchConfig:
    """Which models `models bench` measures, and for how long."""

    models: Annotated[
        tuple[str, ...],
        Opt("Names or paths of models.", "Input", metavar="MODEL", argument=True, unset="all that are listed"),
    ] = ()
    models_dir: ModelsDirField = None
    seconds: Annotated[
        float, Opt("Longest time for all; what does not fit is left out.", "Limits", variable=None), Ge(10), Le(3600)
    ] = 60.0
    json: Annotated[bool, Opt("Print the figures as JSON on stdout.", "Output", variable=None)] = False

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class ModelsCheckConfig:
    """Which model `models check` tries."""

    model: ModelField = DEFAULT_MODEL
    models_dir: ModelsDirField = None
    person_class: PersonClassField = None
    size: SizeField = "default"
    device: DeviceField = "auto"

    def __post_init__(self) -> None:
        check(self)
        check_size(self.size)


@dataclass(frozen=True, slots=True)
class WarmupConfig:
    """For which model `models export-warmup` writes which requests."""

    model: ModelField = DEFAULT_MODEL
    output: Annotated[
        Path | None,
        Opt(
            "Where to write.",
            "Output",
            names=("--output", "-o"),
            metavar="FILE",
            unset="into the model's version folder",
            variable=None,
        ),
    ] = None
    models_dir: ModelsDirField = None
    batching_parameters: BatchingParametersField = None
