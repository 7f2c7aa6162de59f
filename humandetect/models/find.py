"""Which models there are, where they lie, and what is known of them before an engine loads one.

Names are looked up in TensorFlow Serving's `models.config` and in the models folder; paths are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from humandetect.errors import ModelError, ModelNotFound
from humandetect.models.config_file import ModelEntry, is_model_name, read_models_config

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ModelEntry",
    "ModelFolder",
    "ModelMetadata",
    "bundled",
    "checksum",
    "find_model",
    "list_models",
    "read_metadata",
    "read_models_config",
    "verify",
]

logger = logging.getLogger(__name__)

MODELS_DIR_VARIABLE = "HUMANDETECT_MODELS_DIR"
CONFIG_NAME = "models.config"
GRAPH_NAME = "saved_model.pb"
METADATA_NAME = "assets.extra/humandetect.json"

Resize = Literal["linear", "legacy"]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What humandetect.json says of a model; the defaults fit any detector of the TensorFlow Object Detection API."""

    input_hw: tuple[int, int] | None = None
    """Images are shrunk to this before they travel; None: the model's signature decides."""
    resize: Resize = "linear"
    labels: dict[int, str] = field(default_factory=lambda: {1: "person"})
    person_classes: frozenset[int] = frozenset({1})
    default_score: float = 0.5
    licence: str | None = None
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


def find_model(model: str, models_dir: Path | None = None) -> ModelFolder:
    """Resolve a name or a path; raises ModelNotFound, ModelError."""
    try:
        if is_model_name(model):
            found = _find_by_name(model, models_dir)
            if found:
                return found
        if Path(model).expanduser().exists():
            return _at_path(Path(model).expanduser())
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"no model {model!r}: {error}") from error
    known = ", ".join(sorted(_known_names(models_dir))) or "none"
    places = " and ".join(str(folder) for folder in _search_path(models_dir)) or "no folder"
    raise ModelNotFound(f"no model {model!r}: no such path, and {places} has {known}")


def list_models(models_dir: Path | None = None) -> list[ModelFolder]:
    """Return every usable model by name; what cannot be used is logged."""
    models = []
    for name in sorted(_known_names(models_dir)):
        try:
            models.append(find_model(name, models_dir))
        except (ModelError, ModelNotFound) as error:
            logger.warning("model %s is left out: %s", name, error)
    return models


def bundled(relative: str) -> Path:
    """Return a file that travels with humandetect: inside the installed package, else in the repository."""
    package = Path(__file__).parents[1]
    packaged = package / "_bundled" / relative
    return packaged if packaged.exists() else package.parent / relative


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
            "restore the file, reinstall humandetect, or rebuild the model with tools/export_model.py"
        )


def _search_path(models_dir: Path | None) -> list[Path]:
    """Return the models folders, best first; a folder the user chose is the only one."""
    chosen = models_dir or os.environ.get(MODELS_DIR_VARIABLE)
    if chosen:
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise ModelNotFound(
                f"the models folder {str(folder)!r} does not exist; check --models-dir or {MODELS_DIR_VARIABLE}"
            )
        return [folder]
    # A project's own ./models may hold anything: the packaged model must still be found by name.
    candidates = [Path("models"), bundled("models")]
    return list({folder.resolve(): folder for folder in reversed(candidates) if folder.is_dir()}.values())[::-1]


def _config_of(models_dir: Path) -> Path | None:
    candidates = (models_dir / CONFIG_NAME, models_dir.resolve().parent / CONFIG_NAME)
    return next((path for path in candidates if path.is_file()), None)


def _entries(models_dir: Path) -> dict[str, ModelEntry]:
    config = _config_of(models_dir)
    return {entry.name: entry for entry in read_models_config(config)} if config else {}


def _known_names(models_dir: Path | None) -> set[str]:
    names: set[str] = set()
    for folder in _search_path(models_dir):
        names.update(_entries(folder))
        names.update(child.name for child in folder.iterdir() if (child / GRAPH_NAME).is_file() or _versions(child))
    return names


