"""Which models there are and where they lie.

Names are looked up in TensorFlow Serving's `models.config` and in the models folder; paths are taken as they are.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from humandetect.errors import ModelError, ModelNotFound
from humandetect.models.config_file import ModelEntry, is_model_name, read_models_config
from humandetect.models.metadata import GRAPH_NAME, OPENVINO_SUFFIXES, ModelFolder, read_metadata

logger = logging.getLogger(__name__)

MODELS_DIR_VARIABLE = "HUMANDETECT_MODELS_DIR"
CONFIG_NAME = "models.config"


def find_model(model: str, models_dir: Path | None = None) -> ModelFolder:
    """Resolve a name or a path; raises ModelNotFound, ModelError."""
    try:
        path = Path(model).expanduser()
        if is_model_name(model):
            found = _find_by_name(model, models_dir)
            if found:
                return found
        if path.exists():
            return _at_path(path)
        if path.is_symlink():
            raise ModelNotFound(f"no model {model!r}: it is a link to {path.readlink()}, which is not there")
    except (OSError, ValueError, RuntimeError) as error:  # of ~SOMEBODY who has no home
        raise ModelNotFound(f"no model {model!r}: {error}") from error
    _refuse_missing_version(Path(model), models_dir)
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
            logger.error("model %s is left out: %s", name, error)  # noqa: TRY400  the message says it all
    return models


def bundled(relative: str) -> Path:
    """Return a file that travels with humandetect: inside the installed package, else in the repository."""
    package = Path(__file__).parents[1]
    packaged = package / "_bundled" / relative
    return packaged if packaged.exists() else package.parent / relative


def _search_path(models_dir: Path | None) -> list[Path]:
    """Return the models folders, best first; a folder the user chose is the only one."""
    chosen = models_dir or os.environ.get(MODELS_DIR_VARIABLE)
    if chosen:
        folder = Path(chosen)
        with suppress(RuntimeError):  # ~SOMEBODY who has no home
            folder = folder.expanduser()
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
    """Take a version folder, a folder of versions, a SavedModel, its saved_model.pb or a model of one file."""
    path = path.resolve()
    if path.is_dir():
        return _in_folder(path, name=path.name)
    if path.name == GRAPH_NAME:
        return _in_folder(path.parent, name=path.parent.name)
    if path.suffix not in (".pb", *OPENVINO_SUFFIXES):
        raise ModelError(
            f"{path} is not a model: expected a SavedModel folder or a frozen graph named *.pb; "
            "the openvino engine also takes *.onnx, *.xml and *.tflite"
        )
    return ModelFolder(path.stem, "", path, read_metadata(path))


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
        broken = sorted(
            (child.name for child in folder.iterdir() if _is_version(child) and child not in versions), key=int
        )
        there += f" ({GRAPH_NAME} is missing, or no file, in {', '.join(broken)})" if broken else ""
        files = sorted(str(child) for child in folder.iterdir() if child.suffix in (".pb", *OPENVINO_SUFFIXES))
        hint = f"; or give a file of it: {', '.join(files)}" if files else ""
        raise ModelError(f"{folder} holds no model: expected {wanted}; versions there: {there}{hint}")
    return ModelFolder(name, usable[-1].name, usable[-1], read_metadata(usable[-1]))


def _refuse_missing_version(asked: Path, models_dir: Path | None) -> None:
    """Raise ModelNotFound naming the versions there are, if a path asks for another one of a known model."""
    name = asked.parent.name
    if not _is_version(asked) or not is_model_name(name):
        return
    places = [asked.parent, *(folder / name for folder in _search_path(models_dir))]
    there = [version.name for version in next(filter(None, map(_versions, places)), [])]
    if there:
        raise ModelNotFound(
            f"{name} version {asked.name} is not there; there {'is version' if len(there) == 1 else 'are versions'} "
            f"{', '.join(there)}: use --model {name} for version {there[-1]}"
        )


def _is_version(folder: Path) -> bool:
    return folder.name.isascii() and folder.name.isdecimal()


def _versions(folder: Path) -> list[Path]:
    """Return the numbered SavedModels in a folder, oldest first."""
    if not folder.is_dir():
        return []
    versions = (child for child in folder.iterdir() if _is_version(child) and (child / GRAPH_NAME).is_file())
    return sorted(versions, key=lambda child: int(child.name))
