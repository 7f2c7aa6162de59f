"""Promises of processes that one starts: they answer, say why they cannot, and end with whoever started them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from humandetect.errors import HumanDetectError
from humandetect.processes import Child
from tests.waiting import eventually

MODULE = "tests.child_of_tests"
READY = re.compile(r"ready at (\d+)")
PARENT = f"""
import sys, time
from humandetect.processes import Child
child = Child({MODULE!r}, end_seconds=60)
child.send("here")
child.receive()
child.send(sys.argv[1])
print(child.pid, flush=True)
time.sleep(60)
"""


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.usefixtures("traced")
def test_a_child_answers_until_the_block_ends() -> None:
    with Child(MODULE, end_seconds=60) as child:
        child.send({"any": "value"})
        assert child.receive() == {"any": "value"}
        assert child.process.poll() is None
    assert is_gone(child.pid)
    child.close()


@pytest.mark.usefixtures("traced")
def test_an_error_of_the_child_is_raised_here() -> None:
    with Child(MODULE, end_seconds=60) as child:
        child.send("error")
        with pytest.raises(HumanDetectError, match="what went wrong"):
            child.receive()


def test_a_child_that_leaves_is_told_with_its_exit_code() -> None:
    with Child(MODULE, end_seconds=60) as child:
        child.send("leave")
        with pytest.raises(ChildProcessError, match="exit code 7"):
            child.receive()


def test_a_child_that_is_told_to_end_while_it_ends_says_nothing_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    with Child(MODULE, end_seconds=60) as child:
        child.send("end slowly")
        child.receive()
        time.sleep(0.2)  # it is past its last line by then, in the interpreter's own end
    assert child.process.returncode == 0
    assert capfd.readouterr().err == ""


def test_a_child_ends_although_what_tells_it_to_is_swallowed(capfd: pytest.CaptureFixture[str]) -> None:
    with Child(MODULE, end_seconds=60) as child:
        child.send("be told in a callback")
        assert child.receive() is True
        assert child.process.wait(60) == 0
    assert capfd.readouterr().err == ""


def test_a_child_that_is_told_to_end_while_it_imports_says_nothing_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    with Child(MODULE, end_seconds=5) as child:
        child.send("be told in an import")
        assert child.process.wait(5) == 0
    assert capfd.readouterr().err == ""


def test_a_child_that_says_nothing_is_not_waited_for_for_ever() -> None:
    with Child(MODULE, end_seconds=0.2) as child:
        child.send("silent")
        with pytest.raises(TimeoutError):
            child.receive(within_seconds=0.1)


def test_a_child_that_does_not_listen_is_killed() -> None:
    with Child(MODULE, end_seconds=0.2) as child:
        child.send("stubborn")
        child.receive()
        began = time.monotonic()
    assert child.process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 50


def test_a_child_need_not_wait_for_a_parent_that_does_not_listen() -> None:
    with Child(MODULE, end_seconds=60) as child:
        child.send("unheard")
        assert child.process.wait(60) == 7
        assert child.receive() == 0


def test_the_words_that_say_it_is_ready_are_found() -> None:
    with Child(MODULE, "words", end_seconds=5, ready=READY) as child:
        assert child.wait_ready(30)[1] == "12"


def test_a_child_that_never_gets_ready_says_why() -> None:
    with Child(MODULE, "fails", end_seconds=5, ready=READY) as child, pytest.raises(ChildProcessError, match="no luck"):
        child.wait_ready(30)


@pytest.mark.parametrize("order", ["stay idle", "silent"], ids=["idle", "busy"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent_however_that_ends(number: int, order: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, order], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, number)
    eventually(lambda: is_gone(child))
