"""Annotated videos, each joined as soon as its last part is there, beside the workers."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from humandetect.archive.video import is_there, join
from humandetect.errors import HumanDetectError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from humandetect.archive.jobs import Job, Video
    from humandetect.config import SourceConfig
    from humandetect.storage import Storage


class Joins:
    """Joins what is whole; in a `with` block, in which it is told of each part that is made."""

    def __init__(self, videos: Sequence[Video], absent: Sequence[Job], storage: Storage, config: SourceConfig) -> None:
        """Take the videos to be joined, and the parts that are not there yet."""
        self.warnings: list[str] = []
        self.failed: dict[str, str] = {}
        """Why, by source; complete after the block, as are warnings."""
        self._videos = {video.folder: video for video in videos}
        self._absent = Counter(job.video.folder for job in absent)
        self._storage, self._config = storage, config
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, "join")

    def __enter__(self) -> Self:
        for folder in self._videos:
            self._join_if_whole(folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for the last one; after an error and Ctrl-C the next run does what is left."""
        if kind is not None:
            self._stop.set()
        self._thread.shutdown(cancel_futures=kind is not None)

    def made(self, job: Job) -> None:
        """Count a part that is there now."""
        self._absent[job.video.folder] -= 1
        self._join_if_whole(job.video.folder)

    def _join_if_whole(self, folder: str) -> None:
        if folder in self._videos and not self._absent[folder]:
            self._thread.submit(self._join, self._videos[folder])

    def _join(self, video: Video) -> None:
        try:
            self.warnings += join(video, self._storage, self._config, self._stop)
        except Exception as error:  # nobody asks the thread
            if not is_there(video, self._storage):  # of two runs at once the other one took the parts
                known = isinstance(error, HumanDetectError)
                self.failed[video.source] = str(error) if known else f"{type(error).__name__}: {error}"
