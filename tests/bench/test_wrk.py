"""`benchmarks/wrk.py` needs a tool that not every machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "wrk.py"


def test_without_wrk_it_says_how_to_install_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert "apt-get install wrk" in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
