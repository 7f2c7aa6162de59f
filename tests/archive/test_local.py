"""The workers of this machine, real processes with a fake engine."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

import psutil
import pytest

from humandetect.archive import local
from humandetect.archive.jobs import Job
from humandetect.archive.run import archive
from humandetect.config import ArchiveConfig
from humandetect.processes import Child
from tests.archive.clips import TEN, write_people
from tests.archive.worker_here import Silent

if TYPE_CHECKING:
    from pathlib import Path


class StoppedChild(Child):
    """A worker, of which the first is stopped before it can take its segment."""

    pids: list[int]

    def __init__(self, _module: str, *, end_seconds: float) -> None:
        super().__init__("tests.archive.fake_worker", end_seconds=end_seconds)
        self.pids.append(self.pid)

    def send(self, value: object) -> None:
        if isinstance(value, Job):
            first = self.pids == [self.pid]
            local.SILENT_SECONDS = 0.5 if first else 60  # type: ignore[attr-defined]
            os.kill(self.pid, signal.SIGSTOP if first else signal.SIGCONT)
        super().send(value)


def test_a_stopped_worker_is_replaced_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoppedChild, "pids", [], raising=False)
    monkeypatch.setattr(local, "Child", StoppedChild)
    monkeypatch.setattr(local, "SILENT_SECONDS", 60)
    monkeypatch.setattr(local, "END_SECONDS", 0.1)
    video = write_people(tmp_path / "a.mp4", frames=50, options=TEN)
    config = ArchiveConfig(sources=(str(video),), out=tmp_path / "out", segment_seconds=1, jobs=1)
    outcome = archive(config, Silent()).outcome
    assert (outcome.made, outcome.again, outcome.frames) == (2, 1, 50)
    assert not any(psutil.pid_exists(pid) for pid in StoppedChild.pids)


class OpeningChild:
    """A worker whose engine opens for a long time; Ctrl-C comes meanwhile."""

    waits: list[float]

    def __init__(self, _module: str, **_: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def send(self, value: object) -> None: ...

    def receive(self, within_seconds: float) -> None:
        if not self.waits:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        self.waits.append(within_seconds)
        time.sleep(0.01)
        raise TimeoutError


def test_ctrl_c_does_not_wait_for_engines_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpeningChild, "waits", [], raising=False)
    monkeypatch.setattr(local, "Child", OpeningChild)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's job in the background lacks
    video = write_people(tmp_path / "a.mp4", frames=10, options=TEN)
    with pytest.raises(KeyboardInterrupt):
        archive(ArchiveConfig(sources=(str(video),), out=tmp_path / "out", jobs=1), Silent())
    assert max(OpeningChild.waits) <= 1
