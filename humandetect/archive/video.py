"""Annotated videos: encoded segment by segment, then joined as they are, with the sound of their source."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import av

from humandetect.archive.plan import check_unchanged
from humandetect.errors import SinkError
from humandetect.media.sinks.atomic_files import reason_of
from humandetect.media.sinks.h264 import VideoFile
from humandetect.media.sinks.joining import JoinedVideo
from humandetect.media.sources import SourceRef, open_source

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from humandetect.archive.jobs import Video
    from humandetect.config import SourceConfig
    from humandetect.media.frames import DetectedFrame, VideoInfo
    from humandetect.storage import Storage


class PartVideo:
    """Draws and encodes the frames of one segment, at their times in the whole; the file stays empty without any."""

    def __init__(self, path: Path, info: VideoInfo) -> None:
        """All parts of a video are encoded alike: `info` is that of the whole."""
        from humandetect.media.annotate.boxes import Annotator  # takes long to import: not where videos are joined only

        self._path, self._info = path, info
        self._annotator = Annotator()
        self._file: VideoFile | None = None

    def add(self, result: DetectedFrame) -> None:
        if self._file is None:
            self._file = VideoFile(
                self._path, "mp4", hw=(self._info.height, self._info.width), info=self._info, origin_seconds=0.0,
                preset="veryfast", audio=(), pixel_aspect=result.frame.pixel_aspect,
            )  # fmt: skip
        self._annotator.draw(result)
        self._file.encode(result.frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is None:
            return
        try:
            if kind is None:
                self._file.finish(complete=True)
        finally:
            self._file.close()


@contextmanager
def video_file(storage: Storage, name: str) -> Iterator[Path]:
    """Give the path to write a video to, as of `Storage.writing`. Raises SinkError, for FFmpeg's errors, too."""
    try:
        with storage.writing(name) as path:
            yield path
    except (OSError, av.FFmpegError) as error:
        raise SinkError(f"cannot write {f'{storage.place}/{name}'!r}: {reason_of(error)}") from error


def join(video: Video, storage: Storage, config: SourceConfig, stop: threading.Event) -> list[str]:
    """Join the parts of a video to what `detect` writes, in their place; return what was lost, as lines for people.

    Raises SinkError, also once `stop` is set, and SourceError where the source is not what it was.
    """
    warnings = [] if is_there(video, storage) else _joined(video, storage, config, stop)
    for job in video.jobs:
        storage.remove(job.video_name)
    return warnings


def is_there(video: Video, storage: Storage) -> bool:
    """Whether the annotated video is, whoever joined it."""
    folder, _, name = video.annotated_name.rpartition("/")
    return name in storage.names(folder)


def _joined(video: Video, storage: Storage, config: SourceConfig, stop: threading.Event) -> list[str]:
    check_unchanged(video)
    with (
        open_source(SourceRef(video.kind, video.source, video.files), config, audio=True) as source,
        video_file(storage, video.annotated_name) as path,
        JoinedVideo(path, audio=source.audio, read_sound=source.read_sound, tags=source.tags) as joined,
    ):
        for job in video.jobs:
            if stop.is_set():
                raise SinkError("it was interrupted")
            try:
                with storage.open(job.video_name) as part:
                    joined.add(part)
            except av.InvalidDataError as error:
                raise SinkError(f"{job.video_name} is damaged: remove it, and it is made again") from error
    return [f"{video.source!r}: {warning}" for warning in joined.warnings]
