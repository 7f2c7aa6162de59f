"""What all sinks share."""

from __future__ import annotations

import pytest

from humandetect.media.sinks.base import Sink


def test_leaving_a_sink_by_an_exception_closes_it_as_incomplete() -> None:
    class Recorder(Sink):
        completes: list[bool]

        def write(self, result: object) -> None:
            """Take it."""

        def close(self, *, complete: bool = True) -> None:
            self.completes.append(complete)

    Recorder.completes = []
    with Recorder():
        pass
    with pytest.raises(KeyboardInterrupt), Recorder():
        raise KeyboardInterrupt
    assert Recorder.completes == [True, False]