def _find_by_name(name: str, models_dir: Path | None) -> ModelFolder | None:
    """Look in each models folder in turn: first what its config says, then the folder of that name."""
    missing: ModelNotFound | None = None
    for models in _search_path(models_dir):
        entry = _entries(models).get(name)
        base_paths = [entry.base_path, models / name] if entry else [models / name]
        for base_path in base_paths:
            if base_path.is_dir():
                return _in_folder(base_path, name=name, allowed=entry.versions if entry else ())
        if entry:
            missing = ModelNotFound(
                f"{_config_of(models)} has a model {name!r}, but neither its base_path {entry.base_path} "
                f"nor {models / name} exists"
            )
    if missing:
        raise missing
    return None


def _at_path(path: Path) -> ModelFolder:
    """Take a version folder, a folder of versions, a SavedModel, its saved_model.pb or a frozen graph."""
    path = path.resolve()
    if path.is_dir():
        return _in_folder(path, name=path.name)
    if path.name == GRAPH_NAME:
        return _in_folder(path.parent, name=path.parent.name)
    if path.suffix != ".pb":
        raise ModelError(f"{path} is not a model: expected a SavedModel folder or a frozen graph named *.pb")
    return ModelFolder(path.stem, "", path, ModelMetadata())


def _in_folder(folder: Path, *, name: str, allowed: tuple[int, ...] = ()) -> ModelFolder:
    if (folder / GRAPH_NAME).is_file():
        numbered = _is_version(folder)
        version = folder.name if numbered else ""
        return ModelFolder(folder.resolve().parent.name if numbered else name, version, folder, read_metadata(folder))
    versions = _versions(folder)
    usable = [version for version in versions if not allowed or int(version.name) in allowed]
    if not usable:
        wanted = (
            f"version {' or '.join(map(str, allowed))}" if allowed else f"a version, as in {folder.name}/1/{GRAPH_NAME}"
        )
        there = ", ".join(version.name for version in versions) or "none"
        raise ModelError(f"{folder} holds no model: expected {wanted}; versions there: {there}")
    return ModelFolder(name, usable[-1].name, usable[-1], read_metadata(usable[-1]))


def _is_version(folder: Path) -> bool:
    return folder.name.isascii() and folder.name.isdecimal()


def _versions(folder: Path) -> list[Path]:
    """Return the numbered SavedModels in a folder, oldest first."""
    if not folder.is_dir():
        return []
    versions = (child for child in folder.iterdir() if _is_version(child) and (child / GRAPH_NAME).is_file())
    return sorted(versions, key=lambda child: int(child.name))


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
    read: dict[str, Any] = {}
    for name, (convert, expected) in _FIELDS.items():
        if name in values:
            try:
                read[name] = convert(values[name])
            except (TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{name} is {values[name]!r}, expected {expected}") from error
    return ModelMetadata(**read)


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = value
    if not (type(height) is type(width) is int and height > 0 and width > 0):
        raise ValueError
    return height, width


def _score(value: Any) -> float:
    if not 0 <= value <= 1:
        raise ValueError
    return float(value)


def _resize(value: Any) -> Resize:
    if value not in ("linear", "legacy"):
        raise ValueError
    return cast("Resize", value)


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise TypeError
    return value


_FIELDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "input_hw": (_size, "[height, width] in pixels or null"),
    "resize": (_resize, "linear or legacy"),
    "labels": (lambda value: {int(number): str(label) for number, label in value.items()}, '{"1": "person", ...}'),
    "person_classes": (lambda value: frozenset(map(int, value)), "a list of class numbers"),
    "default_score": (_score, "a number in 0..1"),
    "licence": (_text, "text or null"),
    "origin": (lambda value: {name: str(text) for name, text in value.items()}, '{"package": "...", ...}'),
    "sha256": (_text, "text or null"),
}
