"""The videos of an archive side by side, a process each, and what they say in the order of the videos.

A video that is ahead of its turn waits in a file without a name: memory does not grow with it, nothing stays behind.
"""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from humandetect.errors import HumanDetectError, SinkError
from humandetect.processes import Child

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from humandetect.analytics.report import SourceReport
    from humandetect.config import AnalyzeConfig
    from humandetect.media.frames import Event
    from humandetect.pipeline.run import Progress

END_SECONDS = 5.0
LISTEN_SECONDS = 0.2
AHEAD = 2
"""Videos a worker that may be begun before those that come first are written."""
KEPT_BYTES = 1 << 20
"""Of a video in memory, before what it says goes to the disk."""


class VideoReport(NamedTuple):
    """What a worker says of its video."""

    frames: int
    """Since it last said something."""
    items: bytes
    """A pickled list of what is to be written."""
    done: bool = False


class Ending(NamedTuple):
    """What became certain with the end of a source."""

    events: Sequence[Event]
    report: SourceReport | None


class AnalyzeWorkers:
    """Yields, video by video, what is to be written of it; errors are among it, where they happened."""

    def __init__(
        self,
        config: AnalyzeConfig,
        place: Path | str,
        *,
        videos: int,
        jobs: int,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self._first = config, place
        self._videos, self._jobs = videos, min(jobs, videos)
        self._progress, self._stop = progress, stop
        self._access = threading.Lock()
        self._ended = threading.Event()
        self._idle: SimpleQueue[Child] = SimpleQueue()

    def __iter__(self) -> Generator[Iterator[Any]]:
        """Raises KeyboardInterrupt once `stop` is set, SinkError where there is no room to wait in."""
        pending: deque[Future[IO[bytes]]] = deque()
        with ExitStack() as stack:
            for _ in range(self._jobs):
                child = stack.enter_context(Child("humandetect.pipeline.analyze_worker", end_seconds=END_SECONDS))
                child.send(self._first)
                self._idle.put(child)
            stack.callback(lambda: [one.result().close() for one in pending if not one.exception()])
            threads = stack.enter_context(ThreadPoolExecutor(self._jobs))
            stack.callback(self._ended.set)
            for number in range(self._videos):
                pending.append(threads.submit(self._analyze, number))
                if len(pending) > AHEAD * self._jobs:
                    yield _items(pending[0].result())
                    pending.popleft()
            while pending:
                yield _items(pending[0].result())
                pending.popleft()

    def _analyze(self, number: int) -> IO[bytes]:
        """Return what is said of a video. Raises SinkError."""
        spool = cast("IO[bytes]", tempfile.SpooledTemporaryFile(KEPT_BYTES))  # noqa: SIM115  whoever reads it closes it
        child = self._idle.get()
        try:
            child.send(number)
            for items in self._told(child):
                spool.write(items)
            spool.seek(0)
        except BaseException as error:
            with suppress(OSError):
                spool.close()
            if isinstance(error, OSError):
                where = f"{tempfile.gettempdir()}: {error.strerror}: set TMPDIR to a folder with more room"
                raise SinkError(f"cannot write to {where}") from error
            raise
        finally:
            self._idle.put(child)
        return spool

    def _told(self, child: Child) -> Iterator[bytes]:
        while True:
            if self._stop.is_set() or self._ended.is_set():
                raise KeyboardInterrupt
            try:
                told = child.receive(LISTEN_SECONDS)
            except TimeoutError:
                continue
            except ChildProcessError as error:
                lost = HumanDetectError(f"a worker {error}: where memory is short, give fewer --jobs")
                told = VideoReport(0, pickle.dumps([lost]), done=True)
            except HumanDetectError as error:
                told = VideoReport(0, pickle.dumps([error]), done=True)
            with self._access:
                self._progress.frames(told.frames)
            yield told.items
            if told.done:
                return


def _items(spool: IO[bytes]) -> Iterator[Any]:
    with spool, suppress(EOFError):
        while True:
            yield from pickle.load(spool)  # noqa: S301  by a process of ours
