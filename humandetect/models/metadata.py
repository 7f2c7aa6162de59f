"""What is known of a model on disk before an engine loads it: its humandetect.json and its checksum."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from humandetect.errors import ModelError
from humandetect.models.sizes import Preset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

GRAPH_NAME = "saved_model.pb"
METADATA_NAME = "assets.extra/humandetect.json"

Resize = Literal["linear", "legacy"]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What humandetect.json says of a model; the defaults fit any detector of the TensorFlow Object Detection API."""

    preset: Preset = field(default_factory=Preset)
    """The size `default`, to which images are shrunk before they travel, and its scores."""
    sizes: Mapping[str, Preset] = field(default_factory=dict)
    """Other sizes by name, where the graph takes more than one."""
    multiple: int = 1
    """A graph of open size takes heights and widths that are multiples of it."""
    resize: Resize = "linear"
    keep_aspect: bool = False
    """Pictures of another aspect than the input's are padded, not stretched: the model was trained so."""
    labels: dict[int, str] = field(default_factory=lambda: {1: "person"})
    person_classes: frozenset[int] = frozenset({1})
    licence: str | None = None
    scope: str | None = None
    """What its makers say it is for, and what not."""
    origin: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None
    """Of saved_model.pb."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One version of a model on disk."""

    name: str
    version: str
    """Empty where the model lies outside a numbered folder."""
    path: Path
    """A SavedModel folder, or a frozen graph's .pb file."""
    metadata: ModelMetadata


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, or of a SavedModel folder's graph and variables. Raises ModelError."""
    if path.is_dir():
        files = [path / GRAPH_NAME, *sorted((path / "variables").glob("*"))]
        return hashlib.sha256("\n".join(f"{file.name} {checksum(file)}" for file in files).encode()).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read the model {str(path)!r}: {error.strerror or error}") from error


def verify(folder: ModelFolder) -> None:
    """Raise ModelError if the graph is not the one humandetect.json was written for."""
    expected = folder.metadata.sha256
    if expected is None or folder.path.is_file():
        return
    graph = folder.path / GRAPH_NAME
    found = checksum(graph)
    if found != expected:
        raise ModelError(
            f"{graph} is damaged: its sha256 is {found[:12]}…, humandetect.json expects {expected[:12]}…; "
            "restore the file, reinstall humandetect, or rebuild the model with its script in tools/"
        )


def read_metadata(version: Path) -> ModelMetadata:
    """Read a version's humandetect.json, or return the defaults where there is none; raises ModelError."""
    path = version / METADATA_NAME
    if not path.is_file():
        return ModelMetadata()
    try:
        return _metadata(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is malformed: {error}; correct it, or delete it to use the defaults") from error


def _metadata(values: object) -> ModelMetadata:
    """Translate JSON; what is absent keeps its default, what is unknown is left to newer versions."""
    if not isinstance(values, dict):
        raise ValueError("expected an object {...}")  # noqa: TRY004  # wrong content of a file, not a wrong call
    preset = Preset(**_read(values, _PRESET_FIELDS))
    sizes = values.get("sizes", {})
    if not isinstance(sizes, dict) or not all(isinstance(one, dict) for one in sizes.values()):
        raise ValueError(f'sizes is {sizes!r}, expected {{"small": {{"input_hw": [...], ...}}, ...}}')
    others = {name: replace(preset, **{"step": None, **_read(one, _PRESET_FIELDS)}) for name, one in sizes.items()}
    return ModelMetadata(preset, others, **_read(values, _FIELDS))


def _read(values: dict[str, Any], fields: Mapping[str, tuple[Callable[[Any], object], str]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, (convert, expected) in fields.items():
        if name in values:
            try:
                read[name] = convert(values[name])
            except (TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{name} is {values[name]!r}, expected {expected}") from error
    return read


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = value
    if not (type(height) is type(width) is int and height > 0 and width > 0):
        raise ValueError
    return height, width


def _pixels(value: Any) -> int:
    if type(value) is not int or value <= 0:
        raise ValueError
    return value


def _score(value: Any) -> float:
    if not 0 <= value <= 1:
        raise ValueError
    return float(value)


def _resize(value: Any) -> Resize:
    if value not in ("linear", "legacy"):
        raise ValueError
    return cast("Resize", value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise TypeError
    return value


_PRESET_FIELDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "input_hw": (_size, "[height, width] in pixels or null"),
    "step": (_pixels, "a whole number of pixels"),
    "default_score": (_score, "a number in 0..1"),
    "track_start_score": (_score, "a number in 0..1"),
    "track_high_score": (_score, "a number in 0..1"),
    "second_look": (_flag, "true or false"),
}
_FIELDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "multiple": (_pixels, "a whole number of pixels"),
    "keep_aspect": (_flag, "true or false"),
    "resize": (_resize, "linear or legacy"),
    "labels": (lambda value: {int(number): str(label) for number, label in value.items()}, '{"1": "person", ...}'),
    "person_classes": (lambda value: frozenset(map(int, value)), "a list of class numbers"),
    "licence": (_text, "text or null"),
    "scope": (_text, "text or null"),
    "origin": (lambda value: {name: str(text) for name, text in value.items()}, '{"package": "...", ...}'),
    "sha256": (_text, "text or null"),
}
