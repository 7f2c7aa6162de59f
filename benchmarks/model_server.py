"""The embedded model server as a process of its own, and how often its graph ran."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.models.find import find_model

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 120
_READY = re.compile(r"gRPC at (\S+:\d+), REST at (\S+:\d+)")
_RUNS = re.compile(r"^:tensorflow:serving:runtime_latency_count\{.*\} (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A server that answers; addresses are HOST:PORT."""

    address: str
    rest_address: str

    def graph_runs(self) -> int:
        """Return how often the model was run since the start, as the server's own metrics say."""
        url = f"http://{self.rest_address}/monitoring/prometheus/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            return sum(map(int, _RUNS.findall(response.read().decode())))


@contextmanager
def model_server(model: str, *options: str) -> Iterator[ModelServer]:
    """Serve a model on free ports until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        config, log = Path(name) / "models.config", Path(name) / "log"
        base_path = find_model(model).path.absolute().parent
        entry = f'name: "{model}" base_path: "{base_path}" model_platform: "tensorflow"'
        config.write_text(f"model_config_list {{ config {{ {entry} }} }}")
        command = [sys.executable, "-m", "humandetect", "model-server", "--models-config", str(config), "--port", "0"]
        with (
            log.open("w") as stderr,
            subprocess.Popen([*command, "--rest-port", "0", *options], stderr=stderr) as process,
        ):
            try:
                yield _ready(process, log)
            finally:
                process.terminate()


def _ready(process: subprocess.Popen[bytes], log: Path) -> ModelServer:
    """Wait for the line that says where it serves."""
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        if found := _READY.search(log.read_text()):
            return ModelServer(found[1], found[2])
        time.sleep(0.1)
    raise SystemExit(f"the model server did not start:\n{log.read_text()[-2000:]}")
