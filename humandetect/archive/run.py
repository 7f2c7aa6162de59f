"""The run behind `archive`: plan once, then make what is missing until all is there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.archive.attempts import Attempts, Outcome
from humandetect.archive.jobs import WARNED
from humandetect.archive.joins import Joins
from humandetect.archive.local import LocalWorkers
from humandetect.archive.plan import NAME, agree, find_plan, make_plan
from humandetect.errors import MissingExtra, UsageError
from humandetect.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from humandetect.archive.attempts import AttemptListener
    from humandetect.archive.in_process import InProcessWorker
    from humandetect.archive.jobs import Job, Video
    from humandetect.archive.plan import Plan
    from humandetect.archive.ray_cluster import RayWorkers
    from humandetect.config import ArchiveConfig
    from humandetect.storage import Storage


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an archive is."""

    plan: Plan
    there: Sequence[Job]
    failed: Sequence[Job]
    """Given up."""
    missing: Sequence[Job]
    """Neither."""
    unjoined: Sequence[Video]
    """Whose annotated videos were asked for, and are not there or still in parts."""
    notes: Sequence[str]
    """Names of what workers wrote down of sources, a warning each."""
    storage: Storage

    def warnings(self) -> Iterator[str]:
        """Yield what the sources lack, for people; a note is read in its turn, as that is a request in a store."""
        yield from self.plan.warnings
        for name in self.notes:
            note = json.loads(self.storage.read(name) or b"{}")
            yield f"{note.get('source')!r}: {'; '.join(note.get('warnings', ()))}"

    @property
    def parts(self) -> int:
        return len(self.there) + len(self.failed) + len(self.missing)

    @property
    def is_complete(self) -> bool:
        return not (self.failed or self.missing or self.unjoined or self.plan.unreadable)


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """What a run did, and how far the archive is now."""

    standing: Standing
    outcome: Outcome = field(default_factory=Outcome)
    warnings: Sequence[str] = ()
    """What was lost by this run, for people."""
    unjoined: Mapping[str, str] = field(default_factory=dict)
    """Why, by source."""
    merged: Path | None = None


def standing_of(config: ArchiveConfig) -> Standing:
    """Look at an archive, whoever works on it. Raises UsageError where there is none."""
    storage = open_storage(config.out)
    plan = find_plan(storage)
    if plan is None:
        raise UsageError(f"there is no archive in {storage.place}: give sources to begin one")
    return _standing(plan, storage)


def archive(config: ArchiveConfig, progress: AttemptListener) -> ArchiveSummary:
    """Do what is missing. Raises UsageError, and EngineError where no worker can begin."""
    _check_packages()
    _check_merged(config)
    storage = open_storage(config.out)
    plan = _plan(config, storage)
    storage.sweep(_folders(plan))
    before = _standing(plan, storage)
    outcome = Outcome()
    joins = Joins(before.unjoined, [*before.missing, *before.failed], storage, config.source)
    if not config.plan:
        if config.retry_failed:
            for job in before.failed:
                storage.remove(job.failure_name)
        jobs = [*before.missing, *(before.failed if config.retry_failed else ())]
        attempts = Attempts(jobs, retries=config.retries, storage=storage, progress=progress, made=joins.made)
        try:
            with joins:
                if jobs:
                    _workers(config).run(attempts)
        finally:
            storage.sweep(_folders(plan))
        outcome = attempts.outcome
    standing = _standing(plan, storage)
    warnings = joins.warnings
    merged = merge(config, warnings) if config.merge and standing.there and not config.plan else None
    return ArchiveSummary(standing, outcome, warnings, joins.failed, merged)


def merge(config: ArchiveConfig, warnings: list[str]) -> Path | None:
    """Write the results of all complete videos into one file, as `detect --results` does, and return its path."""
    from humandetect.analytics.saved_archive import SavedArchive  # their imports take longer than those of all others
    from humandetect.media.sinks.text import open_results

    saved = SavedArchive(open_storage(config.out))
    with open_results(config.merge or "", weakest_score=WEAKEST_SCORE) as sink:
        for source in saved:
            sink.begin(source.provenance)
            for frame in source.frames:
                sink.write(frame)
        warnings += saved.warnings
        return sink.close()


def _check_packages() -> None:
    """Raise MissingExtra before hours go into a plan whose workers would each fail with a traceback."""
    if find_spec("pyarrow") is None:
        raise MissingExtra("archive needs more: pip install 'humandetect[archive]'")


def _check_merged(config: ArchiveConfig) -> None:
    """Raise UsageError where merging would write over a part."""
    if config.merge and isinstance(config.out, Path):
        _, *above = Path(config.merge).resolve().parents
        if config.out.resolve() in above:
            raise UsageError(f"--merge {config.merge!r} lies among the parts of the archive: choose a place elsewhere")


def _plan(config: ArchiveConfig, storage: Storage) -> Plan:
    """Return the plan that there is, or make it; of two that begin at once, one's is that of both."""
    plan = find_plan(storage)
    if plan is None:
        if not config.sources:
            raise UsageError(f"there is no archive in {storage.place}: give sources to begin one")
        made = make_plan(config)
        if storage.create(NAME, made.as_json()):
            return made
        plan = find_plan(storage)
    if plan is None:
        raise UsageError(f"{storage.place}/{NAME} is empty: remove it, if no other run is just about to begin")
    agree(plan, config, storage)
    return plan


def _workers(config: ArchiveConfig) -> LocalWorkers | InProcessWorker | RayWorkers:
    if config.in_memory:
        from humandetect.archive.in_process import InProcessWorker

        return InProcessWorker(config)
    if config.cluster is None:
        return LocalWorkers(config)
    from humandetect.archive.ray_cluster import RayWorkers

    return RayWorkers(config)


def _folders(plan: Plan) -> list[str]:
    return ["", "failed", "warned", *(video.folder for video in plan.videos)]


def _standing(plan: Plan, storage: Storage) -> Standing:
    names = storage.names("")
    there: list[Job] = []
    failed: list[Job] = []
    missing: list[Job] = []
    annotated = {video.folder: video for video in plan.annotated}
    for job in plan.jobs():
        made = job.name in names
        if job.video.folder in annotated:
            made = made and not names.isdisjoint((job.video_name, job.video.annotated_name))
        (there if made else failed if job.failure_name in names else missing).append(job)
    unjoined = [video for video in annotated.values() if not _is_joined(video, names)]
    notes = sorted(name for name in names if name.startswith(WARNED))
    return Standing(plan, there, failed, missing, unjoined, notes, storage)


def _is_joined(video: Video, names: set[str]) -> bool:
    return video.annotated_name in names and all(
        job.name in names and job.video_name not in names for job in video.jobs
    )
