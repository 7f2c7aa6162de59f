"""What is counted of the tries of segments, by whoever works on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from humandetect.archive.attempts import Attempt, Attempts
from humandetect.archive.jobs import Job, Told, Video
from humandetect.errors import HumanDetectError, SinkError
from humandetect.storage import FolderStorage
from tests.archive.worker_here import Silent

if TYPE_CHECKING:
    from pathlib import Path

JOBS = [Job(Video(name, (name,), "video", name, "", ()), None) for name in ("a", "b")]


def test_a_failed_job_comes_again_after_the_others_until_it_is_given_up_with_a_note(tmp_path: Path) -> None:
    attempts = Attempts(JOBS, retries=1, storage=FolderStorage(tmp_path), progress=Silent())
    for _ in range(3):
        attempt = take(attempts)
        attempt.node = "10.0.0.7"
        if attempt.job is JOBS[0]:
            attempts.tell(attempt, Told(5))
            attempts.fail(attempt, HumanDetectError("lost"))
        else:
            attempts.tell(attempt, Told(7, done=True, missing=2))
    assert not attempts
    outcome = attempts.outcome
    assert (outcome.made, outcome.frames, outcome.missing, outcome.again) == (1, 7, 2, 1)
    assert outcome.failed == [(JOBS[0], "lost")]
    note = json.loads((tmp_path / "failed" / "a_000000.json").read_text())
    assert (note["error"], note["tries"], note["host"]) == ("lost", 2, "10.0.0.7")


def test_where_nothing_can_be_written_it_ends_before_all_others_were_made_in_vain(tmp_path: Path) -> None:
    attempts = Attempts(JOBS, retries=1, storage=FolderStorage(tmp_path), progress=Silent())
    full = SinkError("the disk is full")
    attempts.fail(take(attempts), full)
    again = take(attempts)
    assert again.job is JOBS[0]
    with pytest.raises(SinkError, match="full"):
        attempts.fail(again, full)


def take(attempts: Attempts) -> Attempt:
    attempt = attempts.take()
    assert attempt
    return attempt


def test_what_is_under_way_may_be_to_be_done_again(tmp_path: Path) -> None:
    attempts = Attempts(JOBS[:1], retries=1, storage=FolderStorage(tmp_path), progress=Silent())
    attempt = take(attempts)
    assert attempts.take() is None
    assert attempts
    attempts.give_back(attempt)
    again = take(attempts)
    assert (again.number, attempts.outcome.again) == (1, 0)
