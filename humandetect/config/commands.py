"""The configs of each command: its own, and what it says while it works."""

from humandetect.config.bench import BenchConfig
from humandetect.config.detect import DetectConfig
from humandetect.config.doctor import DoctorConfig
from humandetect.config.evaluate import EvalConfig
from humandetect.config.feed import FeedConfig
from humandetect.config.fields import Field, by_panels, fields_of
from humandetect.config.model_server import ModelServerConfig
from humandetect.config.models import ModelsBenchConfig, ModelsCheckConfig, ModelsListConfig, WarmupConfig
from humandetect.config.scene import SceneCheckConfig, SceneConfig
from humandetect.config.serve import ServeConfig
from humandetect.config.talk import QuietConfig, ReportConfig, SummaryConfig, TalkConfig

COMMANDS: dict[str, tuple[type, type[TalkConfig]]] = {
    "detect": (DetectConfig, SummaryConfig),
    "feed": (FeedConfig, SummaryConfig),
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


def fields_of_command(command: str) -> tuple[Field, ...]:
    """Return all that a command can be told, by panels."""
    return by_panels(field for config in COMMANDS[command] for field in fields_of(config))
