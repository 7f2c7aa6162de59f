"""Find people in images, videos and live cameras.

Importing this package loads nothing heavy: the public names below are fetched when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from humandetect.analytics.scene import Scene, read_scene
    from humandetect.config import CountingConfig, DetectConfig, EngineConfig, SourceConfig
    from humandetect.detection.detector import Detector, open_detector
    from humandetect.errors import HumanDetectError
    from humandetect.media.frames import DetectedFrame, Event, Frame
    from humandetect.pipeline.python_api import analyze, detect_frames, detect_video
    from humandetect.pipeline.run import run
    from humandetect.pipeline.summary import RunInterrupted, RunSummary

_WHERE = {
    "CountingConfig": "humandetect.config",
    "DetectConfig": "humandetect.config",
    "DetectedFrame": "humandetect.media.frames",
    "Detector": "humandetect.detection.detector",
    "EngineConfig": "humandetect.config",
    "Event": "humandetect.media.frames",
    "Frame": "humandetect.media.frames",
    "HumanDetectError": "humandetect.errors",
    "RunInterrupted": "humandetect.pipeline.summary",
    "RunSummary": "humandetect.pipeline.summary",
    "Scene": "humandetect.analytics.scene",
    "SourceConfig": "humandetect.config",
    "analyze": "humandetect.pipeline.python_api",
    "detect_frames": "humandetect.pipeline.python_api",
    "detect_video": "humandetect.pipeline.python_api",
    "open_detector": "humandetect.detection.detector",
    "read_scene": "humandetect.analytics.scene",
    "run": "humandetect.pipeline.run",
}

__all__ = [
    "CountingConfig",
    "DetectConfig",
    "DetectedFrame",
    "Detector",
    "EngineConfig",
    "Event",
    "Frame",
    "HumanDetectError",
    "RunInterrupted",
    "RunSummary",
    "Scene",
    "SourceConfig",
    "__version__",
    "analyze",
    "detect_frames",
    "detect_video",
    "open_detector",
    "read_scene",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'humandetect' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
