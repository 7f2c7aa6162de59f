"""What is known of a model on disk before an engine loads it: its humandetect.json and its checksum."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from humandetect.config.engine import MAX_SIDE, SIZES
from humandetect.errors import ModelError
from humandetect.models.sizes import Preset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

GRAPH_NAME = "saved_model.pb"
METADATA_NAME = "assets.extra/humandetect.json"

OTHER_SIZES = set(SIZES) - {"default"}

OPENVINO_SUFFIXES = (".onnx", ".xml", ".tflite")
"""Of models of one file that only OpenVINO reads."""

Resize = Literal["linear", "legacy"]
Layout = Literal["nchw", "nhwc"]
Channels = Literal["rgb", "bgr"]
Scaling = Literal["0..1", "-1..1", "0..255", "imagenet"]
"""What becomes of bytes; imagenet: 0..1, less the mean and over the deviation of ImageNet's pictures."""


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
    accuracy: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """AP50 by size, then by the clip it was measured on."""
    licence: str | None = None
    scope: str | None = None
    """What its makers say it is for, and what not."""
    origin: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None
    """Of saved_model.pb, or of the file that the model is."""
    dialect: str | None = None
    """How the outputs are written, by name; None, as below: the graph's shapes tell."""
    layout: Layout | None = None
    channels: Channels | None = None
    scaling: Scaling | None = None
    person_class: str | None = None
    """Name or number that the user gave, which overrules `person_classes`."""
    said: frozenset[str] = field(default=frozenset(), compare=False)
    """The fields that humandetect.json has: they overrule what the graph seems to be."""

    @property
    def presets(self) -> dict[str, Preset]:
        """All sizes by name, the smallest first."""
        presets = {"default": self.preset, **self.sizes}
        return dict(sorted(presets.items(), key=lambda item: item[1].input_hw or (0, 0)))


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One version of a model on disk."""

    name: str
    version: str
    """Empty where the model lies outside a numbered folder."""
    path: Path
    """A SavedModel folder, or a frozen graph's .pb file."""
    metadata: ModelMetadata


def takes(engine: str, model: ModelFolder) -> bool:
    """Say whether an engine reads such a file: OpenVINO all, others what TensorFlow wrote."""
    return engine == "openvino" or model.path.suffix not in OPENVINO_SUFFIXES


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
    if expected is None:
        return
    graph = folder.path if folder.path.is_file() else folder.path / GRAPH_NAME
    found = checksum(graph)
    if found != expected:
        raise ModelError(
            f"{graph} is damaged: its sha256 is {found[:12]}…, humandetect.json expects {expected[:12]}…; "
            "restore the file, reinstall humandetect, or rebuild the model with its script in tools/"
        )


def read_metadata(model: Path) -> ModelMetadata:
    """Read the humandetect.json in a SavedModel or beside a file, else return the defaults; raises ModelError."""
    beside = (model.with_suffix(".json"), model.parent / "humandetect.json")
    candidates = (model / METADATA_NAME,) if model.is_dir() else beside
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        return ModelMetadata()
    try:
        values = json.loads(path.read_bytes())  # in any Unicode, also as Windows' tools write it
        metadata = _metadata(values)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is malformed: {error}; correct it, or delete it to use the defaults") from error
    _tell_of_unknown(path, _unknown(values))
    return metadata


def _unknown(values: dict[str, Any]) -> frozenset[str]:
    """Name the fields that there are not, of the model and of its other sizes."""
    of_model = values.keys() - _PRESET_FIELDS.keys() - _FIELDS.keys() - {"sizes"}
    sizes = values.get("sizes", {})
    of_sizes = {f"sizes.{size}.{name}" for size, one in sizes.items() for name in one.keys() - _PRESET_FIELDS.keys()}
    return frozenset(of_model | of_sizes | {f"sizes.{size}" for size in sizes.keys() - OTHER_SIZES})


