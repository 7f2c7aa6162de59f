"""The run behind `archive`: plan once, then make what is missing until all is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.analytics.saved_archive import SavedArchive
from humandetect.archive.attempts import Attempts, Outcome
from humandetect.archive.local import LocalWorkers
from humandetect.archive.plan import NAME, agree, find_plan, make_plan
from humandetect.errors import UsageError
from humandetect.media.sinks.text import open_results
from humandetect.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from humandetect.archive.attempts import Progress
    from humandetect.archive.plan import Job, Plan
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

    @property
    def parts(self) -> int:
        return len(self.there) + len(self.failed) + len(self.missing)

    @property
    def is_complete(self) -> bool:
        return not (self.failed or self.missing or self.plan.unreadable)


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """What a run did, and how far the archive is now."""

    standing: Standing
    outcome: Outcome = field(default_factory=Outcome)
    warnings: Sequence[str] = ()
    merged: Path | None = None


def standing_of(config: ArchiveConfig) -> Standing:
    """Look at an archive, whoever works on it. Raises UsageError where there is none."""
    storage = open_storage(config.out)
    plan = find_plan(storage)
    if plan is None:
        raise UsageError(f"there is no archive in {storage.place}: give sources to begin one")
    return _standing(plan, storage)


def archive(config: ArchiveConfig, progress: Progress) -> ArchiveSummary:
    """Do what is missing. Raises UsageError, and EngineError where no worker can begin."""
    storage = open_storage(config.out)
    warnings: list[str] = []
    plan = _plan(config, storage, warnings)
    storage.sweep(_folders(plan))
    before = _standing(plan, storage)
    outcome = Outcome()
    if not config.plan:
        if config.retry_failed:
            for job in before.failed:
                storage.remove(job.failure_name)
        jobs = [*before.missing, *(before.failed if config.retry_failed else ())]
        attempts = Attempts(jobs, retries=config.retries, storage=storage, progress=progress)
        try:
            if jobs:
                _workers(config).run(attempts)
        finally:
            storage.sweep(_folders(plan))
        outcome = attempts.outcome
    standing = _standing(plan, storage)
    merged = merge(config, warnings) if config.merge and standing.there else None
    return ArchiveSummary(standing, outcome, warnings, merged)


def merge(config: ArchiveConfig, warnings: list[str]) -> Path | None:
    """Write the results of all complete videos into one file, as `detect --results` does, and return its path."""
    saved = SavedArchive(open_storage(config.out))
    with open_results(config.merge or "", weakest_score=WEAKEST_SCORE) as sink:
        for source in saved:
            sink.begin(source.provenance)
            for frame in source.frames:
                sink.write(frame)
        warnings += saved.warnings
        return sink.close()


def _plan(config: ArchiveConfig, storage: Storage, warnings: list[str]) -> Plan:
    """Return the plan that there is, or make it; of two that begin at once, one's is that of both."""
    plan = find_plan(storage)
    if plan is None:
        if not config.sources:
            raise UsageError(f"there is no archive in {storage.place}: give sources to begin one")
        made = make_plan(config, warnings)
        if storage.create(NAME, made.as_json()):
            return made
        plan = find_plan(storage)
    if plan is None:
        raise UsageError(f"{storage.place}/{NAME} is empty: remove it, if no other run is just about to begin")
    agree(plan, config, storage)
    return plan


def _workers(config: ArchiveConfig) -> LocalWorkers | RayWorkers:
    if config.cluster is None:
        return LocalWorkers(config)
    from humandetect.archive.ray_cluster import RayWorkers

    return RayWorkers(config)


def _folders(plan: Plan) -> list[str]:
    return ["", "failed", *(video.folder for video in plan.videos)]


def _standing(plan: Plan, storage: Storage) -> Standing:
    parts = {video.folder: storage.names(video.folder) for video in plan.videos}
    failures = storage.names("failed")
    there: list[Job] = []
    failed: list[Job] = []
    missing: list[Job] = []
    for job in plan.jobs():
        folder, _, name = job.name.partition("/")
        gave_up = job.failure_name.partition("/")[2] in failures
        (there if name in parts[folder] else failed if gave_up else missing).append(job)
    return Standing(plan, there, failed, missing)
