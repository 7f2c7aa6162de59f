"""The command `eval`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.command_line import error_line, invoke

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
    run = invoke("eval", "people.mot.txt", "--truth", "gt.txt", *events)
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
    found = json.loads(invoke("eval", "people.mot.txt", "--truth", "gt.txt", "--json").stdout)
    assert (found["boxes"]["ap50"], found["tracks"]["mota"], found["events"]) == (pytest.approx(1), 1, None)
    assert (found["frames"], found["frames_without_people"], found["frames_without_truth"]) == (3, 1, 1)


def test_a_file_that_makes_no_sense_is_wrong_usage_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1,4,0,0,10,20,1\nnonsense\n")
    run = invoke("eval", "people.mot.txt", "--truth", "gt.txt")
    assert run.returncode == 2
    assert "gt.txt:2 is no MOTChallenge row" in error_line(run)


def test_a_scene_holds_events_of_the_results_against_those_of_the_truth(tmp_path: Path) -> None:
    """Two people walk over the line; the results lose one of them, and give the other an id of their own."""
    begin = {
        "source": "a.mp4", "kind": "video", "size": [200, 100], "every": 1, "score": 0.5, "results_score": None,
        "track_scores": [0.5, 0.3], "settings": {}, "started": None, "humandetect": "0.1.0",
    }  # fmt: skip
    lines, truth = [begin], []
    for frame in range(20):
        x = 10.0 * frame
        truth += [f"{frame + 1},{who},{x},{y},10,30,1" for who, y in ((1, 10), (2, 60))]
        people = [{"box": [x, 10, x + 10, 40], "score": 0.9, "track_id": 7}]
        lines.append({"source": "a.mp4", "frame": frame, "time_seconds": frame / 10, "people": people})
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (tmp_path / "walks.txt").write_text("\n".join(truth) + "\n")
    (tmp_path / "scene.toml").write_text('[[line]]\nname = "gate"\nfrom = [100, 0]\nto = [100, 100]\n')
    call = ("eval", "r.jsonl", "--truth", "walks.txt", "--scene", "scene.toml", "--json")
    found = json.loads(invoke(*call).stdout)["events"]
    assert (found["true"], found["counted"], found["precision"], found["recall"]) == (2, 1, 1.0, 0.5)
    assert found["lines"][0]["seconds_off"] == pytest.approx(0, abs=1e-9)
    (tmp_path / "two.jsonl").write_text((tmp_path / "r.jsonl").read_text() * 2)
    several = invoke("eval", "two.jsonl", "--truth", "walks.txt", "--scene", "scene.toml")
    assert several.returncode == 2
    without = invoke("eval", "people.mot.txt", "--truth", "gt.txt", "--scene", "scene.toml")
    assert without.returncode == 2
    assert "say how they were made" in error_line(without)