@cache
def _tell_of_unknown(path: Path, names: frozenset[str]) -> None:
    """Say once of fields that they do nothing: they are misspelt, or of a newer version."""
    near = {}
    for name in sorted(names):
        fields = ({**_PRESET_FIELDS, **_FIELDS}, OTHER_SIZES, _PRESET_FIELDS)[name.count(".")]
        near[name] = get_close_matches(name.rpartition(".")[2], fields, n=1)
    listed = ", ".join(f"{name} (did you mean {found[0]}?)" if found else name for name, found in near.items())
    if listed:
        logger.error("%s has fields that there are not, which do nothing: %s", path, listed)


def _metadata(values: object) -> ModelMetadata:
    """Translate JSON; what is absent keeps its default."""
    if not isinstance(values, dict):
        raise ValueError("expected an object {...}")  # noqa: TRY004  # wrong content of a file, not a wrong call
    preset = Preset(**_read(values, _PRESET_FIELDS))
    sizes = values.get("sizes", {})
    if not isinstance(sizes, dict) or not all(isinstance(one, dict) for one in sizes.values()):
        raise ValueError(f'sizes is {sizes!r}, expected {{"small": {{"input_hw": [...], ...}}, ...}}')
    others = {name: replace(preset, **{"step": None, **_read(one, _PRESET_FIELDS)}) for name, one in sizes.items()}
    metadata = ModelMetadata(preset, others, **_read(values, _FIELDS), said=frozenset(values))
    _check_multiples(metadata)
    return metadata


def _check_multiples(metadata: ModelMetadata) -> None:
    """Raise ValueError for a size that the graph, as the same file says, does not take."""
    for name, preset in metadata.presets.items():
        odd = [side for side in (*(preset.input_hw or ()), preset.step or 0) if side % metadata.multiple]
        if odd:
            raise ValueError(f"the size {name} has {odd[0]}, which is no multiple of {metadata.multiple}")


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
    if not (type(height) is type(width) is int and 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ValueError
    return height, width


def _pixels(value: Any) -> int:
    if type(value) is not int or value <= 0:
        raise ValueError
    return value


def _score(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError
    return float(value)


def _classes(value: Any) -> frozenset[int]:
    if not (isinstance(value, list) and value and all(type(one) is int and one >= 0 for one in value)):
        raise ValueError
    return frozenset(value)


def _labels(value: Any) -> dict[int, str]:
    labels = {int(number): label for number, label in value.items()}
    if not all(number >= 0 and isinstance(label, str) for number, label in labels.items()):
        raise ValueError
    return labels


def _accuracy(value: Any) -> dict[str, dict[str, float]]:
    accuracy = {size: {clip: float(ap50) for clip, ap50 in clips.items()} for size, clips in value.items()}
    if not all(0 <= ap50 <= 100 for clips in accuracy.values() for ap50 in clips.values()):
        raise ValueError
    return accuracy


def _one_of(choices: tuple[str, ...]) -> tuple[Callable[[Any], object], str]:
    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return convert, " or ".join(choices)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise TypeError
    return value


_PRESET_FIELDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "input_hw": (_size, f"[height, width] in pixels, up to {MAX_SIDE} each, or null"),
    "step": (_pixels, "a whole number of pixels"),
    "default_score": (_score, "a number in 0..1"),
    "track_start_score": (_score, "a number in 0..1"),
    "track_high_score": (_score, "a number in 0..1"),
    "second_look": (_flag, "true or false"),
}
_FIELDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "multiple": (_pixels, "a whole number of pixels"),
    "keep_aspect": (_flag, "true or false"),
    "resize": _one_of(get_args(Resize)),
    "dialect": (_text, "text or null"),
    "layout": _one_of(get_args(Layout)),
    "channels": _one_of(get_args(Channels)),
    "scaling": _one_of(get_args(Scaling)),
    "labels": (_labels, '{"1": "person", ...}'),
    "person_classes": (_classes, "a list of class numbers"),
    "accuracy": (_accuracy, '{"default": {"clip": 80.0, ...}, ...} in percent'),
    "licence": (_text, "text or null"),
    "scope": (_text, "text or null"),
    "origin": (lambda value: {name: str(text) for name, text in value.items()}, '{"package": "...", ...}'),
    "sha256": (_text, "text or null"),
}
