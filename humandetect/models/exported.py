"""What exporters say of a model, in a file beside it or at its end: names of the classes, size, stride."""

from __future__ import annotations

import zipfile
from ast import literal_eval
from typing import TYPE_CHECKING, Any

from humandetect.errors import ModelError
from humandetect.models.labels import parse_lines, parse_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BESIDE_NAMES = ("metadata.yaml", "infer_cfg.yml")
"""What ultralytics and PaddleDetection write into the folder of an export."""


def read_exported(path: Path) -> dict[str, str]:
    """Return what is said by name, as text, `names` and `imgsz` among it; empty where nothing is. Raises ModelError."""
    folder = path if path.is_dir() else path.parent
    for beside in (folder / name for name in BESIDE_NAMES):
        if beside.is_file():
            return _read_yaml(beside)
    return _read_archive(path) if path.suffix == ".tflite" and zipfile.is_zipfile(path) else {}


def labels_of(said: Mapping[str, str]) -> dict[int, str]:
    """Read the names of the classes; empty where there are none."""
    names = said.get("names") or said.get("label_list", "")
    return parse_names(names) or dict(enumerate(said.get("labels", "").split()))


def size_of(said: Mapping[str, str]) -> tuple[int, int] | None:
    """Read the (height, width) that the model was exported for."""
    size = _literal(said.get("imgsz"))
    pair = size if isinstance(size, list | tuple) else [size, size]
    match pair:
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    return None


def stride_of(said: Mapping[str, str]) -> int | None:
    """Read the step of sizes that the model takes."""
    stride = _literal(said.get("stride"))
    return stride if isinstance(stride, int) and stride > 0 else None


def picture_of(said: Mapping[str, str]) -> dict[str, Any]:
    """Read how pictures are prepared, as fields of `WantedPicture`; empty where the dialect decides."""
    if "rtdetr" in said.get("description", "").casefold():  # trained on stretched pictures, in the shapes of YOLOs
        return {"keep_aspect": False}
    steps = _literal(said.get("Preprocess"))  # PaddleDetection's, which subtract ImageNet's mean or none
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return {}
    means = [mean for step in steps if isinstance(mean := step.get("mean"), list)]
    return {
        "keep_aspect": any(step.get("keep_ratio") for step in steps),
        "scaling": "imagenet" if any(map(any, means)) else "0..1",
    }


def _literal(text: str | None) -> object:
    try:
        value: object = literal_eval(text or "None")
    except (ValueError, SyntaxError):
        return None
    return value


def _read_yaml(path: Path) -> dict[str, str]:
    import yaml

    try:
        said = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(
            f"cannot read {str(path)!r}, which describes the model: {error}; delete it or mend it"
        ) from error
    return _as_text(said)


def _read_archive(path: Path) -> dict[str, str]:
    """Read the archive that follows a TFLite model: a labels file, or a dict as ultralytics writes it."""
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode("utf-8-sig", "replace") for name in archive.namelist()}
    for name, text in texts.items():
        if said := _as_text(_literal(text)):
            return said
        if name.endswith(".txt"):
            return {"names": str(parse_lines(text.splitlines()))}
    return {}


def _as_text(said: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {}
