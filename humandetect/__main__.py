"""Where the command begins: `humandetect` and `python -m humandetect`."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line."""
    # Until running.Signals listens there is nothing to finish, only a traceback through half an import to be spared.
    signal.signal(signal.SIGINT, lambda number, _frame: os._exit(128 + number))
    from humandetect.cli import app

    app(prog_name="humandetect")


if __name__ == "__main__":
    main()
