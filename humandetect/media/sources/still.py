"""One frame of a source, to draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.errors import SourceError
from humandetect.media.sources import expand, open_source

if TYPE_CHECKING:
    from humandetect.config import SourceConfig
    from humandetect.media.frames import Frame

LIVE_SECONDS = 1.0
"""The first pictures of a camera are often dark."""


def still_of(ref: str, config: SourceConfig) -> Frame:
    """Return the first frame from `--start` on, of a live source one from a second later. Raises SourceError."""
    with open_source(expand([ref])[0], config) as source:
        begin = LIVE_SECONDS if source.info.kind == "live" else 0.0
        for frame in source:
            if frame.time_seconds >= begin:
                return frame
        if source.failures:
            raise source.failures[0]
        raise SourceError(f"cannot read {source.name!r}: it ended before a picture to draw on; try an earlier --start")
