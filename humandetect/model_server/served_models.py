"""models.config, read and checked as TensorFlow Serving does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from humandetect.errors import HumanDetectError, ServerError
from humandetect.model_server.status import failed_precondition, invalid
from humandetect.models.config_file import parse_models_config
from humandetect.models.find import find_model
from humandetect.protos.config_pb2 import TENSORFLOW

if TYPE_CHECKING:
    from humandetect.protos.config_pb2 import ModelConfig, ModelServerConfig

PLATFORM = "tensorflow"

Policy = Literal["latest", "all", "specific"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What is served of one model."""

    name: str
    base_path: Path
    policy: Policy = "latest"
    latest: int = 1
    """How many, under the policy of that name."""
    specific: frozenset[int] = frozenset()
    labels: dict[str, int] = field(default_factory=dict)


def read_settings(path: Path, models_dir: Path | None) -> list[ModelSettings]:
    """Read a models.config; raises ServerError with line and reason."""
    config, lines = parse_models_config(path, failure=ServerError)
    if not config.model_config_list.config:
        raise ServerError(f"{path}, line 1: no model is listed; expected model_config_list {{ config {{ ... }} }}")
    settings: list[ModelSettings] = []
    for entry, line in zip(config.model_config_list.config, lines, strict=True):
        try:
            entry.base_path = str(_base_path(entry, path, models_dir))
            settings.append(_settings(entry, {known.name for known in settings}))
        except HumanDetectError as error:
            raise ServerError(f"{path}, line {line}: {error}") from error
    return settings


def settings_of(config: ModelServerConfig) -> list[ModelSettings]:
    """Check a ModelServerConfig that came over the network; raises ServingError."""
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    settings: list[ModelSettings] = []
    for entry in config.model_config_list.config:
        settings.append(_settings(entry, {known.name for known in settings}))
    return settings


def check_labels(settings: ModelSettings, available: set[int]) -> None:
    """Raise ServingError if a label stands for a version that does not answer."""
    for version in settings.labels.values():
        if version not in available:
            raise failed_precondition(
                f"Request to assign label to version {version} of model {settings.name}, "
                "which is not currently available for inference"
            )


def _settings(entry: ModelConfig, known: set[str]) -> ModelSettings:
    if not entry.name:
        raise invalid("a model's config needs a name")
    if entry.name in known:
        raise invalid(f"Illegal to list model {entry.name} multiple times in config list")
    if not Path(entry.base_path).is_absolute():
        raise invalid(f"Expected model {entry.name} to have an absolute path or URI; got base_path()={entry.base_path}")
    if not entry.model_platform and entry.model_type != TENSORFLOW:
        raise invalid("Illegal setting neither ModelServerConfig::model_type nor ModelServerConfig::model_platform.")
    if entry.model_platform not in ("", PLATFORM):
        raise invalid(f"Model {entry.name} requests unsupported platform {entry.model_platform}")
    chosen: Policy = entry.model_version_policy.WhichOneof("policy_choice") or "latest"
    policy = entry.model_version_policy
    return ModelSettings(
        name=entry.name,
        base_path=Path(entry.base_path),
        policy=chosen,
        latest=policy.latest.num_versions or 1,
        specific=frozenset(policy.specific.versions),
        labels=dict(entry.version_labels),
    )


def _base_path(entry: ModelConfig, config: Path, models_dir: Path | None) -> Path:
    """Take the config's path, relative to the config, or else the model of that name in the models folder."""
    if not entry.base_path:
        raise invalid(f"model {entry.name!r} needs a base_path")
    base_path: Path = (config.parent / entry.base_path).absolute()
    if base_path.is_dir():
        return base_path
    try:
        found = find_model(entry.name, models_dir)
    except HumanDetectError as error:
        raise invalid(f"the base_path {base_path} of model {entry.name!r} does not exist, and {error}") from error
    if not found.version:
        raise invalid(f"the base_path {base_path} of model {entry.name!r} does not exist")
    return found.path.absolute().parent
