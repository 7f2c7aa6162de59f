"""A worker: one engine, kept over all the segments that it is given, on its own share of the machine."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from humandetect import __version__
from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.archive.jobs import Told
from humandetect.archive.parts import PartRows
from humandetect.archive.plan import check_unchanged, model_checksum
from humandetect.archive.video import PartVideo, video_file
from humandetect.detection.detector import Detector
from humandetect.detection.finders import EngineFinder, detect_in_order, open_batcher
from humandetect.engines import load_engine
from humandetect.errors import HumanDetectError
from humandetect.media.frames import Provenance
from humandetect.media.images import DamagedImage
from humandetect.media.reader import FrameReader
from humandetect.media.sources import SourceRef, open_source
from humandetect.media.sources.segments import Segment, SegmentSource
from humandetect.plural import counted
from humandetect.processes import Parent
from humandetect.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.archive.jobs import Job
    from humandetect.config import ArchiveConfig
    from humandetect.media.sources import Source

READ_AHEAD_FRAMES = 2
TOLD_EVERY_SECONDS = 1.0
MOST_NAMED = 5


class Worker:
    """Makes parts of segments."""

    def __init__(self, config: ArchiveConfig, *, cpus: Sequence[int] = ()) -> None:
        """Bind this process to some CPUs and open the engine, which looks at how many it has."""
        if cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cpus)
        self._config = config
        self._storage = open_storage(config.out)
        self._model_sha256 = model_checksum(config)
        self._stack = ExitStack()
        detector = self._stack.enter_context(Detector(load_engine(config.engine), score=config.score))
        batcher = self._stack.enter_context(open_batcher(detector.info, detector.infer))
        self._finder = EngineFinder(detector, batcher, weakest_score=WEAKEST_SCORE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def work(self, job: Job) -> Iterator[Told]:
        """Detect people in a segment and write its part; says how far it is. Raises HumanDetectError."""
        check_unchanged(job.video)
        source = self._opened(job)
        with source, self._video(job, source) as video, FrameReader(source, buffer=READ_AHEAD_FRAMES) as frames:
            rows = PartRows(job, self._provenance(source), model_sha256=self._model_sha256)
            told_at, untold = time.monotonic(), 0
            for result in detect_in_order(frames, self._finder, every=1, keep_pixels=video is not None):
                rows.add(result)
                if video is not None:
                    video.add(result)
                untold += 1
                if time.monotonic() - told_at > TOLD_EVERY_SECONDS:
                    yield Told(untold)
                    told_at, untold = time.monotonic(), 0
            check_unchanged(job.video)  # what was cut off meanwhile would be taken for frames that cannot be decoded
        self._note(job, source)
        missing = list(source.absent(rows.numbers)) if isinstance(source, SegmentSource) else []
        for number, seconds in missing:
            rows.add_absent(number, seconds)
        self._storage.write(job.name, rows.as_bytes())
        yield Told(untold, done=True, missing=len(missing))

    def _note(self, job: Job, source: Source) -> None:
        """Write down what a source lacks that was read in one go; of segments the plan has that of the whole.

        Raises what kept any of it from being read, unless that is for ever.
        """
        damaged = [failure for failure in source.failures if isinstance(failure, DamagedImage)]
        if len(damaged) < len(source.failures):
            raise next(failure for failure in source.failures if failure not in damaged)
        lacks = [*source.warnings, *map(str, damaged[:MOST_NAMED])]
        if len(damaged) > MOST_NAMED:
            lacks.append(f"{counted(len(damaged), 'damaged image')} in all")
        if lacks and not isinstance(job.segment, Segment):
            note = {"source": job.video.source, "warnings": lacks}
            self._storage.write(job.warning_name, json.dumps(note).encode())

    def _opened(self, job: Job) -> Source:
        video = job.video
        if isinstance(job.segment, Segment):
            return SegmentSource(video.source, video.files[0], self._config.source, job.segment)
        return open_source(SourceRef(video.kind, video.source, video.files), self._config.source)

    @contextmanager
    def _video(self, job: Job, source: Source) -> Iterator[PartVideo | None]:
        """Keep the annotated video of a segment, where it is wanted: before the rows, which say that all is there."""
        if not (self._config.video and job.video.is_moving):
            yield None
            return
        with video_file(self._storage, job.video_name) as path, PartVideo(path, source.info) as video:
            yield video

    def _provenance(self, source: Source) -> Provenance:
        finder = self._finder
        return Provenance(
            source=source.name, kind=source.info.kind, size=(source.info.width, source.info.height), every=1,
            score=finder.score, results_score=WEAKEST_SCORE, track_scores=finder.track_scores,
            settings=finder.settings, started=None, humandetect=__version__,
        )  # fmt: skip


def main() -> None:
    """Be a child: take the config and the CPUs, then one job after the other."""
    with Parent() as parent:
        config, cpus = parent.receive()
        try:
            worker = Worker(config, cpus=cpus)
        except HumanDetectError as error:
            parent.send(error)
            return
        with worker:
            parent.send(None)
            while True:
                job = parent.receive()
                try:
                    for told in worker.work(job):
                        parent.send(told)
                except HumanDetectError as error:
                    parent.send(error)


if __name__ == "__main__":
    main()
