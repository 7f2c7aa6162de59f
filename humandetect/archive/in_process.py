"""The one worker of what is in `memory://`, which no other process sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.archive.worker import Worker
from humandetect.errors import HumanDetectError

if TYPE_CHECKING:
    from humandetect.archive.attempts import Attempts
    from humandetect.config import ArchiveConfig


class InProcessWorker:
    """Does one job after the other itself."""

    def __init__(self, config: ArchiveConfig) -> None:
        self._config = config

    def run(self, attempts: Attempts) -> None:
        """Make the parts of all jobs. Raises EngineError and others if it cannot begin."""
        attempts.begin()
        with Worker(self._config) as worker:
            while attempt := attempts.take():
                try:
                    for told in worker.work(attempt.job):
                        attempts.tell(attempt, told)
                except HumanDetectError as error:
                    attempts.fail(attempt, error)
