"""One model for all cameras, which sees each as large as the camera wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.errors import UsageError

if TYPE_CHECKING:
    from humandetect.config.watch import CameraConfig
    from humandetect.detection.detector import Detector


class SizedDetectors:
    """Makes a detector for each size that cameras want, all over one engine."""

    def __init__(self, detector: Detector) -> None:
        """`detector` is that of cameras without a size of their own."""
        self._by_size: dict[str | None, Detector] = {None: detector}

    def of(self, camera: CameraConfig) -> Detector:
        """Return a camera's. Raises UsageError where the model takes no such size."""
        if camera.size is not None and camera.size not in self._by_size:
            try:
                self._by_size[camera.size] = self._by_size[None].at_size(camera.size)
            except UsageError as error:
                raise UsageError(f"camera {camera.name!r}: {error}") from error
        return self._by_size[camera.size]
