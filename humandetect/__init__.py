"""Find people in images, videos and live cameras.

Importing this package loads nothing heavy: the public names below are fetched when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from humandetect.config import DetectConfig, EngineConfig, SourceConfig
    from humandetect.detection.detector import Detector, open_detector
    from humandetect.errors import HumanDetectError
    from humandetect.media.frames import DetectedFrame, Frame
    from humandetect.pipeline.python_api import detect_frames, detect_video
    from humandetect.pipeline.run import run
    from humandetect.pipeline.summary import RunInterrupted, RunSummary

_WHERE = {
    "DetectConfig": "humandetect.config",
    "DetectedFrame": "humandetect.media.frames",
    "Detector": "humandetect.detection.detector",
    "EngineConfig": "humandetect.config",
    "Frame": "humandetect.media.frames",
    "HumanDetectError": "humandetect.errors",
    "RunInterrupted": "humandetect.pipeline.summary",
    "RunSummary": "humandetect.pipeline.summary",
    "SourceConfig": "humandetect.config",
    "detect_frames": "humandetect.pipeline.python_api",
    "detect_video": "humandetect.pipeline.python_api",
    "open_detector": "humandetect.detection.detector",
    "run": "humandetect.pipeline.run",
}

__all__ = [
    "DetectConfig",
    "DetectedFrame",
    "Detector",
    "EngineConfig",
    "Frame",
    "HumanDetectError",
    "RunInterrupted",
    "RunSummary",
    "SourceConfig",
    "__version__",
    "detect_frames",
    "detect_video",
    "open_detector",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'humandetect' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
