"""The configs of each command: its own, and what it says while it works."""

import shlex
from functools import reduce
from typing import Any

from humandetect.addresses import without_secrets
from humandetect.config.analyze import AnalyzeConfig
from humandetect.config.archive import ArchiveConfig
from humandetect.config.bench import BenchConfig
from humandetect.config.detect import DetectConfig
from humandetect.config.doctor import DoctorConfig
from humandetect.config.evaluate import EvalConfig
from humandetect.config.feed import FeedConfig
from humandetect.config.fields import by_panels, fields_of
from humandetect.config.model_server import ModelServerConfig
from humandetect.config.models import ModelsBenchConfig, ModelsCheckConfig, ModelsListConfig, WarmupConfig
from humandetect.config.option import Field
from humandetect.config.scene import SceneCheckConfig, SceneConfig
from humandetect.config.serve import ServeConfig
from humandetect.config.talk import QuietConfig, ReportConfig, SummaryConfig, TalkConfig
from humandetect.config.watch import WatchConfig

COMMANDS: dict[str, tuple[type, type[TalkConfig]]] = {
    "detect": (DetectConfig, SummaryConfig),
    "feed": (FeedConfig, SummaryConfig),
    "archive": (ArchiveConfig, QuietConfig),
    "watch": (WatchConfig, QuietConfig),
    "analyze": (AnalyzeConfig, SummaryConfig),
    "serve": (ServeConfig, QuietConfig),
    "bench": (BenchConfig, ReportConfig),
    "eval": (EvalConfig, TalkConfig),
    "model-server": (ModelServerConfig, TalkConfig),
    "models list": (ModelsListConfig, TalkConfig),
    "models bench": (ModelsBenchConfig, QuietConfig),
    "models check": (ModelsCheckConfig, TalkConfig),
    "models export-warmup": (WarmupConfig, QuietConfig),
    "scene": (SceneConfig, TalkConfig),
    "scene check": (SceneCheckConfig, TalkConfig),
    "doctor": (DoctorConfig, TalkConfig),
}


def command_of(config: type) -> str:
    """Return the name of the command that has this config."""
    return next(name for name, configs in COMMANDS.items() if config in configs)


def _said(value: object) -> str:
    """Return a value as people write it: `5`, and not `5.0`."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def command_line(config: Any, *arguments: str) -> str:
    """Return the command that a config stands for, with other arguments than its own, and without secrets."""
    words = ["humandetect", command_of(type(config)), *arguments]
    for field in fields_of(type(config)):  # type: ignore[arg-type]  # mypy: a type is not hashable
        value = reduce(getattr, field.path, config)
        if field.opt.argument or field.opt.secret or value == field.default:
            continue
        for one in value if field.many else (value,):
            words += [field.names[0]] if field.kind is bool else [field.names[0], without_secrets(_said(one))]
    return shlex.join(words)


def fields_of_command(command: str) -> tuple[Field, ...]:
    """Return all that a command can be told, by panels."""
    return by_panels(field for config in COMMANDS[command] for field in fields_of(config))
