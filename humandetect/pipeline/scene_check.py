"""Shows a scene on a frame of the source that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.analytics.scene import read_scene
from humandetect.errors import UsageError
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.frames import DetectedFrame, Shape
from humandetect.media.image_headers import WRITABLE_ENDINGS
from humandetect.media.sinks.pictures import as_shown, write_image
from humandetect.media.sources import still_of

if TYPE_CHECKING:
    from humandetect.config import SceneCheckConfig


def check_scene(config: SceneCheckConfig) -> tuple[str, ...]:
    """Write a picture with the scene's lines and zones, and return warnings.

    Raises UsageError for a scene that makes no sense, or not on this picture.
    """
    import supervision as sv

    if config.output.suffix.lower() not in WRITABLE_ENDINGS:
        raise UsageError(f"the picture is one of {', '.join(WRITABLE_ENDINGS)} by its ending, got {config.output}")
    scene = read_scene(config.scene)
    frame = still_of(config.ref, config.source)
    height, width = frame.image.shape[:2]
    fitted = scene.for_picture(width, height, source=frame.source)
    zones = [Shape(zone.points, zone.name) for zone in fitted.zones]
    lines = [Shape(line.points, line.name) for line in fitted.lines]
    Annotator(count=False).draw(DetectedFrame(frame, sv.Detections.empty(), shapes=(*zones, *lines)))
    write_image(config.output, as_shown(frame.image, frame.pixel_aspect))
    return fitted.warnings
