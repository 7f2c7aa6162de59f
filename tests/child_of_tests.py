"""A child process for the tests of those: does what its parent says."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref

from humandetect.errors import HumanDetectError
from humandetect.processes import Parent


def main() -> None:
    if "words" in sys.argv:
        sys.stderr.write("one\nready at 12\ntwo\n")
    if "fails" in sys.argv:
        sys.stderr.write("error: no luck\n")
        raise SystemExit(4)
    with Parent() as parent:
        obey(parent)


def obey(parent: Parent) -> None:
    while True:
        match parent.receive():
            case "stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                parent.send("deaf")
            case "error":
                parent.send(HumanDetectError("what went wrong"))
            case "end slowly":
                threading.Timer(0.5, lambda: None).start()  # the interpreter waits for it after all else
                parent.send("ending")
                return
            case "leave":
                os._exit(7)
            case "unheard":
                for number in range(2000):
                    parent.send_if_heard(number)
                os._exit(7)
            case "silent":
                time.sleep(60)
            case "be told in a callback" | "be told in an import" as where:
                parent.send(TOLD[where]())
            case value:
                parent.send(value)


def told_in_a_callback() -> bool:
    """Be told to end where Python swallows what is raised."""
    held = threading.Event()
    reference = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGTERM))
    del held
    return reference() is None


def told_in_an_import() -> None:
    """Be told to end where C makes another error of what is raised."""
    try:
        signal.raise_signal(signal.SIGTERM)
    except SystemExit as error:
        raise ImportError("initialization failed") from error


TOLD = {"be told in a callback": told_in_a_callback, "be told in an import": told_in_an_import}

if __name__ == "__main__":
    main()
