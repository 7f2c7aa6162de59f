"""On what `scene` lets people draw, and what `scene check` shows."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from humandetect.config.detect import SourceConfig
from humandetect.config.fields import Group, check
from humandetect.config.option import Opt

RefField = Annotated[
    str,
    Opt(
        "Image, video, camera number, URL, or `sample` for the bundled clip.",
        "Input",
        metavar="SOURCE",
        argument=True,
    ),
]


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """One drawing of lines and zones."""

    ref: RefField = field(repr=False)
    """An address may hold secrets."""
    output: Annotated[
        Path,
        Opt(
            "The scene; one that is there already is loaded and replaced.",
            "Output",
            names=("--output", "-o"),
            metavar="FILE",
            variable=None,
        ),
    ] = Path("scene.toml")
    source: Annotated[SourceConfig, Group(without=("duration_seconds", "limit"))] = field(default_factory=SourceConfig)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class SceneCheckConfig:
    """A scene and the source that it is for."""

    scene: Annotated[Path, Opt("Lines and zones (TOML).", "Input", metavar="SCENE", argument=True)]
    ref: RefField = field(repr=False)
    output: Annotated[Path, Opt("The picture.", "Output", names=("--output", "-o"), metavar="FILE", variable=None)] = (
        Path("scene.png")
    )
    source: Annotated[SourceConfig, Group(without=("duration_seconds", "limit"))] = field(default_factory=SourceConfig)

    def __post_init__(self) -> None:
        check(self)
