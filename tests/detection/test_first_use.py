"""The first pictures come on several threads at once, and what is imported late is imported by all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

RACE = """
import threading
import numpy as np
from humandetect.detection.{module} import {function}
from humandetect.engines.base import RawDetections
from humandetect.wire import Person

row = RawDetections(np.ones((1, 1, 4), np.float32), np.ones((1, 1), np.float32), np.ones((1, 1), np.int32))
people = [Person(box=(0, 0, 1, 1), score=0.9)]
ready, failures = threading.Barrier(2), []

def use():
    ready.wait()
    try:
        {call}
    except BaseException as error:
        failures.append(error)

other = threading.Thread(target=use)
other.start()
ready.wait()
import supervision
other.join()
assert not failures, failures
"""


@pytest.mark.parametrize(
    ("module", "function", "call"),
    [
        ("close_ups", "merged", "merged(row, row, 100)"),
        ("agreement", "compare", "compare(people, people, certain=0.5)"),
    ],
)
def test_threads_that_begin_at_once_do_not_wait_for_one_another(module: str, function: str, call: str) -> None:
    code = RACE.format(module=module, function=function, call=call)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
