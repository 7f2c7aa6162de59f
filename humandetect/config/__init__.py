"""Every option and every default, once. The command line translates into these; scripts build them directly."""

from humandetect.config.bench import BenchConfig, BenchTarget
from humandetect.config.checks import MAX_MEGAPIXELS
from humandetect.config.engine import DEFAULT_MODEL, Device, EngineConfig, EngineName, Precision, ServingConfig
from humandetect.config.run import SAMPLE, DetectConfig, Endpoint, FeedConfig, Preset, RunConfig, SourceConfig
from humandetect.config.server import LogFormat, ModelServerConfig, ServeConfig

__all__ = [
    "DEFAULT_MODEL",
    "MAX_MEGAPIXELS",
    "SAMPLE",
    "BenchConfig",
    "BenchTarget",
    "DetectConfig",
    "Device",
    "Endpoint",
    "EngineConfig",
    "EngineName",
    "FeedConfig",
    "LogFormat",
    "ModelServerConfig",
    "Precision",
    "Preset",
    "RunConfig",
    "ServeConfig",
    "ServingConfig",
    "SourceConfig",
]
