"""Lines and zones of cameras: read for each, and written as somebody has drawn them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from humandetect.analytics.scene import Scene, read_scene
from humandetect.errors import UsageError
from humandetect.media.sinks.atomic_files import PendingFile

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.config import CountingConfig
    from humandetect.config.watch import CameraConfig


class Scenes:
    """Those of each camera's own file, and those that all cameras have."""

    def __init__(self, counting: CountingConfig) -> None:
        self._counting = counting

    def read(self, camera: CameraConfig) -> Scene:
        """Return what is counted at. Raises UsageError."""
        return read_scene(camera.scene, lines=self._counting.line, zones=self._counting.zone)

    def write(self, path: Path, toml: str, *, of: CameraConfig, size: tuple[int, int] | None) -> Scene:
        """Check what was drawn, on pictures of that size if it is known, and write it. Raises UsageError, SinkError."""
        pending = PendingFile(path)
        try:
            pending.path.write_text(toml, encoding="utf-8")
            scene = self.read(replace(of, scene=pending.path))
            if size:
                scene.for_picture(*size, source=of.name)
            pending.finish(complete=True)
        except UsageError as error:
            raise UsageError(str(error).replace(str(pending.path), path.name)) from error
        finally:
            pending.discard()
        return scene
