"""What a program calls: `detect_video` writes files, `detect_frames` hands out frames, `analyze` asks results again."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from humandetect.config import AnalyzeConfig, CountingConfig, DetectConfig, RunConfig, SourceConfig
from humandetect.detection.finders import EngineFinder, detect_in_order, open_batcher
from humandetect.errors import HumanDetectError
from humandetect.media.sources import expand, open_source
from humandetect.pipeline.analyze import analyze as analyze_config
from humandetect.pipeline.run import provenance_of, read_ahead, run
from humandetect.pipeline.stages import SourceStages, weakest_score

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from humandetect.analytics.scene import Scene
    from humandetect.config import Anonymize, EngineConfig, Preset
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
    no_metadata: bool
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
    folder), `show`, `every` (detect each Nth frame), `track` (ids that last), `anonymize` (a style that hides
    people), `counting` (lines and zones, a CountingConfig), `results_score` (keeps weaker boxes), `no_metadata` (no
    tags), `preset` (of x264), `score`, `batch`, `engine` (an EngineConfig), `empty_rows` (in CSV), `no_labels`,
    `no_count` and `line_width` (of what is drawn). A `detector` is used instead of score and engine, and left open.
    With nowhere to write to, the video goes to NAME_people.mp4.
    """
    config = DetectConfig(
        sources=(str(source),),
        output=Path(output) if output else None,
        results=_names(results),
        source=part or SourceConfig(),
        **options,
    )
    return _succeeded(run(config, detector=detector))


def analyze(
    *files: str | Path,
    results: str | Path | Sequence[str | Path] = (),
    counting: CountingConfig | None = None,
    background: str | Path | None = None,
) -> RunSummary:
    """Track and count what saved results have, and write what is asked for. Raises the first failure.

    `files` are `.jsonl` or `.parquet` of `detect_video`, best made with `results_score=0.1`; `results` are the same
    with ids. `counting` has lines and zones, and where events, counts, report and heatmap go; `background` is a picture
    of the place, for the latter two.
    """
    config = AnalyzeConfig(
        files=tuple(map(Path, files)),
        results=_names(results),
        background=None if background is None else Path(background),
        counting=counting or CountingConfig(),
    )
    return _succeeded(analyze_config(config))


def detect_frames(
    source: str | Path,
    detector: Detector,
    *,
    every: int = 1,
    track: bool = False,
    scene: Scene | None = None,
    part: SourceConfig | None = None,
) -> Generator[DetectedFrame]:
    """Yield the frames of one source, or of a `part` of it, in order, with the people in them.

    With `track` their `tracker_id` counts from 1, and is -1 until somebody was seen twice; `held` has who is missed. A
    `scene`, as of `read_scene`, implies tracks: `events` has what became certain with a frame, `occupancy` how many are
    in each zone. A frame then waits for the next: the last one has the visits that the end of the source ends.
    """
    config = RunConfig((str(source),), every=every, track=track or scene is not None, source=part or SourceConfig())
    return _frames(config, detector, scene)


def _names(paths: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    return tuple(map(str, (paths,) if isinstance(paths, str | Path) else paths))


def _succeeded(summary: RunSummary) -> RunSummary:
    if summary.failures:
        raise summary.failures[0]
    return summary


def _frames(config: RunConfig, detector: Detector, scene: Scene | None) -> Generator[DetectedFrame]:
    for ref in expand(config.sources, recursive=config.source.recursive):
        with (
            open_source(ref, config.source) as opened,
            open_batcher(detector.info, detector.infer) as batcher,
            read_ahead(opened) as frames,
        ):
            finder = EngineFinder(detector, batcher, weakest_score=weakest_score(config))
            stages = SourceStages(
                provenance_of(opened, finder, config), tracks=config.tracks, scene=scene, anonymize=config.anonymize
            )
            held_back: deque[DetectedFrame] = deque()
            failure: HumanDetectError | None = None
            try:
                for result in map(stages.update, detect_in_order(frames, finder, every=config.every)):
                    held_back.append(result)
                    if scene is None or len(held_back) > 1:
                        yield held_back.popleft()
            except HumanDetectError as error:  # what was seen until then has its end, too
                failure = error
            events, warnings = stages.finish()
            for warning in warnings:
                logger.warning("%s", warning)
            yield from (replace(last, events=(*last.events, *events)) for last in held_back)
            if failure is not None:
                raise failure
