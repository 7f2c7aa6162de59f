"""The contract of every sink."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from humandetect.media.frames import DetectedFrame

PictureKind = Literal["none", "clean", "drawn"]
"""How a sink wants its frames: perhaps without pixels, as they were read, or with boxes drawn on them in place."""


class Sink(ABC):
    """Where results go. In a `with` block, where an exception (Ctrl-C too) closes it as incomplete."""

    picture: PictureKind

    def __init__(self) -> None:
        self.warnings: list[str] = []
        """What was lost or changed, for people; complete after `close`."""
        self.pictures = 0
        """Image files written."""

    @abstractmethod
    def write(self, result: DetectedFrame) -> None:
        """Take the next result. Raises SinkError."""

    @abstractmethod
    def close(self, *, complete: bool = True) -> Path | None:
        """Finish and return where the result is; None: nothing was written. May be called twice.

        Incomplete, what there is stays as NAME.partial.EXT.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(complete=kind is None)
