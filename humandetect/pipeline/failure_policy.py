"""What a failure costs: one source, or the rest of the run. What was finished until then is always kept."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from humandetect.errors import HumanDetectError, SourceError
from humandetect.pipeline.summary import RunInterrupted

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from humandetect.pipeline.summary import RunRecord


@contextmanager
def costs_its_source(record: RunRecord, stop: threading.Event) -> Iterator[None]:
    """Note what a source fails at and let the run go on with the next."""
    try:
        yield
    except SourceError as error:
        if stop.is_set():  # libraries turn a Ctrl-C in their callbacks into errors of their own
            raise KeyboardInterrupt from error
        record.failures.append(error)


@contextmanager
def costs_the_rest(record: RunRecord) -> Iterator[None]:
    """End the run: raise RunInterrupted on Ctrl-C, and what fails before the first frame; note what fails later."""
    try:
        yield
    except KeyboardInterrupt as error:
        record.interrupted = True
        raise RunInterrupted(record.summary()) from error
    except BrokenPipeError:  # the reader of stdout has seen enough
        record.interrupted = True
    except HumanDetectError as error:
        if not record.frames:
            raise
        record.failures.append(error)
