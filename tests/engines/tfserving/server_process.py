"""The embedded model server as a process of its own, as a laptop runs it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    address: str
    """HOST:PORT."""
    process: subprocess.Popen[bytes]


@contextmanager
def model_server(folder: Path, models: dict[str, Path], *options: str) -> Iterator[Served]:
    """Serve `models`, folders of versions by name, on a free port until the block ends.

    `folder` takes the configuration and what the server says.
    """
    config, log = folder / "models.config", folder / "server.log"
    entries = (
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}' for name, path in models.items()
    )
    config.write_text("model_config_list {\n" + "\n".join(entries) + "\n}\n")
    command = [sys.executable, "-m", "humandetect", "model-server", "--models-config", str(config), "--port", "0"]
    with log.open("w") as stderr:
        process = subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, stderr=stderr)
    try:
        yield Served(_address(process, log), process)
    finally:
        process.terminate()
        process.wait(40)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the line that says where it serves."""
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        if ready := re.search(r" serves .*gRPC at (\S+:\d+)", log.read_text()):
            return ready[1]
        time.sleep(0.05)
    raise AssertionError(f"the model server did not start: {log.read_text()}")
