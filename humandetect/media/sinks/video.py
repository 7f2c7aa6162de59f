"""An annotated video with the source's own timestamps and sound."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import av

from humandetect.errors import SinkError
from humandetect.media.sinks.atomic_files import PendingFile, reason_of, sink_error
from humandetect.media.sinks.base import Sink
from humandetect.media.sinks.fast_start import put_index_first
from humandetect.media.sinks.h264 import VideoFile
from humandetect.media.sinks.names import VIDEO_MUXERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from humandetect.config import Preset
    from humandetect.media.audio import AudioTrack
    from humandetect.media.frames import DetectedFrame, Frame, VideoInfo

_WAITING_FRAMES = 2
"""Frames between the pipeline and the encoder: enough to overlap, few enough for 4K."""
_TELL_AGAIN_SECONDS = 0.5


class VideoSink(Sink):
    """Writes annotated frames as a video, encoding in a thread of its own.

    The sound of `audio` is written along. The source must be open until the first frame was written.
    Odd sizes grow by a row or column, which repeats the last; a frame of another size than the first is scaled to it.
    """

    picture = "drawn"

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        audio: Sequence[AudioTrack] = (),
        preset: Preset = "veryfast",
        origin_seconds: float = 0.0,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Without `tags` nothing is said of what it shows, nor the language of its sound."""
        super().__init__()
        self._path = path
        self._muxer = VIDEO_MUXERS[path.suffix.lower()]
        self._info = info
        self._audio = audio
        self._preset = preset
        self._origin_seconds = origin_seconds
        self._tags = tags
        self._frames: queue.Queue[Frame | bool] = queue.Queue(_WAITING_FRAMES)
        """For the encoder; a bool ends them and says whether the video is complete."""
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._closed = False
        self._written: Path | None = None

    def write(self, result: DetectedFrame) -> None:
        """Hand a frame to the encoder; wait while it is busy. Raises SinkError when writing has failed."""
        if self._closed:
            raise ValueError("the video is closed")
        self._raise_error()
        if self._thread is None:
            self._start(result.frame)
        self._frames.put(result.frame)

    def close(self, *, complete: bool = True) -> Path | None:
        """Finish the file and return its path; None: nothing was written. Incomplete, it never raises.

        Ctrl-C while it waits is raised once the file is finished; after a second one the next `close` waits again.
        """
        self._closed = True
        if self._thread is None:
            return self._written
        try:
            self._end(complete=complete)
        except KeyboardInterrupt:
            self._end(complete=complete)
            raise
        self._thread = None
        try:
            self._raise_error()
        except SinkError as error:
            if complete:
                raise
            self.warnings.append(f"no partial video was kept: {error}")
        return self._written

    def _end(self, *, complete: bool) -> None:
        """Tell the encoder to finish, if it has not, and wait for it.

        Told again while it lives: a Ctrl-C in the middle of a `put` can cost the queue its next wake-up.
        """
        while self._thread is not None and self._thread.is_alive():
            with suppress(queue.Full):
                self._frames.put(complete, timeout=0.1)
            self._thread.join(_TELL_AGAIN_SECONDS)

    def _start(self, first: Frame) -> None:
        self._pending = PendingFile(self._path)
        self.warnings += self._pending.remains("which plays: keep it or delete it")
        try:
            self._file = VideoFile(
                self._pending.path,
                self._muxer,
                hw=first.image.shape[:2],
                info=self._info,
                origin_seconds=self._origin_seconds,
                preset=self._preset,
                audio=self._audio,
                pixel_aspect=first.pixel_aspect,
                tags=self._tags,
            )
        except BaseException as error:
            self._pending.discard()
            if isinstance(error, av.error.FFmpegError):
                raise sink_error(self._path, error) from error
            raise
        # A daemon: a program that forgets to close must still be able to end.
        self._thread = threading.Thread(target=self._encode, name="video-encoder", daemon=True)
        self._thread.start()

    def _encode(self) -> None:
        """Encode until `close`. After an error frames are still taken, so that nobody waits forever."""
        while not isinstance(item := self._frames.get(), bool):
            if self._error is None:
                try:
                    self._file.encode(item)
                except Exception as error:  # re-raised where the caller is
                    self._error = error
        self._finish(complete=item)

    def _finish(self, *, complete: bool) -> None:
        """Give the file its name, or remove it after an error. Here in the thread no Ctrl-C can cut that short."""
        try:
            if self._error is None:
                self._file.finish(complete=complete)
                self._put_index_first()
                self._written = self._pending.finish(complete=complete)
        except Exception as error:  # re-raised where the caller is
            self._error = error
        finally:
            self._file.close()
            self._pending.discard()
            self.warnings += self._file.warnings

    def _put_index_first(self) -> None:
        """So that browsers play while they load; where there is no room for it, the file plays as it is."""
        if self._muxer == "matroska":
            return
        ready = self._pending.beside()
        try:
            if put_index_first(self._pending.path, ready):
                ready.replace(self._pending.path)
        except OSError as error:
            self.warnings.append(f"its index stays at its end, so browsers load all of it first: {reason_of(error)}")
        finally:
            ready.unlink(missing_ok=True)

    def _raise_error(self) -> None:
        if self._error is None:
            return
        if isinstance(self._error, (av.error.FFmpegError, OSError)):
            raise sink_error(self._path, self._error) from self._error
        raise self._error
