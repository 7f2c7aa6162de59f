"""TensorFlow Serving's models.config: which models are registered, under which names, where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from humandetect.errors import ModelError
from humandetect.textproto import Block, Scalar, TextprotoError, parse_textproto

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG_FIELDS = {
    "name",
    "base_path",
    "model_type",
    "model_platform",
    "model_version_policy",
    "version_labels",
    "logging_config",
}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that models.config registers."""

    name: str
    base_path: Path
    platform: str = "tensorflow"
    versions: tuple[int, ...] = ()
    """The only ones to serve; empty: any."""
    labels: dict[str, int] = field(default_factory=dict)
    """Versions by name, such as stable and canary."""


def read_models_config(path: Path) -> list[ModelEntry]:
    """Read TensorFlow Serving's models.config; raises ModelError with line and reason.

    A relative base_path counts from the config's own folder.
    """
    try:
        block = parse_textproto(path.read_text(encoding="utf-8"))
        return list(_read_entries(block, path.parent))
    except TextprotoError as error:
        raise ModelError(f"{path}, line {error.line}: {error.reason}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def is_model_name(text: str) -> bool:
    """Tell names from paths: a name never leaves the models folder."""
    return text == Path(text).name and text != ".."


def _read_entries(block: Block, folder: Path) -> Iterator[ModelEntry]:
    _require_known(block, {"model_config_list"})
    names: set[str] = set()
    for model_list in _blocks(block, "model_config_list"):
        _require_known(model_list, {"config"})
        for config in _blocks(model_list, "config"):
            entry = _read_entry(config, folder)
            if entry.name in names:
                raise TextprotoError(config.line, f"a second model named {entry.name!r}")
            names.add(entry.name)
            yield entry


def _read_entry(config: Block, folder: Path) -> ModelEntry:
    _require_known(config, _CONFIG_FIELDS)
    name, base_path = _text(config, "name"), _text(config, "base_path")
    if not name or not base_path:
        raise TextprotoError(config.line, f"a config needs {'a base_path' if name else 'a name'}")
    if not is_model_name(name):
        raise TextprotoError(config.line, f"{name!r} is no model name: it may not be a path")
    labels = dict(_read_label(label) for label in _blocks(config, "version_labels"))
    policies = _blocks(config, "model_version_policy")
    for policy in policies:
        _require_known(policy, {"latest", "all", "specific"})
    specific = [chosen for policy in policies for chosen in _blocks(policy, "specific")]
    versions = tuple(number for chosen in specific for number in _numbers(chosen, "versions"))
    return ModelEntry(name, folder / base_path, _text(config, "model_platform") or "tensorflow", versions, labels)


def _read_label(label: Block) -> tuple[str, int]:
    name, versions = _text(label, "key"), _numbers(label, "value")
    if not name or not versions:
        raise TextprotoError(label.line, "a version label needs a key and a value")
    return name, versions[-1]


def _require_known(block: Block, known: set[str]) -> None:
    for name, values in block.fields.items():
        if name not in known:
            raise TextprotoError(
                values[0].line if values else block.line, f"unknown field {name}, expected {' or '.join(sorted(known))}"
            )


def _blocks(block: Block, name: str) -> list[Block]:
    values = block.fields.get(name, [])
    for value in values:
        if isinstance(value, Scalar):
            raise TextprotoError(value.line, f"{name} needs a block {{ ... }}, found {value.text!r}")
    return cast("list[Block]", values)


def _scalars(block: Block, name: str) -> list[Scalar]:
    values = block.fields.get(name, [])
    for value in values:
        if isinstance(value, Block):
            raise TextprotoError(value.line, f"{name} needs a plain value, found a block")
    return cast("list[Scalar]", values)


def _text(block: Block, name: str) -> str:
    """Return a string field's value, "" where it is absent."""
    values = _scalars(block, name)
    if values and not values[-1].quoted:
        raise TextprotoError(values[-1].line, f"{name} needs a quoted string, found {values[-1].text}")
    return values[-1].text if values else ""


def _numbers(block: Block, name: str) -> list[int]:
    for value in _scalars(block, name):
        if value.quoted or not value.text.isdecimal():
            raise TextprotoError(value.line, f"{name} needs a whole number, found {value.text!r}")
    return [int(value.text) for value in _scalars(block, name)]
