"""Still pictures: one file or all of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.errors import SourceError
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.images import count_pictures, decode_image, read_size
from humandetect.media.sources.base import Source
from humandetect.media.sources.files import open_file, read_image_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config import SourceConfig


class ImageSource(Source):
    """Image files in order. One that is bad goes to `failures`; if there is no other, opening fails."""

    def __init__(self, name: str, files: Sequence[str], config: SourceConfig) -> None:
        self._files = files if config.limit is None else files[: config.limit]
        self._config = config
        width, height = self._first_size()
        super().__init__(name, VideoInfo(width, height, kind="image", frame_count=len(self._files)))

    def _frames(self) -> Iterator[Frame]:
        for file in self._files:
            try:
                pixels = self._decode(file)
            except (SourceError, OSError) as error:
                self.failures.append(SourceError(f"cannot read {file!r}: {error}"))
                continue
            yield Frame(pixels, index=0, time_seconds=0.0, source=file)

    def _release(self) -> None:
        """Each file is open only while it is decoded."""

    def _decode(self, file: str) -> NDArray[np.uint8]:
        most = self._config.max_megapixels
        with open_file(file) as opened:
            data = read_image_bytes(opened, max_megapixels=most)
        pixels = decode_image(data, max_megapixels=most)
        if (count := count_pictures(data, max_megapixels=most)) > 1:
            self.warnings.append(f"{file!r} holds {count} pictures: the first was read")
        return pixels

    def _first_size(self) -> tuple[int, int]:
        errors = []
        for file in self._files:
            try:
                with open_file(file) as opened:
                    return read_size(opened, max_megapixels=self._config.max_megapixels)
            except SourceError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        raise SourceError(f"none of its {len(errors)} images can be read; the first one: {errors[0]}")


class ImageBytes(Source):
    """One image that came through a pipe."""

    def __init__(self, name: str, data: bytes, config: SourceConfig) -> None:
        self._image: NDArray[np.uint8] | None = decode_image(data, max_megapixels=config.max_megapixels)
        height, width = self._image.shape[:2]
        super().__init__(name, VideoInfo(width, height, kind="image", frame_count=1))

    def _frames(self) -> Iterator[Frame]:
        image, self._image = self._image, None
        if image is not None:
            yield Frame(image, index=0, time_seconds=0.0, source=self.name)

    def _release(self) -> None:
        self._image = None
