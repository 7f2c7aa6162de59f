"""Films in the formats of pictures: animated WebP, PNG and AVIF."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.images import count_pictures, each_picture, read_size
from humandetect.media.sources.base import Source
from humandetect.media.sources.files import open_file, read_image_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.config import SourceConfig

SHORTEST_SECONDS = 0.01
UNSAID_SECONDS = 0.1
"""What browsers show a picture for that says nothing, or less than they can."""


class AnimationSource(Source):
    """The pictures of one file, each as long as it says. Raises SourceError, without the name."""

    def __init__(
        self, name: str, file: str, config: SourceConfig, *, open_: Callable[[str], BinaryIO] = open_file
    ) -> None:
        self._config = config
        self._most = config.max_megapixels
        with open_(file) as opened:
            width, height = read_size(opened, max_megapixels=self._most)
            opened.seek(0)
            self._data = read_image_bytes(opened, max_megapixels=self._most)
        count = count_pictures(self._data, max_megapixels=self._most)
        super().__init__(name, VideoInfo(width, height, time_base=Fraction(1, 1000), frame_count=count))

    def _frames(self) -> Iterator[Frame]:
        config, begin, given = self._config, 0.0, 0
        end = math.inf if config.duration_seconds is None else config.start_seconds + config.duration_seconds
        for index, picture in enumerate(each_picture(self._data, max_megapixels=self._most)):
            seconds = picture.seconds if picture.seconds >= SHORTEST_SECONDS else UNSAID_SECONDS
            if begin >= end or given == config.limit:
                break
            if begin >= config.start_seconds:
                yield Frame(picture.pixels, index=index, time_seconds=begin, source=self.name, duration_seconds=seconds)
                given += 1
            begin = round(begin + seconds, 6)

    def _release(self) -> None:
        """The file was read whole."""
