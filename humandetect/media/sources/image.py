"""Still pictures: one file or all of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.errors import SourceError
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.images import count_pictures, decode_image, each_picture, holds_several, read_size
from humandetect.media.sources.base import Source
from humandetect.media.sources.files import open_file, read_image_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config import SourceConfig


PAGED = (".tif", ".tiff")


class ImageSource(Source):
    """Image files in order. One that is bad goes to `failures`; if there is no other, opening fails."""

    def __init__(self, name: str, files: Sequence[str], config: SourceConfig) -> None:
        self._files = files if config.limit is None else files[: config.limit]
        self._config = config
        width, height = self._first_size()
        super().__init__(name, VideoInfo(width, height, kind="image", frame_count=len(self._files)))

    def _frames(self) -> Iterator[Frame]:
        given = 0
        for file in self._files:
            try:
                for name, pixels in self._pictures(file):
                    if given == self._config.limit:
                        return
                    yield Frame(pixels, index=0, time_seconds=0.0, source=name)
                    given += 1
            except (SourceError, OSError) as error:
                self.failures.append(SourceError(f"cannot read {file!r}: {error}"))

    def _release(self) -> None:
        """Each file is open only while it is decoded."""

    def _pictures(self, file: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the picture of a file with its name; of a TIFF each page, from the second on with its number."""
        most = self._config.max_megapixels
        with open_file(file) as opened:
            data = read_image_bytes(opened, max_megapixels=most)
        count = count_pictures(data, max_megapixels=most)
        if count > 1 and Path(file).suffix.lower() in PAGED:
            path = Path(file)
            for number, (pixels, _) in enumerate(each_picture(data, max_megapixels=most), 1):
                yield file if number == 1 else str(path.with_name(f"{path.stem}_page{number}{path.suffix}")), pixels
            return
        yield file, decode_image(data, max_megapixels=most)
        if count > 1:
            self.warnings.append(f"{file!r} holds {count} pictures: the first was read")

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
    """One image that came through a pipe or from an address."""

    def __init__(self, name: str, data: bytes, config: SourceConfig) -> None:
        most = config.max_megapixels
        self._image: NDArray[np.uint8] | None = decode_image(data, max_megapixels=most)
        height, width = self._image.shape[:2]
        super().__init__(name, VideoInfo(width, height, kind="image", frame_count=1))
        if holds_several(data, max_megapixels=most):
            self.warnings.append(f"{name!r} holds several pictures: the first was read; save it as a file to read all")

    def _frames(self) -> Iterator[Frame]:
        image, self._image = self._image, None
        if image is not None:
            yield Frame(image, index=0, time_seconds=0.0, source=self.name)

    def _release(self) -> None:
        self._image = None
