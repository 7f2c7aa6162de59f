"""The first pictures come on several threads at once, and what is imported late is imported by all of them."""

from __future__ import annotations

import subprocess
import sys

RACE = """
import threading
import numpy as np
from humandetect.detection.agreement import compare
from humandetect.detection.close_ups import merged
from humandetect.engines.base import RawDetections
from humandetect.wire import Person

row = RawDetections(np.ones((1, 1, 4), np.float32), np.ones((1, 1), np.float32), np.ones((1, 1), np.int32))
people = [Person(box=(0, 0, 1, 1), score=0.9)]
ready, failures = threading.Barrier(3), []

def use(call):
    ready.wait()
    try:
        call()
    except BaseException as error:
        failures.append(error)

calls = (lambda: merged(row, row, 100), lambda: compare(people, people, certain=0.5))
others = [threading.Thread(target=use, args=(call,)) for call in calls]
for other in others:
    other.start()
ready.wait()
import supervision
for other in others:
    other.join()
assert not failures, failures
"""


def test_threads_that_begin_at_once_do_not_wait_for_one_another() -> None:
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
