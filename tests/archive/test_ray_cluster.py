"""`archive --cluster`: the rows of plain `detect` from a real Ray, whatever it loses."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import psutil

from humandetect.archive.run import merge
from humandetect.config import ArchiveConfig
from tests.archive.clips import TEN, write_people
from tests.command_line import COMMAND, error_line, humandetect
from tests.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

FAST = ("--size", "small", "--segment", "1", "--jobs", "2")


def tasks(pid: int) -> list[psutil.Process]:
    """The processes of Ray that work on parts, or just have."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if "_make_part" in words and pid in [above.pid for above in process.parents()]:
            found.append(process)
    return found


def test_a_lost_worker_costs_its_part_a_try_and_the_rows_are_those_of_detect(tmp_path: Path) -> None:
    video = write_people(tmp_path / "a.mp4", frames=150, options=TEN)
    out, plain = tmp_path / "out", tmp_path / "plain.jsonl"
    command = [*COMMAND, "archive", str(video), "--out", str(out), *FAST, "--cluster", "local"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        try:
            eventually(lambda: run.poll() is not None or tasks(run.pid))
            for task in tasks(run.pid)[:1]:
                task.kill()
            _, said = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 0, said
    merged = tmp_path / "merged.jsonl"
    merge(ArchiveConfig(out=out, merge=str(merged)), [])
    detect = humandetect(
        "detect", video, "--size", "small", "--precision", "f32", "--results", plain, "--results-score", "0.1"
    )
    assert detect.returncode == 0, detect.stderr
    assert merged.read_bytes() == plain.read_bytes()
    assert "begun again" in said
    assert not list(out.rglob(".*"))


def test_jobs_are_for_this_machine(tmp_path: Path) -> None:
    run = humandetect("archive", tmp_path, "--out", tmp_path / "out", "--cluster", "head:6379", "--jobs", "2")
    assert run.returncode == 2
    assert "--jobs is for this machine" in error_line(run)
