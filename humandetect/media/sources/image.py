"""Still pictures: one, or all of a folder."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from humandetect.errors import SourceError
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.images import DamagedImage, count_pictures, each_picture, read_size
from humandetect.media.sources.base import Source
from humandetect.media.sources.files import open_file, read_image_bytes
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from humandetect.config import SourceConfig
    from humandetect.media.images import Picture

logger = logging.getLogger(__name__)


class ImageSource(Source):
    """Image files in order. One that is bad goes to `failures`; if there is no other, opening fails."""

    def __init__(
        self, name: str, files: Sequence[str], config: SourceConfig, *, open_: Callable[[str], BinaryIO] = open_file
    ) -> None:
        self._open = open_
        self._files = files if config.limit is None else files[: config.limit]
        self._config = config
        width, height = self._first_size()
        super().__init__(name, VideoInfo(width, height, kind="image", frame_count=len(self._files)))

    def _frames(self) -> Iterator[Frame]:
        shades = []
        for name, picture in islice(self._pictures(), self._config.limit):
            yield Frame(picture.pixels, index=0, time_seconds=0.0, source=name, tags=picture.tags)
            if picture.hdr:
                logger.info("%r: %s is mapped to SDR in BT.709", name, picture.hdr)
            shades += [picture.shades] if picture.shades else []
        _tell_of_deep(shades)

    def _release(self) -> None:
        """Each file is open only while it is decoded."""

    def _pictures(self) -> Iterator[tuple[str, Picture]]:
        for file in self._files:
            try:
                yield from self._pictures_in(file)
            except (SourceError, OSError) as error:
                kind = DamagedImage if isinstance(error, DamagedImage) else SourceError
                self.failures.append(kind(f"cannot read {file!r}: {error}"))

    def _pictures_in(self, file: str) -> Iterator[tuple[str, Picture]]:
        """Yield the picture of a file with its name; of a TIFF each page, from the second on with its number."""
        most, ending = self._config.max_megapixels, Path(file).suffix
        with self._open(file) as opened:
            data = read_image_bytes(opened, max_megapixels=most)
        number = 0
        for number, picture in enumerate(each_picture(data, max_megapixels=most), 1):
            yield file if number == 1 else f"{file.removesuffix(ending)}_page{number}{ending}", picture
        if number == 1 and (count := count_pictures(data, max_megapixels=most)) > 1:
            self.warnings.append(f"{file!r} holds {count} pictures: the main one was read")

    def _first_size(self) -> tuple[int, int]:
        errors = []
        for file in self._files:
            try:
                with self._open(file) as opened:
                    return read_size(opened, max_megapixels=self._config.max_megapixels)
            except SourceError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        raise SourceError(f"none of its {len(errors)} images can be read; the first one: {errors[0]}")


def _tell_of_deep(shades: Sequence[tuple[float, float]]) -> None:
    if shades:
        deep = counted(len(shades), "deep picture")
        logger.info("%s scaled to what it holds: in the first %g to %g is shown as black to white", deep, *shades[0])
