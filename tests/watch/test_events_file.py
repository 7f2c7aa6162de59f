from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from humandetect.errors import SinkError
from humandetect.media.frames import Event
from humandetect.watch.events_file import EventsFile


def event(seconds: float) -> Event:
    return Event(event="camera", id=f"{seconds}", source="door", time_seconds=seconds, state="live")


def test_lines_are_added_to_those_of_before_and_can_be_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for seconds in (1.0, 2.0):  # two runs
        with closing(EventsFile(str(path))) as file:
            file.on_event(event(seconds))
            assert json.loads(path.read_text().splitlines()[-1])["time_seconds"] == seconds
    assert len(path.read_text().splitlines()) == 2


def test_a_dash_is_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(EventsFile("-")) as file:
        file.on_event(event(1.0))
    assert json.loads(capsys.readouterr().out)["source"] == "door"


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot write '.*events.jsonl': No such file"):
        EventsFile(str(tmp_path / "none" / "events.jsonl"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_costs_lines_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with closing(EventsFile("/dev/full")) as file:
        for seconds in (1.0, 2.0, 3.0):
            file.on_event(event(seconds))
    assert caplog.text.count("events are not written to /dev/full: No space left on device") == 1
