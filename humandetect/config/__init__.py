"""Every option and every default, once: the command line, variables and humandetect.toml are made from these.

Scripts build them directly.
"""

from humandetect.config.analyze import AnalyzeConfig
from humandetect.config.archive import ArchiveConfig
from humandetect.config.bench import BenchConfig, BenchTarget
from humandetect.config.counting import CountingConfig
from humandetect.config.detect import MAX_MEGAPIXELS, SAMPLE, Anonymize, DetectConfig, Preset, RunConfig, SourceConfig
from humandetect.config.doctor import DoctorConfig
from humandetect.config.engine import DEFAULT_MODEL, Device, EngineConfig, EngineName, Precision, ServingConfig
from humandetect.config.evaluate import EvalConfig
from humandetect.config.feed import Endpoint, FeedConfig
from humandetect.config.model_server import ModelServerConfig
from humandetect.config.models import ModelsBenchConfig, ModelsCheckConfig, ModelsListConfig, WarmupConfig
from humandetect.config.scene import SceneCheckConfig, SceneConfig
from humandetect.config.serve import LogFormat, ServeConfig
from humandetect.config.talk import QuietConfig, ReportConfig, SummaryConfig, TalkConfig
from humandetect.config.watch import CameraConfig, WatchConfig

__all__ = [
    "DEFAULT_MODEL",
    "MAX_MEGAPIXELS",
    "SAMPLE",
    "AnalyzeConfig",
    "Anonymize",
    "ArchiveConfig",
    "BenchConfig",
    "BenchTarget",
    "CameraConfig",
    "CountingConfig",
    "DetectConfig",
    "Device",
    "DoctorConfig",
    "Endpoint",
    "EngineConfig",
    "EngineName",
    "EvalConfig",
    "FeedConfig",
    "LogFormat",
    "ModelServerConfig",
    "ModelsBenchConfig",
    "ModelsCheckConfig",
    "ModelsListConfig",
    "Precision",
    "Preset",
    "QuietConfig",
    "ReportConfig",
    "RunConfig",
    "SceneCheckConfig",
    "SceneConfig",
    "ServeConfig",
    "ServingConfig",
    "SourceConfig",
    "SummaryConfig",
    "TalkConfig",
    "WarmupConfig",
    "WatchConfig",
]
