"""The people, each cut out as a picture."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING

from humandetect.errors import SinkError
from humandetect.media.sinks.atomic_files import make_folder
from humandetect.media.sinks.base import Sink
from humandetect.media.sinks.names import stem_of
from humandetect.media.sinks.pictures import as_shown, write_image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame, Frame


class EventCropsSink(Sink):
    """A folder of pictures of whom events are about; they come by `save`, not with the frames."""

    picture = "clean"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._failed = False
        self._failure: SinkError | None = None
        make_folder(folder)

    def save(self, event_id: str, image: NDArray[np.uint8]) -> str | None:
        """Write the picture of an event and return its path; None after a failure, which must not cost the event."""
        path = self._folder / f"{event_id}.jpg"
        if self._failed:
            return None
        try:
            write_image(path, image)
        except SinkError as error:
            self._failed, self._failure = True, error
            return None
        self.pictures += 1
        return str(path)

    def write(self, result: DetectedFrame) -> None:  # noqa: ARG002  pictures come by `save`
        """Raise what that failed at: now the event is written."""
        self._raise_failure()

    def close(self, *, complete: bool = True) -> Path | None:  # noqa: ARG002  every picture written is complete
        self._raise_failure()
        return self._folder if self.pictures else None

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


class CropsSink(Sink):
    """Writes each detected person as NAME_frame000123_1.jpg; boxes that were only kept from earlier frames are not."""

    picture = "clean"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._names: dict[str, tuple[str, int]] = {}
        """For each source its name here and its latest frame's index."""
        self._taken: set[str] = set()
        make_folder(folder)

    def write(self, result: DetectedFrame) -> None:
        """Write the crops of one frame, clipped to the picture."""
        if not result.detected:
            return
        frame = result.frame
        name = self._name_of(frame)
        height, width = frame.image.shape[:2]
        for number, (left, top, right, bottom) in enumerate(result.detections.xyxy.round().astype(int).tolist(), 1):
            crop = frame.image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            if crop.size:
                path = self._folder / f"{name}_frame{frame.index:06d}_{number}.jpg"
                write_image(path, as_shown(crop, frame.pixel_aspect), tags=frame.tags.colours_only())
                self.pictures += 1

    def close(self, *, complete: bool = True) -> Path | None:  # noqa: ARG002  every crop written is complete
        return self._folder if self.pictures else None

    def _name_of(self, frame: Frame) -> str:
        """Return the source's stem, with a number where another source of the run has it, or this one once before."""
        name, latest = self._names.get(frame.source, ("", -1))
        if not name or frame.index <= latest:  # an index that does not rise is the same source given once more
            stem = stem_of(frame.source)
            names = chain([stem], (f"{stem}_{number}" for number in count(2)))
            name = next(name for name in names if name not in self._taken)
            self._taken.add(name)
        self._names[frame.source] = name, frame.index
        return name
