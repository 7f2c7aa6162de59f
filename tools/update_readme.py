"""Write the commands' help texts into README.md, below the `help:` comments. A test expects them to be up to date."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(<!-- help: ?(?P<command>[a-z -]*) -->\n```text\n).*?(```\n)", re.DOTALL)


def help_text(command: str) -> str:
    """Return what `humandetect COMMAND --help` prints on a terminal of 100 columns."""
    run = subprocess.run(
        [sys.executable, "-m", "humandetect", *command.split(), "--help"],
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    lines = [line.rstrip() for line in run.stdout.replace("python -m humandetect", "humandetect").splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def updated(text: str) -> str:
    """Return the README's text with fresh help texts."""
    return BLOCK.sub(lambda block: block[1] + help_text(block["command"]) + block[3], text)


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
