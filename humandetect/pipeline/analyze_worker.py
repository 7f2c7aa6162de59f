"""A worker of `analyze`: takes one video of an archive after the other, and says what is to be written of it."""

from __future__ import annotations

import io
import pickle
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.analytics.saved_archive import SavedArchive
from humandetect.errors import HumanDetectError
from humandetect.pipeline.analyze import Analysis, Asked
from humandetect.pipeline.analyze_workers import Ending, VideoReport
from humandetect.pipeline.run import NoProgress
from humandetect.pipeline.summary import RunRecord
from humandetect.processes import Parent
from humandetect.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.analytics.counts import CountRow
    from humandetect.analytics.report import SourceReport
    from humandetect.config import AnalyzeConfig
    from humandetect.media.frames import DetectedFrame, Event, Provenance

MOST_ITEMS = 1000
TOLD_EVERY_SECONDS = 1.0


class ToldOutputs:
    """Outputs that are told to the parent, who writes them: of frames only those that it has a use for."""

    def __init__(self, config: AnalyzeConfig, parent: Parent) -> None:
        self.want_report = bool(config.counting.report or config.counting.heatmap)
        self._all = bool(config.results)
        self._parent = parent
        self._items: list[Any] = []
        self._frames, self._told_at = 0, time.monotonic()
        self._untold: DetectedFrame | None = None

    @contextmanager
    def of_source(self, provenance: Provenance) -> Iterator[ToldOutputs]:
        self._items.append(provenance)
        yield self

    def add_counts(self, row: CountRow) -> None:
        self._items.append(row)

    def write(self, result: DetectedFrame) -> None:
        self._frames += 1
        self._untold = result
        if self._all or result.events:
            self._take(result)
        if len(self._items) >= MOST_ITEMS or time.monotonic() - self._told_at >= TOLD_EVERY_SECONDS:
            self.tell()

    def finish(self, events: Sequence[Event], report: SourceReport | None = None) -> None:
        if self._untold is not None and events:  # they are written with the last frame
            self._take(self._untold)
        self._items.append(Ending(events, report))

    def tell(self, *last: object, done: bool = False) -> None:
        pickled = io.BytesIO()
        _Pickler(pickled).dump([*self._items, *last])
        self._parent.send(VideoReport(self._frames, pickled.getvalue(), done))
        self._items.clear()
        self._frames, self._told_at = 0, time.monotonic()

    def _take(self, result: DetectedFrame) -> None:
        self._items.append(result)
        self._untold = None


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        """Let images without pixels stay so: they would be written out black."""
        if isinstance(value, np.ndarray) and value.size and not any(value.strides):
            return np.broadcast_to, (value.flat[0], value.shape)
        return NotImplemented


def main() -> None:
    """Be a child: take the config and the archive, then the number of one video after the other."""
    with Parent() as parent:
        config, place = parent.receive()
        try:
            archive, asked = SavedArchive(open_storage(place)), Asked.of(config)
        except HumanDetectError as error:
            parent.send(error)
            return
        while True:
            number = parent.receive()
            outputs, record = ToldOutputs(config, parent), RunRecord()
            last: list[object] = [record]
            try:
                Analysis(asked, outputs, record, NoProgress(), threading.Event()).read_one(archive, number)
            except HumanDetectError as error:
                last.append(error)
            outputs.tell(*last, done=True)


if __name__ == "__main__":
    main()
