"""The command `eval`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.command_line import error_line, humandetect

if TYPE_CHECKING:
    from pathlib import Path

EVENT = '{"event": "crossing", "time_seconds": 1, "line": "gate", "direction": "in"}\n'


@pytest.fixture(autouse=True)
def files(in_tmp_path: None, tmp_path: Path) -> None:
    rows = "1,4,0,0,10,20,1,-1,-1,-1\n3,4,5,0,10,20,1,-1,-1,-1\n"
    (tmp_path / "gt.txt").write_text(rows)
    (tmp_path / "people.mot.txt").write_text(rows + "9,4,5,0,10,20,1,-1,-1,-1\n")
    (tmp_path / "events.jsonl").write_text(EVENT)


def test_the_table_has_the_figures_and_what_they_leave_out() -> None:
    events = ("--events", "events.jsonl", "--truth-events", "events.jsonl")
    run = humandetect("eval", "people.mot.txt", "--truth", "gt.txt", *events)
    assert (run.returncode, run.stderr) == (0, "")
    said = " ".join(run.stdout.split())
    for part in (
        "AP 100.0% AP50 100.0%",
        "MOTA 100.0% IDF1 100.0% HOTA 100.0%",
        "1 track for 1 person",
        "count error 0.0%",
        "gate in 1 1 1 0.00 s off",
        "3 frames judged; in 1 the truth has nobody",
        "1 frame of the results left out",
    ):
        assert part in said


def test_json_has_the_same_as_shares_of_1() -> None:
    found = json.loads(humandetect("eval", "people.mot.txt", "--truth", "gt.txt", "--json").stdout)
    assert (found["boxes"]["ap50"], found["tracks"]["mota"], found["events"]) == (pytest.approx(1), 1, None)
    assert (found["frames"], found["frames_without_people"], found["frames_without_truth"]) == (3, 1, 1)


def test_a_file_that_makes_no_sense_is_wrong_usage_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1,4,0,0,10,20,1\nnonsense\n")
    run = humandetect("eval", "people.mot.txt", "--truth", "gt.txt")
    assert run.returncode == 2
    assert "gt.txt:2 is no MOTChallenge row" in error_line(run)
