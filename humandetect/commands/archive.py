"""The command `archive`."""

from __future__ import annotations

import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import typer
from tqdm import tqdm

from humandetect.archive.pace import Pace
from humandetect.commands.options import options_of
from humandetect.commands.running import command
from humandetect.config import ArchiveConfig, QuietConfig
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from humandetect.archive.attempts import Attempt
    from humandetect.archive.jobs import Job
    from humandetect.archive.run import ArchiveSummary, Standing

EXAMPLES = (
    "archive recordings/ --recursive --out people",
    "archive --out people --status",
    "archive --out people --merge people.parquet",
)
MOST_TOLD = 5
SHOWN_EVERY_SECONDS = 1.0


@command
@options_of(ArchiveConfig)
def archive(config: ArchiveConfig, talk: QuietConfig) -> None:
    """Detect people in days of video by many workers, each frame exactly once, whatever dies meanwhile.

    The same command again makes what is missing. `analyze DIR` then tracks, counts and reports.
    """
    from humandetect.archive.run import archive, standing_of

    if config.status:
        standing = standing_of(config)
        _tell_standing(standing)
        raise typer.Exit(0 if standing.is_complete else 1)
    try:
        with _Bar(quiet=talk.quiet) as bar:
            summary = archive(config, bar)
    except KeyboardInterrupt:
        if not talk.quiet:
            typer.echo("interrupted: what is complete stays, and the same command goes on", err=True)
        raise
    if not talk.quiet:
        _tell(summary)
    standing = summary.standing
    raise typer.Exit(0 if standing.is_complete or (config.plan and not standing.plan.unreadable) else 1)


class _Bar:
    """Frames a second, of each machine too; silent when quiet or where there is no terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar: tqdm[Any] = tqdm(
            desc="detecting", unit=" frames", dynamic_ncols=True, disable=True if quiet or sys.stderr is None else None
        )
        self._parts = self._again = self._given_up = 0
        self._pace = Pace()
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._show()
        self._bar.close()

    def begin(self, jobs: Sequence[Job]) -> None:
        self._bar.reset(sum(job.segment.frames for job in jobs if job.segment) or None)

    def frames(self, number: int, attempt: Attempt) -> None:
        self._pace.add(number, attempt.node)
        if time.monotonic() - self._shown_at > SHOWN_EVERY_SECONDS:
            self._show()
        self._bar.update(number)

    def part(self, attempt: Attempt) -> None:  # noqa: ARG002
        self._parts += 1

    def again(self, attempt: Attempt, reason: str) -> None:
        self._again += 1
        self._bar.update(-attempt.frames)
        self._bar.write(f"begun again: {attempt.job.name}: {reason}", file=sys.stderr)

    def given_up(self, attempt: Attempt, reason: str) -> None:  # noqa: ARG002 - the end tells them all
        self._given_up += 1

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        told = f"{counted(self._parts, 'part')}, {self._again} begun again, {self._given_up} given up"
        self._bar.set_postfix_str("; ".join(filter(None, (told, self._pace.described()))), refresh=False)


def _tell(summary: ArchiveSummary) -> None:
    outcome = summary.outcome
    if outcome.made:
        typer.echo(f"{counted(outcome.frames, 'frame')} in {counted(outcome.made, 'part')}", err=True)
    _tell_all("warning", summary.warnings)
    if outcome.missing:
        frames = counted(outcome.missing, "frame")
        typer.echo(f"warning: {frames} could not be decoded: in the results as not detected", err=True)
    _tell_all("error", [f"{job.name} was given up: {reason}" for job, reason in outcome.failed])
    _tell_all("error", [f"{source!r} has no annotated video: {why}" for source, why in summary.unjoined.items()])
    _tell_standing(summary.standing)
    if summary.merged:
        typer.echo(f"written {summary.merged}", err=True)


def _tell_standing(standing: Standing) -> None:
    plan = standing.plan
    told = f"{len(standing.there):,} of {counted(standing.parts, 'part')} of {counted(len(plan.videos), 'source')}"
    if standing.failed:
        told += f", {len(standing.failed):,} given up (--retry-failed begins again)"
    if standing.unjoined:
        told += f", {counted(len(standing.unjoined), 'annotated video')} to come"
    typer.echo(told, err=True)
    _tell_first("warning", standing.warnings(), of=len(plan.warnings) + len(standing.notes))
    unread = [why if source in why else f"{source!r}: {why}" for source, why in plan.unreadable.items()]
    _tell_all("error", [f"{line} (planned without it: once it can be read, it needs another --out)" for line in unread])


def _tell_all(kind: str, lines: Sequence[str]) -> None:
    _tell_first(kind, lines, of=len(lines))


def _tell_first(kind: str, lines: Iterable[str], *, of: int) -> None:
    for line in islice(lines, MOST_TOLD):
        typer.echo(f"{kind}: {line}", err=True)
    if of > MOST_TOLD:
        typer.echo(f"{kind}: {of - MOST_TOLD:,} more like these", err=True)
