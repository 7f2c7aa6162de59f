"""Who can run the model: a table of names, and the choice among them. Nothing is imported until it is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from humandetect.errors import MissingExtra, UsageError
from humandetect.models.find import find_model
from humandetect.models.metadata import OPENVINO_SUFFIXES, verify

if TYPE_CHECKING:
    from humandetect.config import EngineConfig, EngineName, ServingConfig
    from humandetect.engines.base import Engine


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One row of the table."""

    where: str
    """`module:Class`, imported when the engine is chosen."""
    package: str
    """The top-level package that the module needs."""
    extra: str | None = None
    """The extra that installs it; None: the base install has it."""
    distribution: str | None = None
    """What pip calls the package, where that differs."""
    remote: bool = False
    """The model lies with a server, not here; without one that is named, the engine starts a model server."""


ENGINES = {
    "openvino": EngineEntry(where="humandetect.engines.openvino:OpenVinoEngine", package="openvino"),
    "tensorflow": EngineEntry(
        where="humandetect.engines.tensorflow:TensorFlowEngine", package="tensorflow", extra="tensorflow"
    ),
    "tf-serving": EngineEntry(
        where="humandetect.engines.tfserving.engine:TFServingEngine", package="grpc", distribution="grpcio", remote=True
    ),
}
"""By name. A new engine is a row here and its name in `config.EngineName`."""


def load_engine(config: EngineConfig) -> Engine:
    """Find the model and start the chosen engine on it.

    Raises UsageError for an unknown model, MissingExtra where the engine's package is not installed,
    DeviceError, ModelError for a model that is damaged or that the engine cannot take, and EngineUnavailable where no
    server answers.
    """
    name = _auto(config) if config.engine == "auto" else config.engine
    entry = ENGINES[name]
    module, _, attribute = entry.where.partition(":")
    if name != "openvino" and config.model.endswith(OPENVINO_SUFFIXES):
        suffix = Path(config.model).suffix
        raise UsageError(f"the {name} engine takes no {suffix}: use --engine openvino for {config.model}")
    if not entry.remote:
        model = find_model(config.model, config.models_dir)
        verify(model)
        model = replace(model, metadata=replace(model.metadata, person_class=config.person_class))
    engine: Engine
    try:
        engine_class = getattr(import_module(module), attribute)
        if entry.remote:
            engine = engine_class(config)
        else:
            engine = engine_class(model, device=config.device, precision=config.precision, size=config.size)
    except ModuleNotFoundError as error:
        if error.name != entry.package:  # a fault inside the package or our module is not a missing extra
            raise
        wanted = f"humandetect[{entry.extra}]" if entry.extra else entry.distribution or entry.package
        raise MissingExtra(f"the {name} engine needs more: pip install '{wanted}'") from error
    return engine


def usable_engines(serving: ServingConfig) -> list[EngineName]:
    """Name the engines that are installed; a remote one also needs a server that is named, or one of its own."""
    has_server = bool(serving.targets) or has_model_server()
    return [
        cast("EngineName", name)
        for name, entry in ENGINES.items()
        if is_installed(entry.package) and (has_server or not entry.remote)
    ]


def starts_model_server(config: EngineConfig) -> bool:
    """Say whether the engine of a config starts a model server for itself."""
    return config.engine in ENGINES and ENGINES[config.engine].remote and not config.serving.targets


def asks_servers(config: EngineConfig) -> bool:
    """Say whether the engine of a config asks servers that others run: they may be away, and come back."""
    return config.engine in ("auto", "tf-serving") and bool(config.serving.targets)


def has_model_server() -> bool:
    """Say whether a model server of our own can be started."""
    return is_installed("tensorflow")


def has_nvidia_device() -> bool:
    """Say whether the system shows an NVIDIA GPU; costs microseconds, where TensorFlow needs seconds to tell."""
    devices = Path("/dev")
    return any(devices.glob("nvidia[0-9]*")) or ((devices / "dxg").exists() and Path("/usr/lib/wsl/lib").exists())


def _auto(config: EngineConfig) -> str:
    """Choose servers that are named, else TensorFlow where it can use a GPU, else OpenVINO, which also has bf16."""
    if config.serving.targets:
        return "tf-serving"
    worth_asking = config.device != "cpu" and config.precision != "bf16" and has_nvidia_device()
    if worth_asking and not config.model.endswith(OPENVINO_SUFFIXES) and is_installed("tensorflow"):
        from humandetect.engines.tensorflow import visible_gpus

        if visible_gpus():
            return "tensorflow"
    return "openvino"


def is_installed(package: str) -> bool:
    """Say whether a package can be imported; finding it costs nothing."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # something blocks the package on purpose
        return False
