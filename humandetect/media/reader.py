"""Reads a source on its own thread, a few frames ahead."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from humandetect.media.frames import Frame

BufferPolicy = Literal["wait", "drop-oldest"]
MAX_BYTES = 64 * 1024 * 1024
"""Fewer frames than the buffer's number are read ahead when they are large, but always one."""
WAIT_SECONDS = 0.02
"""A picture that comes sooner lay ready in the source: they gather while it is opened and an engine starts."""
LONGEST_BURST_SECONDS = 2.0
"""Sources of more than 50 frames a second never keep anybody waiting."""
MORE_WHILE_OTHERS_START = 4
"""Live frames that wait besides while an engine starts: it soon has caught up with a camera of a few a second."""
JOIN_SECONDS = 2.0
"""How long `close` waits for a source that is blocked; its thread is a daemon and ends with the process."""


class FrameReader:
    """Iterate over a source's frames while its thread reads on.

    With `wait` a full buffer holds the source back; with `drop-oldest` the newest frames win and `dropped` counts
    the others, except those that lay ready when reading began, or came while nobody could take them: `outdated` does.
    An error of the source is raised here, after the frames that came before it.
    """

    def __init__(
        self, source: Iterable[Frame], *, buffer: int, policy: BufferPolicy = "wait", limit: int | None = None
    ) -> None:
        """After `limit` frames it ends; those that were dropped do not count."""
        if buffer < 1:
            raise ValueError(f"the buffer must hold at least 1 frame, not {buffer}")
        self.dropped = 0
        self.outdated = 0
        self.waited = 0
        """Frames that waited until somebody could take them; they are late for no fault of the source."""
        self._source = source
        self._capacity = buffer
        self._policy = policy
        self._left = limit
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._bursts = True
        self._nobody_takes = False
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="frame-reader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended or self._closed or self._left == 0)
            if self._frames and not self._closed and self._left != 0:
                self._left = None if self._left is None else self._left - 1
                frame = self._frames.popleft()
                self._changed.notify_all()
                return frame
            error, self._error = self._error, None
        if error is not None and not self._closed and self._left != 0:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop reading; takes at most `JOIN_SECONDS`, may be called twice."""
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()
        self._thread.join(JOIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def until_taken(self) -> Iterator[None]:
        """While whoever takes frames is made ready, have a source read that would go on without us."""
        self._nobody_takes = self._policy == "drop-oldest"
        try:
            yield
        finally:
            with self._changed:
                self._nobody_takes, self.waited = False, len(self._frames)

    @property
    def oldest_seconds(self) -> float | None:
        """When the frame was that is taken next; None: none waits."""
        with self._changed:
            return self._frames[0].time_seconds if self._frames else None

    def _read(self) -> None:
        began = asked = time.monotonic()
        try:
            for frame in self._source:
                now = time.monotonic()
                self._bursts &= now - asked < WAIT_SECONDS and now - began < LONGEST_BURST_SECONDS
                asked = now
                if not self._offer(frame):
                    break
        except BaseException as error:  # the consumer's thread decides what to do with it
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _is_full(self, frame: Frame) -> bool:
        waiting_bytes = sum(waiting.image.nbytes for waiting in self._frames)
        too_large = waiting_bytes + frame.image.nbytes > MAX_BYTES and bool(self._frames)
        return too_large or len(self._frames) >= self._capacity + MORE_WHILE_OTHERS_START * self._nobody_takes

    def _offer(self, frame: Frame) -> bool:
        """Put the frame into the buffer; False when nobody wants frames any more."""
        with self._changed:
            if self._policy == "wait":
                self._changed.wait_for(lambda: not self._is_full(frame) or self._closed)
            while self._is_full(frame) and not self._closed:
                self._frames.popleft()
                old = self._bursts or self._nobody_takes
                self.outdated += old
                self.dropped += not old
            if self._closed:
                return False
            self._frames.append(frame)
            self._changed.notify_all()
            return True
