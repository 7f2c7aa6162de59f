"""What a program calls for one source: `detect_video` writes files, `detect_frames` hands out the frames."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from humandetect.config import DetectConfig, RunConfig, SourceConfig
from humandetect.detection.finders import EngineFinder, detect_in_order, open_batcher
from humandetect.media.sources import expand, open_source
from humandetect.pipeline.run import provenance_of, read_ahead, run
from humandetect.pipeline.stages import SourceStages, weakest_score

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from humandetect.config import Anonymize, CountingConfig, EngineConfig, Preset
    from humandetect.detection.detector import Detector
    from humandetect.media.frames import DetectedFrame
    from humandetect.pipeline.summary import RunSummary

logger = logging.getLogger(__name__)


class DetectOptions(TypedDict, total=False):
    """What `detect_video` takes of DetectConfig, whose fields have these names."""

    empty_rows: bool
    crops: Path | None
    show: bool
    every: int
    track: bool
    anonymize: Anonymize | None
    results_score: float | None
    counting: CountingConfig
    preset: Preset
    no_labels: bool
    no_count: bool
    line_width: int | None
    score: float | None
    batch: int | None
    engine: EngineConfig


def detect_video(
    source: str | Path,
    *,
    output: str | Path | None = None,
    results: str | Path | Sequence[str | Path] = (),
    part: SourceConfig | None = None,
    detector: Detector | None = None,
    **options: Unpack[DetectOptions],
) -> RunSummary:
    """Find people in one source, or in a `part` of it, and write what is asked for. Raises the first failure.

    `results` is a path or several, their format by the ending; `-` is JSON lines on stdout. Options are `crops` (a
    folder), `show`, `every` (detect each Nth frame), `track` (ids that last), `anonymize` (a style that hides people),
    `counting` (lines and zones, a CountingConfig), `results_score` (keeps weaker boxes), `preset` (of x264), `score`,
    `batch`, `engine` (an EngineConfig), `empty_rows` (in CSV), `no_labels`, `no_count` and `line_width` (of what is
    drawn). A `detector` is used instead of score and engine, and left open. With nowhere to write to, the video goes to
    NAME_people.mp4.
    """
    paths = (results,) if isinstance(results, str | Path) else results
    config = DetectConfig(
        sources=(str(source),),
        output=Path(output) if output else None,
        results=tuple(map(str, paths)),
        source=part or SourceConfig(),
        **options,
    )
    summary = run(config, detector=detector)
    if summary.failures:
        raise summary.failures[0]
    return summary


def detect_frames(
    source: str | Path, detector: Detector, *, every: int = 1, track: bool = False, part: SourceConfig | None = None
) -> Generator[DetectedFrame]:
    """Yield the frames of one source, or of a `part` of it, in order, with the people in them.

    With `track` their `tracker_id` counts from 1, and is -1 until somebody was seen twice; `held` has who is missed.
    """
    return _frames(RunConfig((str(source),), every=every, track=track, source=part or SourceConfig()), detector)


def _frames(config: RunConfig, detector: Detector) -> Generator[DetectedFrame]:
    for ref in expand(config.sources):
        with (
            open_source(ref, config.source) as opened,
            open_batcher(detector.info, detector.infer) as batcher,
            read_ahead(opened) as frames,
        ):
            finder = EngineFinder(detector, batcher, weakest_score=weakest_score(config))
            stages = SourceStages(
                provenance_of(opened, finder, config), tracks=config.tracks, anonymize=config.anonymize
            )
            yield from map(stages.update, detect_in_order(frames, finder, every=config.every))
            for warning in stages.finish()[1]:
                logger.warning("%s", warning)
