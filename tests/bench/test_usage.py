"""What a process and its children use is seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from humandetect.bench.usage import gpu_memory_mb, watched

if TYPE_CHECKING:
    from pathlib import Path

BUSY = """import time
data = bytearray(b'x') * 80_000_000
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
"""
PARENT = f"""import subprocess, sys
subprocess.run([sys.executable, '-c', {BUSY + "time.sleep(0.5)"!r}])
print(flush=True)
input()
"""


def test_memory_of_children_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        with watched(process.pid) as usage:
            assert process.stdout is not None
            process.stdout.readline()  # once its child has ended
        process.communicate(b"\n")
    assert usage.peak_memory_mb > 80


def test_cpu_time_of_the_block_alone_counts() -> None:
    with watched(os.getpid()) as usage:
        sum(range(3_000_000))
    assert 0 < usage.cpu_seconds < 5


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for NVIDIA's tool; what is written to it is what it does."""
    path = tmp_path / "nvidia-smi"
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return path


def test_gpu_memory_is_that_of_the_process(nvidia_smi: Path) -> None:
    nvidia_smi.write_text(f"#!/bin/sh\necho '1, 500'\necho '{os.getpid()}, 100'\necho '{os.getpid()}, [N/A]'\n")
    assert gpu_memory_mb(os.getpid()) == pytest.approx(104.8576)


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\nexit 9\n", "#!/bin/sh\necho '1, 500'\n", "#!/bin/sh\necho no devices\n"]
)
def test_gpu_memory_is_not_made_up(script: str, nvidia_smi: Path) -> None:
    nvidia_smi.write_text(script)
    assert gpu_memory_mb(os.getpid()) is None
