"""TensorFlow Serving's models.config: which models are registered, under which names, where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.errors import HumanDetectError, ModelError

if TYPE_CHECKING:
    from humandetect.protos.config_pb2 import ModelServerConfig

_CONFIG_BLOCK = re.compile(r"""#.*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?P<config>\bconfig)\s*:?\s*[{<]""")
"""Where a model's block begins; comments and strings are passed over."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that models.config registers."""

    name: str
    base_path: Path
    versions: tuple[int, ...] = ()
    """The only ones to serve; empty: any."""


def read_models_config(path: Path) -> list[ModelEntry]:
    """Read TensorFlow Serving's models.config; raises ModelError with line and reason.

    A relative base_path counts from the config's own folder.
    """
    config, lines = parse_models_config(path, failure=ModelError)
    entries: dict[str, ModelEntry] = {}
    for model, line in zip(config.model_config_list.config, lines, strict=True):
        where = f"{path}, line {line}"
        if not model.name or not model.base_path:
            raise ModelError(f"{where}: a config needs {'a base_path' if model.name else 'a name'}")
        if not is_model_name(model.name):
            raise ModelError(f"{where}: {model.name!r} is no model name: it may not be a path")
        if model.name in entries:
            raise ModelError(f"{where}: a second model named {model.name!r}")
        versions = tuple(model.model_version_policy.specific.versions)
        entries[model.name] = ModelEntry(model.name, path.parent / model.base_path, versions)
    return list(entries.values())


def parse_models_config(path: Path, *, failure: type[HumanDetectError]) -> tuple[ModelServerConfig, list[int]]:
    """Read a models.config, and the line in which the block of each model begins; raises `failure`."""
    from humandetect.protos.config_pb2 import ModelServerConfig
    from humandetect.protos.text_files import read_text_file

    config = ModelServerConfig()
    text = read_text_file(path, config, failure=failure)
    lines = [text.count("\n", 0, found.start()) + 1 for found in _CONFIG_BLOCK.finditer(text) if found["config"]]
    lines += [1] * len(config.model_config_list.config)  # `config: [{...}, {...}]` is one block to the pattern
    return config, lines[: len(config.model_config_list.config)]


def is_model_name(text: str) -> bool:
    """Tell names from paths: a name never leaves the models folder."""
    return text == Path(text).name and text != ".."
