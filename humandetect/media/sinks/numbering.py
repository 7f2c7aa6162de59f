"""Numbers for the pictures of a run, in formats that have no room for the name of a source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.media.image_headers import IMAGE_ENDINGS

if TYPE_CHECKING:
    from humandetect.media.frames import Frame


class FrameNumbers:
    """Numbers the frames of a run: the index in the first source, and on from there in each further one."""

    def __init__(self) -> None:
        self._source: str | None = None
        self._index = -1
        self._offset = 0

    def of(self, frame: Frame) -> int:
        # An index that does not rise is the same source given once more.
        if frame.source != self._source or frame.index <= self._index:
            self._offset = 0 if self._source is None else self._index + self._offset + 1 - frame.index
        self._source, self._index = frame.source, frame.index
        return frame.index + self._offset


class ImageIds:
    """Gives every picture of a run an id of its own: the number that is its name, or the next one by count."""

    def __init__(self) -> None:
        self._numbers = FrameNumbers()
        self._named: set[int] = set()
        self._counted = -1
        """The highest that was given by count."""

    def of(self, frame: Frame) -> int:
        by_count, stem = self._numbers.of(frame), Path(frame.source).stem
        if is_picture(frame) and stem.isascii() and stem.isdigit():
            number = int(stem)
            if number not in self._named and number > self._counted:
                self._named.add(number)
                return number
        self._counted = max(by_count, self._counted + 1)
        while self._counted in self._named:
            self._counted += 1
        return self._counted


def is_picture(frame: Frame) -> bool:
    """Tell whether a frame is a picture of its own, by the name of its file."""
    return Path(frame.source).suffix.lower() in IMAGE_ENDINGS
